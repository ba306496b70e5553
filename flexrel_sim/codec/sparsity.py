"""Where the numbers that are sent belong, when zeros are not sent."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.framing import PayloadError
from flexrel_sim.codec.indices import gaps_from_bytes, gaps_to_bytes, smallest_uint

__all__ = ["INDICES", "BitmapIndex", "CsrIndex", "DeltaIndex", "Index", "greatest"]

Mask = NDArray[np.bool_]

_COUNT = struct.Struct("<I")


def greatest(table: NDArray[np.float32], keep: float) -> NDArray[np.float32]:
    """Keep the values of greatest magnitude, and make the others zero.

    Parameters
    ----------
    table
        Any shape.
    keep
        Share of them that is kept, rounded up.

    Returns
    -------
    numpy.ndarray
        The same array where all are kept.
    """
    left_out = table.size - int(np.ceil(keep * table.size))
    if left_out == 0:
        return table
    kept = table.ravel().copy()
    kept[np.argpartition(np.abs(kept), left_out)[:left_out]] = 0
    return kept.reshape(table.shape)


class Index:
    """Positions in a table ``(channels, values)``, whose shape both sides know."""

    def encode(self, mask: Mask) -> bytes:
        """Encode where the mask is true."""
        raise NotImplementedError

    def decode(self, data: bytes, shape: tuple[int, int]) -> tuple[Mask, int]:
        """Give the mask, and how many bytes it took; raise PayloadError if it is none."""
        raise NotImplementedError

    def greatest_bytes(self, shape: tuple[int, int]) -> int:
        """Give a length that none exceeds."""
        raise NotImplementedError


class BitmapIndex(Index):
    """One bit for every value, zero or not."""

    def encode(self, mask: Mask) -> bytes:
        """Encode where the mask is true."""
        return np.packbits(mask).tobytes()

    def decode(self, data: bytes, shape: tuple[int, int]) -> tuple[Mask, int]:
        """Give the mask, and how many bytes it took."""
        count, used = shape[0] * shape[1], self.greatest_bytes(shape)
        if len(data) < used:
            raise PayloadError(f"the payload must hold a bitmap of {used} bytes, got {len(data)}")
        bits = np.unpackbits(np.frombuffer(data, np.uint8, used))
        if bits[count:].any():
            raise PayloadError(f"the payload's bitmap must end after {count} bits")
        return bits[:count].astype(np.bool_).reshape(shape), used

    def greatest_bytes(self, shape: tuple[int, int]) -> int:
        """Give its length, which is always the same."""
        return (shape[0] * shape[1] + 7) // 8


class CsrIndex(Index):
    """How many values every channel has, and the place of each in its channel."""

    def encode(self, mask: Mask) -> bytes:
        """Encode where the mask is true."""
        count, place = self._kinds(mask.shape[1])
        counts = np.count_nonzero(mask, axis=1).astype(count)
        return b"".join([counts.tobytes(), np.nonzero(mask)[1].astype(place).tobytes()])

    def decode(self, data: bytes, shape: tuple[int, int]) -> tuple[Mask, int]:
        """Give the mask, and how many bytes it took."""
        count, place = self._kinds(shape[1])
        head = shape[0] * count.itemsize
        if len(data) < head:
            raise PayloadError(f"the payload must hold {shape[0]} counts, got {len(data)} bytes")
        counts = np.frombuffer(data, count, shape[0]).astype(np.int64)
        total = int(counts.sum())
        used = head + total * place.itemsize
        if (counts > shape[1]).any() or len(data) < used:
            raise PayloadError(
                f"the payload must hold {total} places, got {len(data) - head} bytes"
            )
        places = np.frombuffer(data, place, total, head)
        if (places >= shape[1]).any():
            raise PayloadError(f"a place in the payload must be below {shape[1]}")
        mask = np.zeros(shape, np.bool_)
        mask[np.repeat(np.arange(shape[0]), counts), places] = True
        if np.count_nonzero(mask) != total:
            raise PayloadError("a place in the payload must be named once")
        return mask, used

    def greatest_bytes(self, shape: tuple[int, int]) -> int:
        """Give its length where nothing is zero."""
        count, place = self._kinds(shape[1])
        return shape[0] * (count.itemsize + shape[1] * place.itemsize)

    def _kinds(
        self, values: int
    ) -> tuple[np.dtype[np.unsignedinteger], np.dtype[np.unsignedinteger]]:
        return smallest_uint(values), smallest_uint(max(values - 1, 0))


class DeltaIndex(Index):
    """How many values there are, and the gaps between them, seven bits to a byte."""

    def encode(self, mask: Mask) -> bytes:
        """Encode where the mask is true."""
        positions = np.flatnonzero(mask)
        return _COUNT.pack(positions.size) + gaps_to_bytes(positions)

    def decode(self, data: bytes, shape: tuple[int, int]) -> tuple[Mask, int]:
        """Give the mask, and how many bytes it took."""
        size = shape[0] * shape[1]
        if len(data) < _COUNT.size or _COUNT.unpack_from(data)[0] > size:
            raise PayloadError(f"the payload must hold a count of at most {size}")
        try:
            (count,) = _COUNT.unpack_from(data)
            positions, used = gaps_from_bytes(data[_COUNT.size :], count, size)
        except ValueError as error:
            raise PayloadError(f"the payload: {error}") from None
        mask = np.zeros(size, np.bool_)
        mask[positions] = True
        return mask.reshape(shape), _COUNT.size + used

    def greatest_bytes(self, shape: tuple[int, int]) -> int:
        """Give a length that none exceeds."""
        return _COUNT.size + 5 * shape[0] * shape[1]


INDICES: Final[dict[str, Index]] = {
    "bitmap": BitmapIndex(),
    "csr": CsrIndex(),
    "delta": DeltaIndex(),
}
"""By the name that a scenario gives."""
