"""Bytes of weights when they are shipped."""

from __future__ import annotations

__all__ = ["shipped_bytes"]


def shipped_bytes(weights: int, nonzero_weights: int) -> int:
    """Count the bytes of a layer's float32 weights in the smaller of two formats.

    Parameters
    ----------
    weights
        How many there are.
    nonzero_weights
        How many are not zero.

    Returns
    -------
    int
        ``4·weights`` dense, or a bitmap of one bit per weight and the non-zero values.
    """
    dense = 4 * weights
    bitmap = (weights + 7) // 8 + 4 * nonzero_weights
    return min(dense, bitmap)
