"""A scenario's codec section as a codec."""

from __future__ import annotations

from flexrel_sim.codec.image import ImageCodec
from flexrel_sim.codec.payload import AnyCodec, Codec
from flexrel_sim.scenario.data_sections import CodecSection

__all__ = ["codec_of"]


def codec_of(section: CodecSection) -> AnyCodec:
    """Make the codec that a scenario asks for, of all channels."""
    if section.image is not None:
        return ImageCodec(section.image.format, section.image.quality, section.checksum)
    return Codec(
        section.dtype,
        section.compress,
        section.level,
        section.scale,
        section.sparse,
        section.keep,
        section.checksum,
    )
