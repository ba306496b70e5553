"""Positions as bytes: gaps between them, as variable-length integers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["gaps_from_bytes", "gaps_to_bytes", "smallest_uint"]

_BYTES_MAX: Final = 5
"""Seven bits each: enough for positions below 2**35."""


def smallest_uint(greatest: int) -> np.dtype[np.unsignedinteger]:
    """Give the smallest little-endian unsigned type that holds a number."""
    for kind in ("<u1", "<u2", "<u4"):
        if greatest <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype("<u8")


def gaps_to_bytes(positions: NDArray[np.intp]) -> bytes:
    """Encode rising positions as the gaps between them, seven bits to a byte (LEB128).

    Parameters
    ----------
    positions
        Strictly rising, not negative, shape ``(count,)``.

    Returns
    -------
    bytes
        One byte for each gap of up to 128 positions, one more for each seven bits above.
    """
    if positions.size == 0:
        return b""
    # The next possible position is gap 0.
    gaps = np.empty(positions.size, np.uint64)
    gaps[0] = positions[0]
    gaps[1:] = positions[1:] - positions[:-1] - 1
    if gaps.max() < 1 << 7:
        return gaps.astype(np.uint8).tobytes()
    lengths = np.ones(gaps.size, np.intp)
    for more in range(1, _BYTES_MAX):
        lengths += gaps >= 1 << 7 * more
    ends = np.cumsum(lengths)
    starts = ends - lengths
    out = np.empty(int(ends[-1]), np.uint8)
    for place in range(_BYTES_MAX):
        here = lengths > place
        if not here.any():
            break
        digits = (gaps[here] >> np.uint64(7 * place)) & np.uint64(0x7F)
        continues = (lengths[here] > place + 1).astype(np.uint64) << np.uint64(7)
        out[starts[here] + place] = digits | continues
    return out.tobytes()


def gaps_from_bytes(data: bytes, count: int, limit: int) -> tuple[NDArray[np.intp], int]:
    """Decode positions.

    Parameters
    ----------
    data
        What `gaps_to_bytes` gave, and perhaps something after it.
    count
        How many positions there are.
    limit
        All positions are below it.

    Returns
    -------
    positions : numpy.ndarray
        Shape ``(count,)``.
    used : int
        How many bytes of the data they took.

    Raises
    ------
    ValueError
        If the data end too soon, a number is longer than five bytes, or a position is not below
        the limit.
    """
    if count == 0:
        return np.empty(0, np.intp), 0
    stream = np.frombuffer(data, np.uint8)[: _BYTES_MAX * count]
    ends = np.flatnonzero(stream < 1 << 7)[:count] + 1
    if ends.size < count:
        raise ValueError(f"must hold {count} positions, got {ends.size}")
    starts = np.concatenate([[0], ends[:-1]])
    lengths = ends - starts
    if lengths.max() > _BYTES_MAX:
        raise ValueError(f"a position must take at most {_BYTES_MAX} bytes")
    gaps = np.zeros(count, np.int64)
    for place in range(int(lengths.max())):
        here = lengths > place
        digits = stream[starts[here] + place].astype(np.int64) & 0x7F
        gaps[here] |= digits << 7 * place
    # Below 2**35 each and at most `count`: a sum that wraps would need 2**28 of them.
    positions = np.cumsum(gaps + 1) - 1
    if gaps.max() >= limit or positions[-1] >= limit:
        raise ValueError(f"a position must be below {limit}")
    return positions.astype(np.intp), int(ends[-1])
