"""Codecs: a boundary tensor to the bytes that cross the link, and back."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
import zstandard
from numpy.typing import NDArray

__all__ = ["Codec"]

_SCALE = struct.Struct("<ff")


@dataclass(frozen=True)
class Codec:
    """A number format, and lossless compression of it.

    Both sides know the tensor's shape from the cut, so the payload holds numbers only; uint8 adds
    its offset and scale, 8 bytes.

    Parameters
    ----------
    dtype
        ``float32`` is exact; ``float16`` rounds, and saturates at ±65504; ``uint8`` rounds to one
        of 256 evenly spaced values between the tensor's least and greatest.
    compress
        ``zstd`` or ``none``.
    level
        Level of zstd.
    """

    dtype: Literal["float32", "float16", "uint8"] = "uint8"
    compress: Literal["none", "zstd"] = "none"
    level: int = 3

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
        if not np.isfinite(tensor).all():
            raise ValueError("a boundary tensor must be finite to be encoded")
        numbers = self._to_numbers(tensor)
        if self.compress == "none":
            return numbers
        return zstandard.ZstdCompressor(level=self.level).compress(numbers)

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
        ValueError
            If the payload is not what this codec makes of that shape.
        """
        size = int(np.prod(shape)) * np.dtype(self.dtype).itemsize
        size += _SCALE.size if self.dtype == "uint8" else 0
        numbers = payload
        if self.compress == "zstd":
            # The size is known from the shape: a larger frame is refused before it is unpacked.
            try:
                if zstandard.frame_content_size(payload) != size:
                    raise ValueError(f"the payload must unpack to {size} bytes")
                numbers = zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
            except zstandard.ZstdError as error:
                raise ValueError(f"the payload is no zstd frame: {error}") from None
        if len(numbers) != size:
            raise ValueError(f"the payload must hold {size} bytes, got {len(numbers)}")
        values = self._from_numbers(numbers)
        if not np.isfinite(values).all():
            raise ValueError("the payload must hold finite numbers")
        return values.reshape(shape)

    def _to_numbers(self, tensor: NDArray[np.float32]) -> bytes:
        if self.dtype == "float32":
            return tensor.astype("<f4").tobytes()
        if self.dtype == "float16":
            limit = float(np.finfo(np.float16).max)
            return np.clip(tensor, -limit, limit).astype("<f2").tobytes()
        low = float(tensor.min()) if tensor.size else 0.0
        # In float64: the range of two float32 extremes overflows float32.
        step = (float(tensor.max()) - low) / 255 if tensor.size else 0.0
        step32 = np.float32(step)
        if step32 == 0:
            return _SCALE.pack(low, 0.0) + bytes(tensor.size)
        levels = np.rint((tensor.astype(np.float64) - low) / float(step32))
        return _SCALE.pack(low, step32) + np.clip(levels, 0, 255).astype(np.uint8).tobytes()

    def _from_numbers(self, numbers: bytes) -> NDArray[np.float32]:
        if self.dtype == "float32":
            return np.frombuffer(numbers, "<f4").astype(np.float32)
        if self.dtype == "float16":
            return np.frombuffer(numbers, "<f2").astype(np.float32)
        low, step = _SCALE.unpack_from(numbers)
        if not (math.isfinite(low) and math.isfinite(step)):
            raise ValueError("the payload must hold a finite offset and scale")
        levels = np.frombuffer(numbers, np.uint8, offset=_SCALE.size)
        limit = float(np.finfo(np.float32).max)
        values = np.clip(low + step * levels.astype(np.float64), -limit, limit)
        return np.asarray(values, dtype=np.float32)
