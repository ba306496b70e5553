"""Warnings about load and length: queues that never settle, and runs too short to tell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flexrel_sim.errors import Fault
from flexrel_sim.metrics import METRICS
from flexrel_sim.scenario import Point, ScenarioFile
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.study.result import PointResult

# Fewer drops than this change no latency that anybody could tell.
_DROPS_UNTOLD = 0.001

__all__ = ["drop_warnings", "overload_warnings", "sampling_warnings"]


def overload_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> list[Fault]:
    """Tell of the points whose queue grows without end, and how to stop it.

    Parameters
    ----------
    scenario_file
        What was run.
    points
        What came of it.

    Returns
    -------
    list of Fault
        One, whatever the number of points: how many there are, and the one with the greatest ρ.
    """
    overloaded = [
        (result.outcome, point)
        for point, result in zip(scenario_file.points, points, strict=True)
        if isinstance(result.outcome, Unstable)
    ]
    if not overloaded:
        return []
    worst, point = max(overloaded, key=lambda pair: pair[0].load)
    count = len(overloaded)
    stages = Counter(unstable.stage.name for unstable, _ in overloaded)
    if count == 1:
        told = f"the {worst.stage.name} is overloaded with rho = {worst.load:.3g} >= 1"
        told += f"{_where(point)}: its queue grows for ever and has no latency"
    else:
        of = f"all {count}" if count == len(points) else f"{count} of {len(points)}"
        where = ", ".join(f"the {name} of {number}" for name, number in stages.most_common())
        told = f"{of} points are overloaded and have no latency ({where}); the worst,"
        told += f" the {worst.stage.name} with rho = {worst.load:.3g}{_where(point)}"
    rate_per_s = worst.stable_below_per_s
    remedy = f"lower workload.rate below {rate_per_s:.4g} /s, or improve"
    if rate_per_s <= 0:
        # Other tenants, failures or updates alone are too much for it.
        remedy = "no rate is low enough for what else the scenario asks of it: improve"
    remedy += f" {worst.stage.setting}"
    return [scenario_file.fault(point, worst.stage.setting, told, None, remedy)]


def sampling_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> list[Fault]:
    """Tell which latencies' intervals are not to be relied on.

    Parameters
    ----------
    scenario_file
        What was run.
    points
        What came of it.

    Returns
    -------
    list of Fault
        One of runs that are too short and one of warm-ups, however many points there are: what the
        worst of them lacks, and what would do.
    """
    warnings = []
    for causes, what in (
        (("few", "unbounded"), "is too short to rely on the 95 % intervals of"),
        (("start",), "leaves the empty start in"),
    ):
        told = [
            (doubt.longer, doubt.warmup_s, name, doubt, point)
            for point, result in zip(scenario_file.points, points, strict=True)
            if isinstance(result.outcome, Summary)
            for name, doubt in result.outcome.doubts.items()
            if doubt.cause in causes
        ]
        if not told:
            continue
        worst, warmup_s, name, doubt, point = max(told, key=lambda own: own[:2])
        names = [metric for metric in METRICS if metric in {own[2] for own in told}]
        count = len({id(own[4]) for own in told})
        of = f" of {count} of {len(points)} points" if len(points) > 1 else ""
        rule = f"{what} {', '.join(names)}{of}; worst {name}{_where(point)}: {doubt.reason}"
        key, remedy = "workload.duration", f"run {_rounded_up(worst)} times as long"
        remedy += ", or as many more replications"
        if doubt.cause == "start":
            key, remedy = "simulation.warmup", f"set at least {_rounded_up(warmup_s)} s"
            remedy += ", and lengthen workload.duration by as much"
        warnings.append(scenario_file.fault(point, key, rule, None, remedy))
    return warnings


def _rounded_up(value: float) -> str:
    """Show a number with two digits, none of them too small."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / digit) * digit:.6g}"


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
