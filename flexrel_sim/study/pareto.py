"""Which points no other beats, and which of them to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.scenario.schema import Constraint

__all__ = ["choose", "dominated"]


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
    """
    beaten = np.zeros(len(costs), dtype=np.bool_)
    for index, cost in enumerate(costs):
        beaten[index] = bool(((costs <= cost).all(1) & (costs < cost).any(1)).any())
    return beaten


def choose(
    points: Sequence[Mapping[str, float]],
    objectives: Mapping[str, str],
    constraints: Mapping[str, Constraint],
) -> tuple[NDArray[np.bool_], int | None]:
    """Find the front of some points, and the best of it.

    Parameters
    ----------
    points
        Metrics of each.
    objectives
        Metric to ``min`` or ``max``, most important first.
    constraints
        Bounds that the chosen point must keep.

    Returns
    -------
    on_front
        Whether each point is on the Pareto front of all, shape ``(points,)``.
    chosen
        Index of the point that is best in the first objective among those that keep the
        constraints; later objectives break ties, then the order. None if no point keeps them.
    """
    signs = {name: -1.0 if better == "max" else 1.0 for name, better in objectives.items()}
    costs = np.array([[sign * point[name] for name, sign in signs.items()] for point in points])
    costs = costs.reshape(len(points), len(signs))
    feasible = [
        index
        for index, point in enumerate(points)
        if all(bound.holds(point[name]) for name, bound in constraints.items())
    ]
    best = min(feasible, key=lambda index: (*costs[index], index), default=None)
    return ~dominated(costs), best
