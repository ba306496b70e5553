"""Number formats: a boundary tensor's float32 values as fewer bits.

A format sees a table ``(groups, values)``: one row for the whole tensor, or one per channel, each
with a scale of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.framing import PayloadError

__all__ = ["NUMBER_FORMATS", "Affine", "Bfloat16", "Float", "NumberFormat", "Table"]

Table = NDArray[np.float32]
"""Shape ``(groups, values)``."""

_LIMIT = float(np.finfo(np.float32).max)

# Values per pass: a block and what is computed from it stay in the second-level cache.
_BLOCK = 1 << 16

# Above it, the inverse of a step is a normal float32.
_STEP_MIN = 2.0**-100


class NumberFormat:
    """What becomes of a value."""

    bits: int
    """Bits of one number."""
    scale_bytes: int = 0
    """Bytes that every group adds."""

    def to_numbers(self, table: Table) -> tuple[bytes, NDArray[Any]]:
        """Give the scales' bytes, and a table of numbers; raise ValueError on NaN and infinity."""
        raise NotImplementedError

    def from_numbers(self, scales: bytes, numbers: NDArray[Any]) -> Table:
        """Give the values that numbers stand for; raise PayloadError if they are not finite."""
        raise NotImplementedError

    def pack(self, numbers: NDArray[Any]) -> memoryview | bytes:
        """Give the bytes of numbers, shape ``(count,)``; not a copy where none is needed."""
        return numbers.view(np.uint8).data

    def unpack(self, data: bytes, count: int) -> NDArray[Any]:
        """Give the numbers of that many bytes, shape ``(count,)``."""
        raise NotImplementedError

    def bound(self, table: Table) -> NDArray[np.float64]:
        """Give the greatest error that each value may come back with."""
        raise NotImplementedError

    def number_bytes(self, count: int) -> int:
        """Count the bytes of numbers, without scales."""
        return (count * self.bits + 7) // 8


@dataclass(frozen=True)
class Float(NumberFormat):
    """An IEEE format: float32 as it is, or float16, which saturates at ±65504.

    Parameters
    ----------
    kind
        ``<f4`` or ``<f2``.
    """

    kind: str

    @property
    def bits(self) -> int:  # type: ignore[override]
        """Bits of one number."""
        return 8 * np.dtype(self.kind).itemsize

    def to_numbers(self, table: Table) -> tuple[bytes, NDArray[Any]]:
        """Give no scales, and the table in that format."""
        low, high = _overall(*_extremes(table))
        limit = _greatest(self.kind)
        if low < -limit or high > limit:
            table = np.clip(table, -limit, limit)
        return b"", table.astype(self.kind, copy=False)

    def from_numbers(self, scales: bytes, numbers: NDArray[Any]) -> Table:  # noqa: ARG002
        """Give the values as float32."""
        return _finite(numbers.astype(np.float32))

    def unpack(self, data: bytes, count: int) -> NDArray[Any]:
        """Give the numbers of that many bytes."""
        return np.frombuffer(data, self.kind, count)

    def bound(self, table: Table) -> NDArray[np.float64]:
        """Half a step: relative, absolute below the least normal number; and what saturates."""
        size = np.abs(table.astype(np.float64))
        if self.kind == "<f4":
            return np.zeros(size.shape)
        info = np.finfo(self.kind)
        half = np.maximum(size * float(info.eps) / 2, float(info.smallest_subnormal) / 2)
        return np.maximum(half, size - float(info.max))


@dataclass(frozen=True)
class Bfloat16(NumberFormat):
    """The upper half of a float32, rounded to even: its range, and 8 significant bits."""

    bits = 16

    def to_numbers(self, table: Table) -> tuple[bytes, NDArray[Any]]:
        """Give no scales, and upper halves."""
        _extremes(table)
        whole = np.ascontiguousarray(table).view(np.uint32)
        rounded = (whole + 0x7FFF + ((whole >> 16) & 1)) >> 16
        # The greatest values would round up to infinity.
        rounded -= (rounded & 0x7FFF) == 0x7F80
        return b"", rounded.astype("<u2")

    def from_numbers(self, scales: bytes, numbers: NDArray[Any]) -> Table:  # noqa: ARG002
        """Give the values as float32, lower halves zero."""
        return _finite((numbers.astype(np.uint32) << 16).view(np.float32))

    def unpack(self, data: bytes, count: int) -> NDArray[Any]:
        """Give the numbers of that many bytes."""
        return np.frombuffer(data, "<u2", count)

    def bound(self, table: Table) -> NDArray[np.float64]:
        """Half a step: 2**-8 of the value, 2**-134 below the least normal number."""
        return np.maximum(np.abs(table.astype(np.float64)) * 2.0**-8, 2.0**-134)


@dataclass(frozen=True)
class Affine(NumberFormat):
    """Evenly spaced values between the least and the greatest of a group.

    Every group sends its least value and its step, as float32.

    Parameters
    ----------
    bits
        8, or 4: two numbers to a byte, the first in the low half.

    References
    ----------
    Jacob et al., *Quantization and training of neural networks for efficient integer-arithmetic-
    only inference*, CVPR 2018, equation 1.
    """

    bits: int
    scale_bytes = 8

    def to_numbers(self, table: Table) -> tuple[bytes, NDArray[Any]]:
        """Give least values and steps, and levels from 0 up."""
        low, high = _extremes(table)
        steps = ((high.astype(np.float64) - low) / self._top).astype(np.float32)
        levels = np.empty(table.shape, np.uint8)
        rows = max(1, _BLOCK // max(1, table.shape[1]))
        for row in range(0, len(table), rows):
            some = slice(row, row + rows)
            _quantise(table[some], low[some], steps[some], self._top, levels[some])
        scales = np.stack([low, steps], axis=1).astype("<f4", copy=False)
        return scales.tobytes(), levels

    def from_numbers(self, scales: bytes, numbers: NDArray[Any]) -> Table:
        """Give ``least + step · level``."""
        low, step = np.frombuffer(scales, "<f4").astype(np.float64).reshape(-1, 2).T
        if not (np.isfinite(low).all() and np.isfinite(step).all()):
            raise PayloadError("the payload must hold a finite offset and scale")
        if len(low) != 1:
            return _scaled(low[:, None], step[:, None], numbers)
        # There are few levels: each one's value is computed once.
        known = _scaled(low, step, np.arange(self._top + 1))
        table = np.empty(numbers.shape, np.float32)
        for start in range(0, numbers.size, _BLOCK):
            # Block by block, since indices become eight bytes each.
            part = table[0, start : start + _BLOCK]
            np.take(known, numbers[0, start : start + _BLOCK], out=part, mode="clip")
        return table

    def pack(self, numbers: NDArray[Any]) -> memoryview | bytes:
        """Give a byte for each number, or for two."""
        if self.bits == 8:
            return super().pack(numbers)
        padded = np.pad(numbers, (0, numbers.size % 2))
        return bytes(padded[::2] | padded[1::2] << 4)

    def unpack(self, data: bytes, count: int) -> NDArray[Any]:
        """Give the numbers of that many bytes."""
        packed = np.frombuffer(data, np.uint8)
        if self.bits == 8:
            return packed
        return np.stack([packed & 15, packed >> 4], axis=1).ravel()[:count]

    def bound(self, table: Table) -> NDArray[np.float64]:
        """Half a step, and what float32 rounds off the step, the level and the result."""
        wide = table.astype(np.float64)
        width = np.ptp(wide, axis=1, keepdims=True) if table.shape[1] else np.zeros((len(table), 1))
        size = np.abs(wide).max(axis=1, keepdims=True, initial=0)
        tiny = self._top * float(np.finfo(np.float32).smallest_subnormal)
        each = width / self._top * (0.5 + 2.0**-11) + size * 2.0**-23 + tiny
        return np.broadcast_to(each, table.shape).copy()

    @property
    def _top(self) -> int:
        return (1 << self.bits) - 1


NUMBER_FORMATS: Final[dict[str, NumberFormat]] = {
    "float32": Float("<f4"),
    "float16": Float("<f2"),
    "bfloat16": Bfloat16(),
    "uint8": Affine(8),
    "int4": Affine(4),
}
"""By the name that a scenario gives."""


@cache
def _greatest(kind: str) -> float:
    return float(np.finfo(kind).max)


def _extremes(table: Table) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give each row's least and greatest value; a NaN is both, so that no pass looks for it."""
    rows, count = table.shape
    if count == 0:
        return np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    if count <= _BLOCK:
        low, high = table.min(axis=1), table.max(axis=1)
    else:
        parts = [table[:, start : start + _BLOCK] for start in range(0, count, _BLOCK)]
        low = np.min([part.min(axis=1) for part in parts], axis=0)
        high = np.max([part.max(axis=1) for part in parts], axis=0)
    if not all(map(math.isfinite, _overall(low, high))):
        raise ValueError("a boundary tensor must be finite to be encoded")
    return low, high


def _overall(low: NDArray[np.float32], high: NDArray[np.float32]) -> tuple[float, float]:
    """Give the least and the greatest value of all rows."""
    if low.size == 1:
        return float(low[0]), float(high[0])
    return float(low.min(initial=0)), float(high.max(initial=0))


def _quantise(table: Table, low: Table, steps: Table, top: int, levels: NDArray[np.uint8]) -> None:
    """Fill in the levels of some rows, whose least values and steps have the shape ``(rows,)``."""
    wide, each = low.astype(np.float64)[:, None], steps.astype(np.float64)[:, None]
    # A row of one value is level 0, whatever its offset.
    inverse = np.divide(1, each, out=np.zeros_like(each), where=each > 0)
    greatest = np.maximum(np.abs(wide), np.abs(wide + each * top))
    # Level + 1/2, cut off, as one product and one sum. In float32, which is half the traffic, where
    # all of that is below 2**10: it is then right to 2**-12 of a level, and can't reach top + 1.
    fine = ((each > _STEP_MIN) & (greatest < each * 2**10)) | (each == 0)
    exact = np.float32 if fine.all() else np.float64
    per_step = inverse.astype(exact)
    shift = np.where(each > 0, 0.5 - wide * inverse, 0).astype(exact)
    columns = max(1, min(_BLOCK, table.shape[1]))
    scratch = np.empty((len(table), columns), exact)
    for start in range(0, table.shape[1], columns):
        block = table[:, start : start + columns]
        part = np.multiply(block, per_step, out=scratch[:, : block.shape[1]])
        part += shift
        if exact is np.float64:
            np.clip(part, 0, top, out=part)
        levels[:, start : start + columns] = part


def _scaled(
    low: NDArray[np.float64], step: NDArray[np.float64], levels: NDArray[Any]
) -> NDArray[np.float32]:
    values: NDArray[np.float64] = np.clip(low + step * levels, -_LIMIT, _LIMIT)
    return values.astype(np.float32)


def _finite(values: Table) -> Table:
    if values.size and not np.isfinite(values).all():
        raise PayloadError("the payload must hold finite numbers")
    return values
