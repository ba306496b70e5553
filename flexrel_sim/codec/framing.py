"""The frame around what is sent: whoever decodes damaged bytes is told so."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

__all__ = ["CHECKSUM_BYTES", "PayloadError", "demand_bytes", "framed", "unframed"]

CHECKSUM_BYTES: Final = 4
"""What a checksum adds to every payload."""


class PayloadError(ValueError):
    """What arrived is not what the codec sends for a tensor of that shape."""


def framed(body: bytes, name: str, shape: tuple[int, ...]) -> bytes:
    """Put a CRC-32 of codec, shape and body before the body.

    Parameters
    ----------
    body
        What is sent.
    name
        Name of the codec: another one's payload must not decode to a wrong answer.
    shape
        Shape of the tensor.

    Returns
    -------
    bytes
        `CHECKSUM_BYTES` more than the body.
    """
    return _checksum(body, name, shape) + body


def unframed(payload: bytes, name: str, shape: tuple[int, ...]) -> bytes:
    """Give the body of what `framed` gave.

    Parameters
    ----------
    payload
        What arrived.
    name, shape
        Codec and shape that it was sent for.

    Returns
    -------
    bytes
        The body.

    Raises
    ------
    PayloadError
        If a bit of it is wrong: all bursts of up to 32 bits are found, and all but one in 2**32 of
        other damages.
    """
    body = payload[CHECKSUM_BYTES:]
    if payload[:CHECKSUM_BYTES] != _checksum(body, name, shape):
        raise PayloadError(
            f"the payload of {len(payload)} bytes is damaged, or of another codec than {name} or"
            f" another shape than {shape}; send it again"
        )
    return body


def demand_bytes(data: bytes, length: int) -> None:
    """Raise PayloadError unless the data are of that length."""
    if len(data) != length:
        raise PayloadError(f"the payload must hold {length} bytes, got {len(data)}")


def _checksum(body: bytes, name: str, shape: tuple[int, ...]) -> bytes:
    return zlib.crc32(body, _about(name, shape)).to_bytes(CHECKSUM_BYTES, "little")


@lru_cache(maxsize=256)
def _about(name: str, shape: tuple[int, ...]) -> int:
    return zlib.crc32(f"{name} {shape}".encode())
