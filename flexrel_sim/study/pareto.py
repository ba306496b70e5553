"""Which points no other beats, and which of them to take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_of", "costs_of", "dominated"]

_CHUNK: Final = 512
"""Points that are compared with the front at a time: bounds memory, and changes no answer."""


def dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points are beaten.

    Parameters
    ----------
    costs
        Shape ``(points, objectives)``; smaller is better.

    Returns
    -------
    numpy.ndarray
        True where some other point is nowhere worse and somewhere better, shape ``(points,)``.

    Notes
    -----
    Points are sorted, first by the first objective, equal ones joined: only a point before it can
    beat one, and if any does, one of the front does (Kung, Luccio and Preparata, *On finding the
    maxima of a set of vectors*, JACM 22, 1975). Time is that of a sort and of one comparison per
    point with the front.
    """
    points, objectives = costs.shape
    if points == 0 or objectives == 0:
        return np.zeros(points, np.bool_)
    order = np.lexsort(costs.T[::-1])
    ordered = costs[order]
    is_new = np.ones(points, np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    distinct = ordered[is_new]
    # Sorted by the first objective, no earlier point is worse in it: the others decide.
    rest = np.ascontiguousarray(distinct[:, 1:])
    beaten = np.zeros(len(distinct), np.bool_)
    front = rest[:0]
    for start in range(0, len(distinct), _CHUNK):
        chunk = rest[start : start + _CHUNK]
        lost = _beaten_by(front, chunk)
        lost |= _beaten_by(chunk, chunk, earlier_only=True)
        beaten[start : start + _CHUNK] = lost
        front = np.concatenate([front, chunk[~lost]])
    result = np.empty(points, np.bool_)
    result[order] = beaten[np.cumsum(is_new) - 1]
    return result


def best_of(costs: NDArray[np.float64]) -> int | None:
    """Find the best of some points.

    Parameters
    ----------
    costs
        Shape ``(points, objectives)``; smaller is better, the first objective counts most.

    Returns
    -------
    int or None
        Place of the point that is best in the first objective; later objectives break ties, then
        the order. None without points.
    """
    if not len(costs):
        return None
    return int(np.lexsort(costs.T[::-1])[0]) if costs.shape[1] else 0


def _beaten_by(
    rivals: NDArray[np.float64], points: NDArray[np.float64], *, earlier_only: bool = False
) -> NDArray[np.bool_]:
    """Tell which points have a rival that is nowhere worse in what is left to compare."""
    nowhere_worse = np.ones((len(points), len(rivals)), np.bool_)
    for own, other in zip(points.T, rivals.T, strict=True):
        nowhere_worse &= other[None, :] <= own[:, None]
    if earlier_only:
        nowhere_worse &= np.tri(len(points), k=-1, dtype=np.bool_)
    found = np.empty(len(points), np.bool_)
    nowhere_worse.any(axis=1, out=found)
    return found


def costs_of(points: Sequence[dict[str, float]], objectives: dict[str, str]) -> NDArray[np.float64]:
    """Give the objectives of some points as costs: smaller is better.

    Parameters
    ----------
    points
        Metrics of each.
    objectives
        Metric to ``min`` or ``max``, most important first.

    Returns
    -------
    numpy.ndarray
        Shape ``(points, objectives)``.
    """
    signs = {name: -1.0 if better == "max" else 1.0 for name, better in objectives.items()}
    costs = [[sign * point[name] for name, sign in signs.items()] for point in points]
    return np.array(costs, np.float64).reshape(len(points), len(signs))
