"""Codecs: a boundary tensor to the bytes that cross the link, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.framing import CHECKSUM_BYTES, demand_bytes, framed, unframed
from flexrel_sim.codec.lossless import Lossless, lossless
from flexrel_sim.codec.numbers import NUMBER_FORMATS, NumberFormat, Table
from flexrel_sim.codec.sparsity import INDICES, greatest

__all__ = ["AnyCodec", "Codec"]


class AnyCodec(Protocol):
    """What measuring needs of a codec."""

    @property
    def name(self) -> str:
        """What it does, in one word."""

    def encode(self, tensor: NDArray[np.float32]) -> bytes:
        """Encode one sample's tensor."""

    def decode(self, payload: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Decode one sample's payload; raise PayloadError if it is none."""

    def bound(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the greatest error of each value."""


@dataclass(frozen=True)
class Codec:
    """A number format, what is left out, and lossless compression.

    Both sides know the tensor's shape from the cut. What is sent: a checksum, and compressed
    together scales, where the numbers belong, and the numbers.

    Parameters
    ----------
    dtype
        ``float32`` is exact; ``float16`` rounds, and saturates at ±65504; ``bfloat16`` rounds to
        8 bits; ``uint8`` and ``int4`` round to one of 256 or 16 evenly spaced values between the
        least and the greatest.
    compress
        ``none``, ``zstd``, ``lz4`` or ``ans``.
    level
        Level of zstd.
    scale
        Whether uint8 and int4 know least and greatest of the ``tensor``, or of every ``channel``:
        of the first axis, where there are several.
    sparse
        How it is said where the numbers that are not zero belong; ``none`` sends zeros, too.
    keep
        Share of the values that is sent, those of greatest magnitude; the others become zero.
    checksum
        Whether 4 bytes of each payload tell if it is damaged.
    """

    dtype: Literal["float32", "float16", "bfloat16", "uint8", "int4"] = "uint8"
    compress: Literal["none", "zstd", "lz4", "ans"] = "none"
    level: int = 3
    scale: Literal["tensor", "channel"] = "tensor"
    sparse: Literal["none", "bitmap", "csr", "delta"] = "none"
    keep: float = 1.0
    checksum: bool = True

    @property
    def name(self) -> str:
        """What it does, in one word."""
        parts: list[str] = [self.dtype]
        parts += ["per-channel"] if self.scale == "channel" else []
        parts += [f"top-{self.keep:g}"] if self.keep < 1 else []
        parts += [self.sparse] if self.sparse != "none" else []
        parts += [self.compress + (f"-{self.level}" if self.compress == "zstd" else "")]
        return "+".join(part for part in parts if part != "none")

    def encode(self, tensor: NDArray[np.float32]) -> bytes:
        """Encode one sample's boundary tensor.

        Parameters
        ----------
        tensor
            Any shape, finite.

        Returns
        -------
        bytes
            What is sent; its length is the payload.

        Raises
        ------
        ValueError
            If the tensor holds NaN or infinity.
        """
        kept, scales, numbers = self._numbers(tensor)
        flat = numbers.ravel()
        index = b""
        if self.sparse != "none":
            sent = kept != 0
            index = INDICES[self.sparse].encode(sent.reshape(_channels(tensor.shape)))
            flat = flat[sent.ravel()]
        body = self._lossless.pack(b"".join([scales, index, self._format.pack(flat)]))
        return framed(body, self.name, tensor.shape) if self.checksum else body

    def decode(self, payload: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Decode one sample's payload.

        Parameters
        ----------
        payload
            What `encode` gave.
        shape
            Shape of the tensor, known from the cut.

        Returns
        -------
        numpy.ndarray
            The tensor as float32.

        Raises
        ------
        PayloadError
            If the payload is not what this codec makes of that shape; it never unpacks to more
            than the shape asks for.
        """
        body = unframed(payload, self.name, shape) if self.checksum else payload
        content = self._lossless.unpack(body, self._greatest_bytes(shape))
        scale_bytes = self.overhead_bytes(shape) - self._checksum_bytes
        scales, rest = content[:scale_bytes], content[scale_bytes:]
        demand_bytes(scales, scale_bytes)
        groups = self._groups(shape)
        if self.sparse == "none":
            count = groups[0] * groups[1]
            demand_bytes(rest, self._format.number_bytes(count))
            numbers = self._format.unpack(rest, count).reshape(groups)
            return self._format.from_numbers(scales, numbers).reshape(shape)
        mask, used = INDICES[self.sparse].decode(rest, _channels(shape))
        count = int(mask.sum())
        demand_bytes(rest[used:], self._format.number_bytes(count))
        some = self._format.unpack(rest[used:], count)
        numbers = np.zeros(mask.shape, some.dtype)
        numbers[mask] = some
        values = self._format.from_numbers(scales, numbers.reshape(groups)).reshape(mask.shape)
        return np.where(mask, values, np.float32(0)).reshape(shape)

    def bound(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the greatest error that each value may come back with, in the tensor's shape."""
        kept = self._kept(tensor.reshape(self._groups(tensor.shape)))
        bound = self._format.bound(kept)
        if self.sparse != "none":
            bound[kept == 0] = 0
        left_out = np.abs(tensor.astype(np.float64).reshape(kept.shape) - kept)
        return (bound + left_out).reshape(tensor.shape)

    def number_bytes(self, shape: tuple[int, ...]) -> int:
        """Count the bytes of all numbers of that shape, before anything is left out or packed."""
        return self._format.number_bytes(math.prod(shape))

    def overhead_bytes(self, shape: tuple[int, ...]) -> int:
        """Count the bytes of scales and checksum, before anything is packed."""
        return self._groups(shape)[0] * self._format.scale_bytes + self._checksum_bytes

    @property
    def _format(self) -> NumberFormat:
        return NUMBER_FORMATS[self.dtype]

    @property
    def _lossless(self) -> Lossless:
        return lossless(self.compress, self.level)

    @property
    def _checksum_bytes(self) -> int:
        return CHECKSUM_BYTES if self.checksum else 0

    def _groups(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return _channels(shape) if self.scale == "channel" else (1, math.prod(shape))

    def _kept(self, table: Table) -> Table:
        return (
            np.where(greatest(table, self.keep), table, np.float32(0)) if self.keep < 1 else table
        )

    def _numbers(self, tensor: NDArray[np.float32]) -> tuple[Table, bytes, NDArray[np.generic]]:
        table = np.ascontiguousarray(tensor, np.float32).reshape(self._groups(tensor.shape))
        # NaN and infinity are of the greatest magnitude: they are kept, and refused by the format.
        kept = self._kept(table)
        return (kept, *self._format.to_numbers(kept))

    def _greatest_bytes(self, shape: tuple[int, ...]) -> int:
        index = (
            INDICES[self.sparse].greatest_bytes(_channels(shape)) if self.sparse != "none" else 0
        )
        return self.overhead_bytes(shape) + index + self.number_bytes(shape)


def _channels(shape: tuple[int, ...]) -> tuple[int, int]:
    """Give the channels, and the values of each; a vector is one channel."""
    channels = shape[0] if len(shape) > 1 else 1
    return channels, math.prod(shape) // channels if channels else 0
