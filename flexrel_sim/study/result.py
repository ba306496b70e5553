"""What a study found. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from flexrel_sim.errors import Fault
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import ScenarioFile, SystemScenario
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.statistics import Estimate, mixed
from flexrel_sim.study.pareto import choose

__all__ = ["ENVIRONMENT", "PointResult", "StudyResult", "rank"]

ENVIRONMENT: Final = ("link", "workload", "simulation")
"""What a designer meets rather than chooses: points are compared within one environment."""


@dataclass(frozen=True)
class PointResult:
    """One point of a study.

    Parameters
    ----------
    index
        Its place in the study.
    values
        The swept keys and their values, as written.
    scenario
        The scenario.
    profile
        The operating point, measured; with a controller, the one that it starts with.
    outcome
        Its figures, or why it has none.
    on_front
        Whether no other point of its environment beats it in the objectives.
    chosen
        Whether it is the one to take in its environment.
    options
        All operating points that a controller chooses among; the one above without.
    """

    index: int
    values: dict[str, Any]
    scenario: SystemScenario
    profile: Profile
    outcome: Summary | Unstable
    on_front: bool = False
    chosen: bool = False
    options: tuple[Profile, ...] = ()

    @property
    def environment(self) -> str:
        """A name of its link, workload and simulation, for grouping."""
        return self.scenario.model_dump_json(include=set(ENVIRONMENT))

    @property
    def validation_accuracy(self) -> Estimate:
        """Accuracy on validation samples; a controller's options count as they were used."""
        if isinstance(self.outcome, Unstable) or not self.options:
            return self.profile.validation_accuracy
        accuracies = [profile.validation_accuracy for profile in self.options]
        return mixed(accuracies, self.outcome.option_shares)

    def selection_metrics(self) -> dict[str, float]:
        """Give the metrics that selection sees: accuracy is that of the validation samples."""
        if isinstance(self.outcome, Unstable):
            return {}
        metrics = {name: estimate.value for name, estimate in self.outcome.metrics.items()}
        return metrics | {"accuracy": self.validation_accuracy.value}


@dataclass(frozen=True)
class StudyResult:
    """All points of a study.

    Parameters
    ----------
    scenario_file
        What was asked.
    points
        What was found.
    warnings
        What is right and perhaps not meant.
    """

    scenario_file: ScenarioFile[Any]
    points: tuple[PointResult, ...]
    warnings: tuple[Fault, ...] = ()

    @property
    def base_environment(self) -> tuple[PointResult, ...]:
        """Points in the base scenario's environment, or in the first one if none is."""
        base = self.scenario_file.scenario.model_dump_json(include=set(ENVIRONMENT))
        own = tuple(point for point in self.points if point.environment == base)
        first = self.points[0].environment
        return own or tuple(point for point in self.points if point.environment == first)

    @property
    def chosen(self) -> PointResult | None:
        """The point to take in the base environment; None if none keeps the constraints."""
        return next((point for point in self.base_environment if point.chosen), None)


def rank(points: Sequence[PointResult], scenario: SystemScenario) -> tuple[PointResult, ...]:
    """Mark the front and the choice of every environment.

    Parameters
    ----------
    points
        All points of a study.
    scenario
        Whose objectives and constraints count.

    Returns
    -------
    tuple of PointResult
        The points, marked. An oracle is on no front and never chosen, nor is a point that lacks a
        figure it would be ranked by.
    """
    marks: dict[int, tuple[bool, bool]] = {}
    for environment in dict.fromkeys(point.environment for point in points):
        group = [
            point
            for point in points
            if point.environment == environment
            and isinstance(point.outcome, Summary)
            and not _knows_the_future(point)
            and {*scenario.objectives, *scenario.constraints} <= set(point.outcome.metrics)
        ]
        metrics = [point.selection_metrics() for point in group]
        on_front, best = choose(metrics, scenario.objectives, scenario.constraints)
        for place, point in enumerate(group):
            marks[point.index] = (bool(on_front[place]), place == best)
    unmarked = (False, False)
    return tuple(
        replace(point, on_front=front, chosen=chosen)
        for point in points
        for front, chosen in [marks.get(point.index, unmarked)]
    )


def _knows_the_future(point: PointResult) -> bool:
    """Tell what nobody can deploy: an oracle shows how far others are, and competes with none."""
    controller = point.scenario.controller
    return controller is not None and controller.policy == "oracle"
