"""What a deployed camera does to images: noise, blur, contrast, brightness. No torch."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEVERITIES", "corrupted"]

SEVERITIES: Final = MappingProxyType(
    {
        "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    }
)
"""Strength of every kind at severities 1 to 5: those of CIFAR-10-C [1]_, made for 32x32 images.

noise: standard deviation of the Gaussian noise, of 1. blur: standard deviation of the Gaussian
kernel in pixels of an image 32 high; larger images get as much more of it (a choice: at 224 these
are 2.8 to 7 pixels, where ImageNet-C has 1 to 6), smaller ones don't get less, which would be none.
contrast: what is left of the distance from the channel's mean. brightness: what is added to the
value of HSV, of 1.

.. [1] D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
   and Perturbations", ICLR 2019; parameters in its repository hendrycks/robustness, file
   ImageNet-C/create_c/make_cifar_c.py, functions gaussian_noise, gaussian_blur, contrast and
   brightness.
"""

_BLUR_HEIGHT = 32

Array = NDArray[np.float32]


def corrupted(
    images: Array,
    kind: str,
    severity: int,
    seed: int = 0,
    indices: NDArray[np.int64] | None = None,
) -> Array:
    """Corrupt images as a bad camera or bad light would.

    Parameters
    ----------
    images
        Shape ``(samples, channels, height, width)``, in 0..1.
    kind
        A key of `SEVERITIES`.
    severity
        From 1 to 5.
    seed
        Seed of the noise; the other kinds have nothing random.
    indices
        Places of the images in their dataset, shape ``(samples,)``; 0, 1, … when None. The noise
        of an image follows from seed and place alone, not from the images that it comes with; a
        larger severity is more of the same noise.

    Returns
    -------
    numpy.ndarray
        The images, float32 in 0..1.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    strength = SEVERITIES[kind][severity - 1]
    if kind == "noise":
        places = np.arange(len(images)) if indices is None else indices
        changed = images + strength * _noise(images.shape[1:], seed, places)
    else:
        changed = _RULES[kind](images.astype(np.float64), strength)
    return np.clip(changed, 0, 1).astype(np.float32)


def _noise(shape: tuple[int, ...], seed: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
    noise = [np.random.default_rng((seed, place)).standard_normal(shape) for place in places]
    return np.array(noise, dtype=np.float64).reshape(len(places), *shape)


def _blurred(images: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415 - slow to import, and rarely needed

    sigma = strength * max(1.0, images.shape[2] / _BLUR_HEIGHT)
    blurred: NDArray[np.float64] = gaussian_filter(images, sigma, axes=(2, 3), mode="reflect")
    return blurred


def _less_contrast(images: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    means = images.mean(axis=(2, 3), keepdims=True)
    reduced: NDArray[np.float64] = (images - means) * strength + means
    return reduced


def _brighter(images: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    # The value of HSV is the largest channel; with hue and saturation kept, channels scale with it.
    value = images.max(axis=1, keepdims=True)
    raised = np.minimum(value + strength, 1)
    scale = np.divide(raised, value, out=np.zeros_like(value), where=value > 0)
    brighter: NDArray[np.float64] = np.where(value > 0, images * scale, raised)
    return brighter


_RULES: Final[dict[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]]]] = {
    "blur": _blurred,
    "contrast": _less_contrast,
    "brightness": _brighter,
}
