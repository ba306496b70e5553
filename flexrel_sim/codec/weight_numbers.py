"""Numbers that weights are shipped as."""

from __future__ import annotations

import struct
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "Numbers",
    "WeightDtype",
    "from_numbers",
    "rounded_weights",
    "split_scale",
    "to_numbers",
]

Numbers = NDArray[Any]
"""float32, float16 or int8."""

WeightDtype = Literal["float32", "float16", "int8"]
"""float32 is exact; float16 rounds; int8 rounds to 127 steps up and down to the greatest."""

KINDS: Final[dict[str, np.dtype[Any]]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}
"""How each is stored."""

_SCALE = struct.Struct("<f")


def rounded_weights(weights: NDArray[np.float32], dtype: WeightDtype) -> NDArray[np.float32]:
    """Round weights as shipping does: whoever ships must measure accuracy with these.

    Parameters
    ----------
    weights
        Any shape, finite.
    dtype
        What a number is shipped as.

    Returns
    -------
    numpy.ndarray
        float16 saturates at ±65504; int8 is a multiple of the greatest magnitude over 127.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite.
    """
    return from_numbers(*to_numbers(weights, dtype))


def to_numbers(weights: NDArray[np.float32], dtype: WeightDtype) -> tuple[bytes, Numbers]:
    """Give the scale's bytes, empty but for int8, and the numbers; raise ValueError on NaN."""
    # NaN and infinity survive sums of what they don't cancel in: extremes show both.
    greatest = float(np.abs(weights).max()) if weights.size else 0.0
    if not np.isfinite(greatest):
        raise ValueError("weights must be finite to be shipped")
    if dtype == "float32":
        return b"", np.ascontiguousarray(weights, KINDS[dtype])
    if dtype == "float16":
        limit = float(np.finfo(np.float16).max)
        return b"", np.ascontiguousarray(np.clip(weights, -limit, limit), KINDS[dtype])
    step = np.float32(greatest / 127)
    if step == 0:
        return _SCALE.pack(0.0), np.zeros(weights.shape, np.int8)
    levels = np.rint(np.ascontiguousarray(weights, np.float64) / float(step))
    return _SCALE.pack(step), np.clip(levels, -127, 127).astype(np.int8)


def split_scale(data: bytes, dtype: WeightDtype) -> tuple[bytes, bytes]:
    """Part the scale's bytes from those that follow; raise ValueError if it is none."""
    if dtype != "int8":
        return b"", data
    if len(data) < _SCALE.size or not np.isfinite(_SCALE.unpack_from(data)[0]):
        raise ValueError("must hold a finite scale")
    return data[: _SCALE.size], data[_SCALE.size :]


def from_numbers(scale: bytes, numbers: Numbers) -> NDArray[np.float32]:
    """Give the weights that the numbers stand for."""
    values = numbers.astype(np.float32)
    if not scale:
        return values
    limit = float(np.finfo(np.float32).max)
    scaled = values.astype(np.float64) * _SCALE.unpack(scale)[0]
    return np.asarray(np.clip(scaled, -limit, limit), np.float32)
