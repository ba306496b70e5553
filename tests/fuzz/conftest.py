from tests.fuzz.place import place

__all__ = ["place"]
