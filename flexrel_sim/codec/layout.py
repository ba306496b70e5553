"""What is in a payload before compression: scales, where the numbers belong, the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.framing import demand_bytes
from flexrel_sim.codec.numbers import NumberFormat, Table
from flexrel_sim.codec.sparsity import Index

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """The content of a payload for a tensor of one shape.

    Parameters
    ----------
    form
        Format of the numbers.
    index
        Says where they belong; None where zeros are sent as well.
    per_channel
        Whether every channel has a scale, or the tensor has one.
    shape
        Shape of the tensor.
    """

    form: NumberFormat
    index: Index | None
    per_channel: bool
    shape: tuple[int, ...]

    def table(self, tensor: NDArray[np.float32]) -> Table:
        """Give the tensor as a row for each scale."""
        return np.ascontiguousarray(tensor, np.float32).reshape(self._groups)

    def content(self, table: Table) -> bytes:
        """Give the bytes of a table; raise ValueError if it holds NaN or infinity."""
        scales, numbers = self.form.to_numbers(table)
        flat = numbers.ravel()
        if self.index is None:
            return b"".join([scales, self.form.pack(flat)])
        sent = (table != 0).ravel()
        places = self.index.encode(sent.reshape(self._channels))
        return b"".join([scales, places, self.form.pack(flat[sent])])

    def tensor(self, content: bytes) -> NDArray[np.float32]:
        """Give the tensor of such bytes; raise PayloadError if they are none."""
        scales, rest = content[: self.scale_bytes], content[self.scale_bytes :]
        demand_bytes(scales, self.scale_bytes)
        size = math.prod(self.shape)
        if self.index is None:
            demand_bytes(rest, self.number_bytes)
            numbers = self.form.unpack(rest, size)
            return self.form.from_numbers(scales, numbers.reshape(self._groups)).reshape(self.shape)
        mask, used = self.index.decode(rest, self._channels)
        count = int(mask.sum())
        demand_bytes(rest[used:], self.form.number_bytes(count))
        some = self.form.unpack(rest[used:], count)
        numbers = np.zeros(mask.shape, some.dtype)
        numbers[mask] = some
        values = self.form.from_numbers(scales, numbers.reshape(self._groups))
        return np.where(mask.reshape(self.shape), values.reshape(self.shape), np.float32(0))

    def bound(self, table: Table) -> NDArray[np.float64]:
        """Give the greatest error of each value of a table; zeros that are not sent have none."""
        bound = self.form.bound(table)
        return bound if self.index is None else np.where(table == 0, 0, bound)

    @cached_property
    def scale_bytes(self) -> int:
        """Bytes of all scales."""
        return self._groups[0] * self.form.scale_bytes

    @cached_property
    def number_bytes(self) -> int:
        """Bytes of all numbers, where zeros are sent as well."""
        return self.form.number_bytes(math.prod(self.shape))

    @cached_property
    def greatest_bytes(self) -> int:
        """A length that no content exceeds."""
        places = 0 if self.index is None else self.index.greatest_bytes(self._channels)
        return self.scale_bytes + places + self.number_bytes

    @cached_property
    def _channels(self) -> tuple[int, int]:
        # A vector is one channel.
        channels = self.shape[0] if len(self.shape) > 1 else 1
        return channels, math.prod(self.shape) // channels if channels else 0

    @cached_property
    def _groups(self) -> tuple[int, int]:
        return self._channels if self.per_channel else (1, math.prod(self.shape))
