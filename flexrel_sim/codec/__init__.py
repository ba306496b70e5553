"""What crosses the link, byte by byte. No torch."""

from flexrel_sim.codec.build import codec_of
from flexrel_sim.codec.channels import ChannelCodec
from flexrel_sim.codec.framing import CHECKSUM_BYTES, PayloadError
from flexrel_sim.codec.image import ImageCodec
from flexrel_sim.codec.payload import AnyCodec, Codec
from flexrel_sim.codec.weight_numbers import WeightDtype, rounded_weights
from flexrel_sim.codec.weight_update import apply_update, encode_update
from flexrel_sim.codec.weights import (
    decode_weights,
    encode_weights,
    shipped_bytes,
    smallest_format,
    weight_bytes,
)
from flexrel_sim.codec.work import total_work, work_of

__all__ = [
    "CHECKSUM_BYTES",
    "AnyCodec",
    "ChannelCodec",
    "Codec",
    "ImageCodec",
    "PayloadError",
    "WeightDtype",
    "apply_update",
    "codec_of",
    "decode_weights",
    "encode_update",
    "encode_weights",
    "rounded_weights",
    "shipped_bytes",
    "smallest_format",
    "total_work",
    "weight_bytes",
    "work_of",
]
