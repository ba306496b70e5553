"""Formats that a layer's weights are shipped in: numbers and where they are, as bytes.

A format sees an array of numbers, float32, float16 or int8, of which many may be zero. Its decoder
knows shape and type, which the network's card says. All integers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard

from flexrel_sim.codec.indices import gaps_from_bytes, gaps_to_bytes, smallest_uint
from flexrel_sim.codec.weight_numbers import Numbers

__all__ = [
    "FORMATS",
    "Bitmap",
    "Csr",
    "DeltaZstd",
    "Dense",
    "NumbersFormat",
    "NxM",
    "bitmap_bytes",
    "csr_bytes",
    "dense_bytes",
    "nxm_bytes",
    "unpack_zstd",
]

_COUNT = struct.Struct("<I")

# More would take longer than all of the rest, and gains a percent: mantissas are noise.
_LEVEL = 1

_SIZE_LIMIT = 1 << 32


class NumbersFormat:
    """What the smallest is chosen from."""

    def takes(self, numbers: Numbers) -> bool:
        """Tell whether the format can hold the numbers."""
        return numbers.size < _SIZE_LIMIT

    def size(self, numbers: Numbers) -> int:
        """Give the length of what `encode` gives."""
        return len(self.encode(numbers))

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape."""
        raise NotImplementedError

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers; raise ValueError if the data are not what `encode` gives."""
        raise NotImplementedError


def dense_bytes(weights: int, itemsize: int) -> int:
    """Count the bytes of ``weights`` numbers, zeros and all."""
    return weights * itemsize


def bitmap_bytes(weights: int, nonzero: int, itemsize: int) -> int:
    """Count the bytes of one bit per weight, and the non-zero numbers."""
    return (weights + 7) // 8 + nonzero * itemsize


def csr_bytes(rows: int, columns: int, nonzero: int, itemsize: int) -> int:
    """Count the bytes of row ends, column indices and non-zero numbers.

    Ends and indices take the fewest bytes of 1, 2, 4 or 8 that hold the greatest possible one.
    """
    ends = rows * smallest_uint(nonzero).itemsize
    return ends + nonzero * (smallest_uint(max(columns - 1, 0)).itemsize + itemsize)


def nxm_bytes(weights: int, n: int, m: int, itemsize: int) -> int:
    """Count the bytes of n numbers per group of m, and the bits of each one's place in it."""
    kept = -(-weights // m) * n
    return kept * itemsize + -(-kept * (m - 1).bit_length() // 8)


def unpack_zstd(data: bytes, greatest: int) -> bytes:
    """Unpack a zstd frame of at most ``greatest`` bytes, which is known before it is unpacked."""
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= greatest:
            raise ValueError(f"must unpack to at most {greatest} bytes, got {size}")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"must be a zstd frame: {error}") from None


@dataclass(frozen=True)
class Dense(NumbersFormat):
    """Every number, zeros and all."""

    def size(self, numbers: Numbers) -> int:
        """Give the length of what `encode` gives."""
        return dense_bytes(numbers.size, numbers.itemsize)

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape."""
        return numbers.tobytes()

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers."""
        _demand_length(data, dense_bytes(int(np.prod(shape)), kind.itemsize))
        return np.frombuffer(data, kind).reshape(shape)


@dataclass(frozen=True)
class Bitmap(NumbersFormat):
    """One bit per weight tells where the non-zero numbers are; they follow."""

    def size(self, numbers: Numbers) -> int:
        """Give the length of what `encode` gives."""
        return bitmap_bytes(numbers.size, int(np.count_nonzero(numbers)), numbers.itemsize)

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape."""
        flat = numbers.ravel()
        mask = flat != 0
        return b"".join([np.packbits(mask).tobytes(), flat[mask].tobytes()])

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers."""
        count = int(np.prod(shape))
        bits = np.frombuffer(data[: (count + 7) // 8], np.uint8)
        mask = np.unpackbits(bits)[:count].astype(np.bool_)
        _demand_length(data, bitmap_bytes(count, int(mask.sum()), kind.itemsize))
        flat = np.zeros(count, kind)
        flat[mask] = np.frombuffer(data, kind, offset=bits.size)
        return flat.reshape(shape)


@dataclass(frozen=True)
class Csr(NumbersFormat):
    """Compressed sparse rows: where each row ends, each number's column, the numbers.

    A row is what one output weighs: the first axis; all other axes are its columns.
    """

    def size(self, numbers: Numbers) -> int:
        """Give the length of what `encode` gives."""
        nonzero = int(np.count_nonzero(numbers))
        return csr_bytes(*_rows(numbers.shape), nonzero, numbers.itemsize)

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape."""
        rows, columns = _rows(numbers.shape)
        table = numbers.reshape(rows, columns)
        row, column = np.nonzero(table)
        ends = np.cumsum(np.bincount(row, minlength=rows)).astype(smallest_uint(row.size))
        places = column.astype(smallest_uint(max(columns - 1, 0)))
        return ends.tobytes() + places.tobytes() + table[row, column].tobytes()

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers."""
        rows, columns = _rows(shape)
        place = smallest_uint(max(columns - 1, 0))
        nonzero, end = self._counted(data, rows, place.itemsize + kind.itemsize)
        ends = np.frombuffer(data, end, rows).astype(np.int64)
        counts = np.diff(ends, prepend=0)
        column = np.frombuffer(data, place, nonzero, rows * end.itemsize)
        table = np.zeros((rows, columns), kind)
        if (counts < 0).any() or (rows and ends[-1] != nonzero) or (column >= columns).any():
            raise ValueError("rows and columns must be those of the layer")
        row = np.repeat(np.arange(rows), counts)
        offset = rows * end.itemsize + nonzero * place.itemsize
        table[row, column] = np.frombuffer(data, kind, nonzero, offset)
        return table.reshape(shape)

    def _counted(
        self, data: bytes, rows: int, each: int
    ) -> tuple[int, np.dtype[np.unsignedinteger]]:
        # The type of a row's end follows from how many numbers there are, and they from its size.
        for itemsize in (1, 2, 4, 8):
            nonzero, over = divmod(len(data) - rows * itemsize, each)
            if over == 0 and nonzero >= 0 and smallest_uint(nonzero).itemsize == itemsize:
                return nonzero, smallest_uint(nonzero)
        raise ValueError(f"{len(data)} bytes are no sparse rows")


@dataclass(frozen=True)
class DeltaZstd(NumbersFormat):
    """Gaps between the non-zero numbers, then these by planes of bytes, packed by zstd.

    Signs and exponents repeat, and lie together in a plane of their own; so do gaps.
    """

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape."""
        flat = numbers.ravel()
        positions = np.flatnonzero(flat)
        values = flat if positions.size == flat.size else flat[positions]
        planes = values.view(np.uint8).reshape(-1, numbers.itemsize).T
        content = b"".join(
            [_COUNT.pack(positions.size), gaps_to_bytes(positions), planes.tobytes()]
        )
        return zstandard.ZstdCompressor(level=_LEVEL).compress(content)

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers."""
        size = int(np.prod(shape))
        content = unpack_zstd(data, _COUNT.size + size * (5 + kind.itemsize))
        if len(content) < _COUNT.size:
            raise ValueError("must hold a count")
        (count,) = _COUNT.unpack_from(content)
        if count > size:
            raise ValueError(f"must hold at most {size} numbers, got {count}")
        positions, used = gaps_from_bytes(content[_COUNT.size :], count, size)
        _demand_length(content, _COUNT.size + used + count * kind.itemsize)
        planes = np.frombuffer(content, np.uint8, offset=_COUNT.size + used)
        flat = np.zeros(size, kind)
        values = np.ascontiguousarray(planes.reshape(kind.itemsize, count).T)
        flat[positions] = values.view(kind).ravel()
        return flat.reshape(shape)


@dataclass(frozen=True)
class NxM(NumbersFormat):
    """At most n non-zero numbers in every m that follow each other, as sparse tensor cores want.

    n numbers per group, then the place of each in its group, as bits.

    Parameters
    ----------
    n, m
        2 and 4, or 4 and 8.

    References
    ----------
    Mishra et al., *Accelerating sparse deep neural networks*, arXiv:2104.08378, section 3.
    """

    n: int
    m: int

    def takes(self, numbers: Numbers) -> bool:
        """Hold numbers of which no group of m has more than n that are not zero."""
        return bool((self._groups(numbers != 0).sum(1, dtype=np.int64) <= self.n).all())

    def size(self, numbers: Numbers) -> int:
        """Give the length of what `encode` gives."""
        return nxm_bytes(numbers.size, self.n, self.m, numbers.itemsize)

    def encode(self, numbers: Numbers) -> bytes:
        """Encode numbers of any shape; raise ValueError if a group holds too many."""
        if not self.takes(numbers):
            raise ValueError(f"must hold at most {self.n} numbers in every {self.m}")
        groups = self._groups(numbers)
        # Non-zero ones first, in their order; zeros fill a group that has fewer.
        places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, : self.n], axis=1)
        values = np.take_along_axis(groups, places, 1)
        bits = (places[..., None] >> np.arange(self._bits)) & 1
        return values.tobytes() + np.packbits(bits.astype(np.bool_)).tobytes()

    def decode(self, data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
        """Decode numbers."""
        size = int(np.prod(shape))
        _demand_length(data, nxm_bytes(size, self.n, self.m, kind.itemsize))
        count = -(-size // self.m)
        values = np.frombuffer(data, kind, count * self.n).reshape(count, self.n)
        packed = np.frombuffer(data, np.uint8, offset=values.nbytes)
        bits = np.unpackbits(packed)[: values.size * self._bits].reshape(count, self.n, self._bits)
        places = (bits.astype(np.int64) << np.arange(self._bits)).sum(2)
        groups = np.zeros((count, self.m), kind)
        np.put_along_axis(groups, places, values, 1)
        return groups.ravel()[:size].reshape(shape)

    @property
    def _bits(self) -> int:
        return (self.m - 1).bit_length()

    def _groups(self, numbers: Numbers) -> Numbers:
        flat = numbers.ravel()
        return np.pad(flat, (0, -flat.size % self.m)).reshape(-1, self.m)


FORMATS: Final[dict[str, NumbersFormat]] = {
    "dense": Dense(),
    "bitmap": Bitmap(),
    "csr": Csr(),
    "2:4": NxM(2, 4),
    "4:8": NxM(4, 8),
    "delta-zstd": DeltaZstd(),
}
"""By name; their order is their number in what is shipped."""


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    rows = shape[0] if len(shape) > 1 else 1
    return rows, int(np.prod(shape)) // rows if rows else 0


def _demand_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise ValueError(f"must hold {length} bytes, got {len(data)}")
