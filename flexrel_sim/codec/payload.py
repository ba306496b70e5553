"""Codecs: a boundary tensor to the bytes that cross the link, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.framing import CHECKSUM_BYTES, framed, unframed
from flexrel_sim.codec.layout import Layout
from flexrel_sim.codec.lossless import lossless
from flexrel_sim.codec.numbers import NUMBER_FORMATS
from flexrel_sim.codec.sparsity import INDICES, greatest

__all__ = ["AnyCodec", "Codec"]


class AnyCodec(Protocol):
    """What measuring needs of a codec."""

    @cached_property
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

    @cached_property
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
        layout = self._layout(tensor.shape)
        # NaN and infinity are of the greatest magnitude: they are kept, and refused by the layout.
        kept = greatest(layout.table(tensor), self.keep)
        body = lossless(self.compress, self.level).pack(layout.content(kept))
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
        layout = self._layout(shape)
        unpacked = lossless(self.compress, self.level).unpack(body, layout.greatest_bytes)
        return layout.tensor(unpacked)

    def bound(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the greatest error that each value may come back with, in the tensor's shape."""
        layout = self._layout(tensor.shape)
        table = layout.table(tensor)
        kept = greatest(table, self.keep)
        left_out = np.abs(table.astype(np.float64) - kept)
        return (layout.bound(kept) + left_out).reshape(tensor.shape)

    def number_bytes(self, shape: tuple[int, ...]) -> int:
        """Count the bytes of all numbers of that shape, before anything is left out or packed."""
        return self._layout(shape).number_bytes

    def overhead_bytes(self, shape: tuple[int, ...]) -> int:
        """Count the bytes of scales and checksum, before anything is packed."""
        checksum = CHECKSUM_BYTES if self.checksum else 0
        return self._layout(shape).scale_bytes + checksum

    def _layout(self, shape: tuple[int, ...]) -> Layout:
        return _layout(self.dtype, self.sparse, self.scale == "channel", shape)


@lru_cache(maxsize=256)
def _layout(dtype: str, sparse: str, per_channel: bool, shape: tuple[int, ...]) -> Layout:
    # One per tensor of a cut, for thousands of samples.
    return Layout(NUMBER_FORMATS[dtype], INDICES.get(sparse), per_channel, shape)
