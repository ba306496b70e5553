"""The input as an image file: what a camera would send if the server did everything."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flexrel_sim.codec.framing import PayloadError, framed, unframed

__all__ = ["DEFAULT_JPEG_QUALITY", "ImageCodec"]

DEFAULT_JPEG_QUALITY = 90

_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class ImageCodec:
    """PNG, JPEG or WebP of an image ``(channels, height, width)`` in 0..1, gray or RGB.

    Pixels are rounded to one of 256 values first, as a camera's are: those of datasets in bytes
    survive that exactly.

    Parameters
    ----------
    form
        ``png``, ``jpeg`` or ``webp``.
    quality
        1 to 100, of JPEG and of lossy WebP; None is lossless WebP, and JPEG at 90.
    checksum
        Whether 4 bytes of each payload tell if it is damaged.
    """

    form: Literal["png", "jpeg", "webp"]
    quality: int | None = None
    checksum: bool = True

    @cached_property
    def name(self) -> str:
        """What it does, in one word."""
        quality = self._quality
        return self.form if quality is None else f"{self.form}-{quality}"

    @property
    def save_options(self) -> dict[str, Any]:
        """What is said to the library besides the form."""
        if self._quality is not None:
            return {"quality": self._quality}
        return {"lossless": True} if self.form == "webp" else {}

    def encode(self, tensor: NDArray[np.float32]) -> bytes:
        """Encode one image.

        Parameters
        ----------
        tensor
            Shape ``(channels, height, width)``, in 0..1, with 1 or 3 channels.

        Returns
        -------
        bytes
            What is sent; its length is the payload.

        Raises
        ------
        ValueError
            If it is no such image.
        """
        _demand_image(tensor.shape)
        # NaN fails both comparisons.
        if not (tensor.min() >= 0 and tensor.max() <= 1):
            raise ValueError("an image must be finite and in 0..1 to be encoded")
        pixels = np.rint(tensor * np.float32(255)).astype(np.uint8)
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2))
        file = io.BytesIO()
        image.save(file, self.form, **self.save_options)
        body = file.getvalue()
        return framed(body, self.name, tensor.shape) if self.checksum else body

    def decode(self, payload: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Decode one image.

        Parameters
        ----------
        payload
            What `encode` gave.
        shape
            Shape of the image.

        Returns
        -------
        numpy.ndarray
            The image as float32 in 0..1.

        Raises
        ------
        PayloadError
            If the payload is no such image; one of another size is not unpacked.
        """
        _demand_image(shape)
        body = unframed(payload, self.name, shape) if self.checksum else payload
        pixels = self._pixels(body, shape)
        table = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        return np.ascontiguousarray(table).astype(np.float32) / np.float32(255)

    def bound(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the greatest error of each value: rounding's, or where pixels are lost anything."""
        lossless = self._quality is None
        return np.full(tensor.shape, 0.5 / 255 + 2.0**-22 if lossless else 1.0)

    def _pixels(self, body: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        wanted = (shape[2], shape[1])
        try:
            with Image.open(io.BytesIO(body), formats=[self.form]) as image:
                # The head of the file says it, before a pixel is unpacked.
                if image.size != wanted:
                    raise PayloadError(
                        f"the payload must be {wanted} pixels, and says {image.size}"
                    )
                mode = _MODES[shape[0]]
                if image.mode != mode and not (self.form == "webp" and image.mode == "RGB"):
                    raise PayloadError(f"the payload must be {mode}, and says {image.mode}")
                return np.asarray(image.convert(mode))
        except PayloadError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the library makes of damaged bytes
            raise PayloadError(f"the payload is no {self.form}: {error}") from None

    @property
    def _quality(self) -> int | None:
        if self.form == "jpeg":
            return self.quality or DEFAULT_JPEG_QUALITY
        return self.quality if self.form == "webp" else None


def _demand_image(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in _MODES or 0 in shape:
        raise ValueError(f"an image must have 1 or 3 channels, height and width, got {shape}")
