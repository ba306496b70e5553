"""What crosses the link, byte by byte. No torch."""

from flexrel_sim.codec.payload import Codec
from flexrel_sim.codec.weight_numbers import WeightDtype, rounded_weights
from flexrel_sim.codec.weight_update import apply_update, encode_update
from flexrel_sim.codec.weights import (
    decode_weights,
    encode_weights,
    shipped_bytes,
    smallest_format,
    weight_bytes,
)

__all__ = [
    "Codec",
    "WeightDtype",
    "apply_update",
    "decode_weights",
    "encode_update",
    "encode_weights",
    "rounded_weights",
    "shipped_bytes",
    "smallest_format",
    "weight_bytes",
]
