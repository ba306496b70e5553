"""Warnings about load: queues that never settle, and queues that had no time to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from flexrel_sim.errors import Fault
from flexrel_sim.scenario import Point, ScenarioFile
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.study.result import PointResult
from flexrel_sim.theory import mm1_mean_wait_s, mm1_mean_wait_standard_error_s

# Fewer drops than this change no latency that anybody could tell.
_DROPS_UNTOLD = 0.001

__all__ = ["drop_warnings", "overload_warnings", "saturation_warnings"]

# Below this load, waits are short and the intervals tell enough.
_HEAVY_LOAD = 0.8

# A mean wait that is known to no better than half of itself is hardly known.
_RELATIVE_ERROR_MAX = 0.5


def overload_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> list[Fault]:
    """Tell of every point whose queue grows without end, and how to stop it."""
    warnings = []
    for point, result in zip(scenario_file.points, points, strict=True):
        if isinstance(result.outcome, Unstable):
            unstable = result.outcome
            rule = (
                f"the {unstable.stage.name} is overloaded with rho = {unstable.load:.3g} >= 1"
                f"{_where(point)}: its queue grows for ever and has no latency"
            )
            rate_per_s = unstable.stable_below_per_s
            remedy = f"lower workload.rate below {rate_per_s:.4g} /s, or improve"
            if rate_per_s <= 0:
                # Other tenants, failures or updates alone are too much for it.
                remedy = "no rate is low enough for what else the scenario asks of it: improve"
            remedy += f" {unstable.stage.setting}"
            tell = partial(scenario_file.fault, point, unstable.stage.setting)
            warnings.append(tell(rule, None, remedy))
    return warnings


def saturation_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> list[Fault]:
    """Tell of points whose queue is too close to saturation for so short a run.

    Parameters
    ----------
    scenario_file
        What was run.
    points
        What came of it.

    Returns
    -------
    list of Fault
        One per point whose busiest stage, were it an M/M/1 queue, would have a standard error of
        its mean wait above half of that mean: replications that short start empty and underrate it.
    """
    warnings = []
    for point, result in zip(scenario_file.points, points, strict=True):
        outcome = result.outcome
        if not isinstance(outcome, Summary) or outcome.loads[outcome.busiest] < _HEAVY_LOAD:
            continue
        if point.scenario.workload.arrivals == "closed" or point.scenario.controller is not None:
            # Queues of a closed system are as long as its clients are many, however high the load;
            # with a controller there is more than one load.
            continue
        load = outcome.loads[outcome.busiest]
        if load >= 1:
            continue  # its waiting room is finite: what does not fit is dropped, and told
        error = mm1_mean_wait_standard_error_s(load, 1.0, outcome.counted_requests)
        if error > _RELATIVE_ERROR_MAX * mm1_mean_wait_s(load, 1.0):
            rule = (
                f"the {outcome.busiest} is close to saturation with rho = {load:.3g}"
                f"{_where(point)}: {outcome.counted_requests:,} requests are too few for its wait"
            )
            tell = partial(scenario_file.fault, point, "workload.duration")
            warnings.append(tell(rule, None, "lengthen the run, or lower the load"))
    return warnings


def _where(point: Point[Any]) -> str:
    at = ", ".join(f"{path} = {value}" for path, value in point.values.items())
    return f" at {at}" if at else ""


def drop_warnings(scenario_file: ScenarioFile[Any], points: Sequence[PointResult]) -> list[Fault]:
    """Tell where requests were dropped, and nothing that points are ranked by says so.

    Parameters
    ----------
    scenario_file
        What was run.
    points
        What came of it.

    Returns
    -------
    list of Fault
        One, of the point that dropped most: latencies are of those that were answered, so that a
        design which drops more may look faster.
    """
    scenario = scenario_file.scenario
    if {"drop_share", "miss_share"} & {*scenario.objectives, *scenario.constraints}:
        return []
    shares = [
        (result.outcome.metrics["drop_share"].value, point)
        for point, result in zip(scenario_file.points, points, strict=True)
        if isinstance(result.outcome, Summary)
    ]
    worst, point = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    if point is None or worst <= _DROPS_UNTOLD:
        return []
    rule = f"up to {worst:.1%} of the requests are dropped{_where(point)}, and have no latency"
    remedy = "rank by miss_share or drop_share too, or constrain one of them"
    return [scenario_file.fault(point, "objectives", rule, None, remedy)]
