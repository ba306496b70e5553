"""Bytes of weights when they are shipped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.weight_formats import FORMATS
from flexrel_sim.codec.weight_numbers import (
    KINDS,
    Numbers,
    WeightDtype,
    from_numbers,
    split_scale,
    to_numbers,
)

__all__ = ["decode_weights", "encode_weights", "shipped_bytes", "smallest_format", "weight_bytes"]

_TAG_BYTES = 1


def shipped_bytes(layers: Iterable[NDArray[np.float32]], dtype: WeightDtype = "float32") -> int:
    """Count the bytes of a network's weights, each array in its smallest format.

    Parameters
    ----------
    layers
        Weights, biases and whatever else is learned, of any shapes, zeros where pruned.
    dtype
        What a number is shipped as.

    Returns
    -------
    int
        Sum of their `weight_bytes`.
    """
    return sum(weight_bytes(layer, dtype=dtype) for layer in layers)


def weight_bytes(
    weights: NDArray[np.float32], form: str | None = None, dtype: WeightDtype = "float32"
) -> int:
    """Count the bytes that `encode_weights` gives, without encoding where the count is known.

    Parameters
    ----------
    weights
        Any shape, finite.
    form
        A name of `FORMATS`; the smallest when None.
    dtype
        What a number is shipped as.

    Returns
    -------
    int
        Bytes, with one that names the format and, for int8, 4 of its scale.
    """
    scale, numbers = to_numbers(weights, dtype)
    size = FORMATS[form].size(numbers) if form else _smallest(numbers)[1]
    return _TAG_BYTES + len(scale) + size


def smallest_format(weights: NDArray[np.float32], dtype: WeightDtype = "float32") -> str:
    """Name the format that takes the fewest bytes; of several, the first of `FORMATS`."""
    return _smallest(to_numbers(weights, dtype)[1])[0]


def encode_weights(
    weights: NDArray[np.float32], form: str | None = None, dtype: WeightDtype = "float32"
) -> bytes:
    """Encode the weights of a layer.

    Parameters
    ----------
    weights
        Any shape, finite.
    form
        A name of `FORMATS`; the smallest when None.
    dtype
        What a number is shipped as.

    Returns
    -------
    bytes
        A byte that names the format, for int8 a scale as float32, and the format's bytes.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite, or the format can't hold where the zeros are.
    """
    scale, numbers = to_numbers(weights, dtype)
    name = form or _smallest(numbers)[0]
    tag = bytes([list(FORMATS).index(name)])
    return tag + scale + FORMATS[name].encode(numbers)


def decode_weights(
    data: bytes, shape: tuple[int, ...], dtype: WeightDtype = "float32"
) -> NDArray[np.float32]:
    """Decode the weights of a layer.

    Parameters
    ----------
    data
        What `encode_weights` gave.
    shape
        Shape of the weights, known from the architecture.
    dtype
        What a number was shipped as.

    Returns
    -------
    numpy.ndarray
        The weights, as `rounded_weights` gives them.

    Raises
    ------
    ValueError
        If the data are not what `encode_weights` makes of that shape.
    """
    if not data or data[0] >= len(FORMATS):
        raise ValueError("weights must begin with the number of a format")
    try:
        scale, body = split_scale(data[_TAG_BYTES:], dtype)
        form = list(FORMATS.values())[data[0]]
        return from_numbers(scale, form.decode(body, shape, KINDS[dtype]))
    except ValueError as error:
        raise ValueError(f"weights of shape {shape}: {error}") from None


def _smallest(numbers: Numbers) -> tuple[str, int]:
    best, least = "dense", FORMATS["dense"].size(numbers)
    for name, form in FORMATS.items():
        # Whether a format can hold the zeros is looked at only where that would matter.
        size = form.size(numbers)
        if size < least and form.takes(numbers):
            best, least = name, size
    return best, least
