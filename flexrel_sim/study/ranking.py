"""Each environment's front and choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flexrel_sim.scenario import ScenarioFile
from flexrel_sim.simulation import Summary
from flexrel_sim.study.environments import Environment, find_environments
from flexrel_sim.study.pareto import best_of, costs_of, dominated
from flexrel_sim.study.result import PointResult

__all__ = ["rank"]


def rank(
    points: Sequence[PointResult], scenario_file: ScenarioFile[Any]
) -> tuple[tuple[PointResult, ...], tuple[Environment, ...]]:
    """Mark what is feasible, on the front and chosen in every environment.

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
        What the points meet, and the choice in each.
    """
    scenario = scenario_file.scenario
    metrics = [point.selection_metrics() if _is_ranked(point) else {} for point in points]
    needed = {*scenario.objectives, *scenario.constraints}
    is_feasible = [
        needed <= own.keys()
        and all(bound.holds(own[name]) for name, bound in scenario.constraints.items())
        for own in metrics
    ]
    ranked = [replace(point, feasible=is_feasible[point.index]) for point in points]
    environments = []
    for environment in find_environments(scenario_file, [point.environment for point in points]):
        feasible = [index for index in environment.indices if is_feasible[index]]
        costs = costs_of([metrics[index] for index in feasible], scenario.objectives)
        best = best_of(costs)
        chosen = None if best is None else feasible[best]
        for index, beaten in zip(feasible, dominated(costs), strict=True):
            ranked[index] = replace(ranked[index], on_front=not beaten, chosen=index == chosen)
        environments.append(replace(environment, chosen=chosen))
    return tuple(ranked), tuple(environments)


def _is_ranked(point: PointResult) -> bool:
    """Tell what can be deployed: an oracle shows how far others are, and competes with none."""
    controller = point.scenario.controller
    is_oracle = controller is not None and controller.policy == "oracle"
    return isinstance(point.outcome, Summary) and not is_oracle
