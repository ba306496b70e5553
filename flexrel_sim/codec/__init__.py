"""What crosses the link, byte by byte. No torch."""

from flexrel_sim.codec.payload import Codec
from flexrel_sim.codec.weights import shipped_bytes

__all__ = ["Codec", "shipped_bytes"]
