"""Each environment's front and choice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flexrel_sim.scenario import ScenarioFile
from flexrel_sim.scenario.constraints import Constraint
from flexrel_sim.simulation import Summary
from flexrel_sim.study.environments import Environment, find_environments
from flexrel_sim.study.pareto import best_of, costs_of, dominated
from flexrel_sim.study.result import PointResult
from flexrel_sim.study.sureness import tied_with
from flexrel_sim.study.verdicts import judge

__all__ = ["rank"]


def rank(
    points: Sequence[PointResult], scenario_file: ScenarioFile[Any]
) -> tuple[tuple[PointResult, ...], tuple[Environment, ...]]:
    """Mark what is feasible, on the front, chosen and tied with it in every environment.

    Parameters
    ----------
    points
        All points of a study, each at its index.
    scenario_file
        Whose points they are, and whose objectives and constraints count.

    Returns
    -------
    points
        The points, marked. An oracle is never feasible, nor is a point that lacks a figure it
        would be ranked by; a front is one of feasible points.
    environments
        What the points meet, and the choice in each: the best in the first objective, of those that
        the samples don't show to break a constraint; later objectives break ties, then the order.
    """
    scenario = scenario_file.scenario
    needed = {*scenario.objectives, *scenario.constraints}
    ranked = [_judged(point, scenario.constraints, needed) for point in points]
    environments = []
    for found in find_environments(scenario_file, [point.environment for point in points]):
        feasible = [ranked[index] for index in found.indices if ranked[index].feasible]
        costs = costs_of(
            [points[point.index].selection_metrics() for point in feasible], scenario.objectives
        )
        best = best_of(costs)
        if best is None:
            environments.append(found)
            continue
        environments.append(replace(found, chosen=feasible[best].index))
        marks = zip(dominated(costs), tied_with(feasible, best, scenario.objectives), strict=True)
        for place, (beaten, tied) in enumerate(marks):
            point = feasible[place]
            ranked[point.index] = replace(
                point, on_front=not beaten, chosen=place == best, tied=bool(tied)
            )
    return tuple(ranked), tuple(environments)


def _judged(
    point: PointResult, constraints: Mapping[str, Constraint], needed: Collection[str]
) -> PointResult:
    if not _is_ranked(point) or not set(needed) <= point.selection_estimates().keys():
        return point
    verdicts = {name: judge(point, name, bound) for name, bound in constraints.items()}
    feasible = all(verdict.verdict != "broken" for verdict in verdicts.values())
    return replace(point, verdicts=verdicts, feasible=feasible)


def _is_ranked(point: PointResult) -> bool:
    """Tell what can be deployed: an oracle shows how far others are, and competes with none."""
    controller = point.scenario.controller
    is_oracle = controller is not None and controller.policy == "oracle"
    return isinstance(point.outcome, Summary) and not is_oracle
