"""How sure a choice is: which points could as well be the best of their environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.paired import surely_worse, surely_worse_apart, surely_worse_by_samples
from flexrel_sim.simulation import Summary
from flexrel_sim.statistics import Estimate
from flexrel_sim.study.result import PointResult

__all__ = ["tied_with"]


def tied_with(
    points: Sequence[PointResult], chosen: int, objectives: Mapping[str, str]
) -> NDArray[np.bool_]:
    """Tell which points can't be told from the chosen one.

    Parameters
    ----------
    points
        The feasible points of one environment: they met the same draws, replication by
        replication, and the same validation samples.
    chosen
        Place of the chosen one.
    objectives
        Metric to ``min`` or ``max``, most important first.

    Returns
    -------
    numpy.ndarray
        Shape ``(points,)``: True where the first objective in which a point differs from the
        chosen one does not show that it is worse. With 95 % probability the truly best point is
        the chosen one or among these: differences are paired, and there are as many comparisons
        as there are different points, see `flexrel_sim.paired`.
    """
    figures = {name: _figures(points, name) for name in objectives}
    rows = zip(*figures.values(), strict=True)
    comparisons = len({tuple(part.tobytes() for part in row) for row in rows}) - 1
    tied = np.ones(len(points), np.bool_)
    undecided = tied.copy()
    for name, better in objectives.items():
        own = figures[name]
        if own.dtype == np.bool_:
            correct = own if better == "max" else ~own
            worse = surely_worse_by_samples(correct, chosen, comparisons)
        elif own.shape[1] > 1:
            costs = -own if better == "max" else own
            worse = surely_worse(costs, chosen, comparisons)
        else:
            estimates = [_as_cost(point, name, better) for point in points]
            worse = surely_worse_apart(estimates, chosen, comparisons)
        tied &= ~(undecided & worse)
        undecided &= (own == own[chosen]).all(1)
    tied[chosen] = False
    return tied


def _figures(points: Sequence[PointResult], name: str) -> NDArray[Any]:
    """Give a figure of every point, shape ``(points, n)``.

    Of every validation sample whether it is answered correctly, of every replication its value, or
    the one value that there is.
    """
    if name == "accuracy" and len({_samples(point) for point in points}) == 1:
        return np.array([point.profile.validation_correct for point in points])
    drawn = [point.outcome for point in points if isinstance(point.outcome, Summary)]
    if all(name in outcome.per_replication for outcome in drawn):
        return np.array([outcome.per_replication[name] for outcome in drawn], np.float64)
    return np.array([[point.selection_metrics()[name]] for point in points], np.float64)


def _samples(point: PointResult) -> tuple[str, bytes, int]:
    """Name the validation samples; a mixture of options answers no sample of its own."""
    mixture = point.index if len(point.options) > 1 else -1
    data = str(point.profile.operating_point.get("data"))
    return data, point.profile.validation_labels.tobytes(), mixture


def _as_cost(point: PointResult, name: str, better: str) -> Estimate:
    found = point.selection_estimates()[name]
    return Estimate(-found.value, -found.high, -found.low) if better == "max" else found
