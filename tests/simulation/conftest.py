from tests.workspace import shared_cache, trained_folder, workspace

__all__ = ["shared_cache", "trained_folder", "workspace"]
