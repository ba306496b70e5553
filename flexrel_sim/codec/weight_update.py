"""What turns one version of a layer's weights into the next, as bytes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import zstandard
from numpy.typing import NDArray

from flexrel_sim.codec.indices import gaps_from_bytes, gaps_to_bytes
from flexrel_sim.codec.weight_formats import unpack_zstd
from flexrel_sim.codec.weight_numbers import (
    Numbers,
    WeightDtype,
    from_numbers,
    split_scale,
    to_numbers,
)
from flexrel_sim.codec.weights import decode_weights, encode_weights

__all__ = ["apply_update", "encode_update"]

_COUNTS = struct.Struct("<II")
_WHOLE, _CHANGES = b"\0", b"\1"
_CHECKSUM_BYTES = 4
_LEVEL = 1


def encode_update(
    old: NDArray[np.float32], new: NDArray[np.float32], dtype: WeightDtype = "float32"
) -> bytes:
    """Encode what turns one version of a layer's weights into another.

    Parameters
    ----------
    old
        Weights that the receiver has, as they were shipped.
    new
        Weights that it is to have, of the same shape.
    dtype
        What a number is shipped as.

    Returns
    -------
    bytes
        Gaps between weights that are zero now, gaps between weights of other values, and these
        values, packed by zstd; or the new weights whole where that is smaller.

    Raises
    ------
    ValueError
        If the shapes differ, or a weight is NaN or infinite.
    """
    if old.shape != new.shape:
        raise ValueError(f"must have the old shape {old.shape}, got {new.shape}")
    before = to_numbers(old, dtype)[1].ravel()
    scale, numbers = to_numbers(new, dtype)
    after = numbers.ravel()
    changed = before != after
    zeroed = np.flatnonzero(changed & (after == 0))
    changed_to = np.flatnonzero(changed & (after != 0))
    planes = after[changed_to].view(np.uint8).reshape(-1, after.itemsize).T
    parts = [
        _COUNTS.pack(zeroed.size, changed_to.size),
        gaps_to_bytes(zeroed),
        gaps_to_bytes(changed_to),
        planes.tobytes(),
    ]
    content = b"".join(parts)
    body = scale + zstandard.ZstdCompressor(level=_LEVEL).compress(content)
    whole = encode_weights(new, dtype=dtype)
    tagged = _CHANGES + body if len(body) < len(whole) else _WHOLE + whole
    return tagged + _checksum(before, tagged)


def apply_update(
    old: NDArray[np.float32], update: bytes, dtype: WeightDtype = "float32"
) -> NDArray[np.float32]:
    """Turn one version of a layer's weights into the next.

    Parameters
    ----------
    old
        Weights that `encode_update` was given.
    update
        What it gave.
    dtype
        What a number was shipped as.

    Returns
    -------
    numpy.ndarray
        The new weights, as `rounded_weights` gives them.

    Raises
    ------
    ValueError
        If the update is damaged, or was made for other weights.
    """
    before = to_numbers(old, dtype)[1]
    tagged = update[:-_CHECKSUM_BYTES]
    if update != tagged + _checksum(before, tagged):
        raise ValueError(
            "the update is damaged, or was made for other weights; ship the weights whole"
        )
    tag, body = tagged[:1], tagged[1:]
    if tag == _WHOLE:
        return decode_weights(body, old.shape, dtype)
    try:
        scale, packed = split_scale(body, dtype)
        numbers = before.ravel().copy()
        _change(numbers, packed)
    except ValueError as error:
        raise ValueError(f"the update: {error}") from None
    return from_numbers(scale, numbers.reshape(old.shape))


def _checksum(before: Numbers, tagged: bytes) -> bytes:
    # Changes that meet other weights than they were made for would go unnoticed.
    return zlib.crc32(tagged, zlib.crc32(before.tobytes())).to_bytes(_CHECKSUM_BYTES, "little")


def _change(numbers: Numbers, packed: bytes) -> None:
    content = unpack_zstd(packed, _COUNTS.size + numbers.size * (10 + numbers.itemsize))
    if len(content) < _COUNTS.size:
        raise ValueError("must hold two counts")
    zeros, values = _COUNTS.unpack_from(content)
    if max(zeros, values) > numbers.size:
        raise ValueError(f"must change at most {numbers.size} numbers")
    rest = content[_COUNTS.size :]
    zeroed, used = gaps_from_bytes(rest, zeros, numbers.size)
    changed, more = gaps_from_bytes(rest[used:], values, numbers.size)
    planes = np.frombuffer(rest[used + more :], np.uint8)
    if planes.size != values * numbers.itemsize:
        raise ValueError(f"must hold {values} numbers")
    numbers[zeroed] = 0
    table = np.ascontiguousarray(planes.reshape(numbers.itemsize, values).T)
    numbers[changed] = table.view(numbers.dtype).ravel()
