from tests.measure.conftest import folder, tiny

__all__ = ["folder", "tiny"]
