"""What a study found. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flexrel_sim.accuracy import mixed_figures
from flexrel_sim.errors import Fault
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import ScenarioFile, SystemScenario
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.statistics import Estimate
from flexrel_sim.study.environments import Environment, environment_key

if TYPE_CHECKING:
    from flexrel_sim.study.verdicts import Verdict

__all__ = ["PointResult", "StudyResult"]


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
    verdicts
        What every constraint is to it, where it has all figures that it is ranked by.
    feasible
        Whether it has these figures and breaks no constraint.
    on_front
        Whether no other feasible point of its environment beats it in the objectives.
    chosen
        Whether it is the one to take in its environment.
    tied
        Whether it is feasible, not chosen, and can't be told from the chosen one.
    options
        All operating points that a controller chooses among; the one above without.
    """

    index: int
    values: dict[str, Any]
    scenario: SystemScenario
    profile: Profile
    outcome: Summary | Unstable
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    feasible: bool = False
    on_front: bool = False
    chosen: bool = False
    tied: bool = False
    options: tuple[Profile, ...] = ()

    @cached_property
    def environment(self) -> str:
        """A name of its link, workload and simulation, for grouping."""
        return environment_key(self.scenario)

    @cached_property
    def validation_figures(self) -> dict[str, Estimate]:
        """Accuracy and recalls on validation samples; a controller's options count as used."""
        if isinstance(self.outcome, Unstable) or not self.options:
            return self.profile.validation_recalls.figures
        parts = [profile.validation_recalls for profile in self.options]
        return mixed_figures(parts, self.outcome.option_shares)

    @property
    def validation_accuracy(self) -> Estimate:
        """Accuracy on validation samples; a controller's options count as they were used."""
        return self.validation_figures["accuracy"]

    def selection_estimates(self) -> Mapping[str, Estimate]:
        """Give the figures that selection sees: those of answers are the validation samples'."""
        return self._selected

    @cached_property
    def _selected(self) -> Mapping[str, Estimate]:
        if isinstance(self.outcome, Unstable):
            return {}
        return self.outcome.metrics | self.validation_figures

    def selection_metrics(self) -> dict[str, float]:
        """Give the values of the figures that selection sees."""
        return {name: estimate.value for name, estimate in self.selection_estimates().items()}


@dataclass(frozen=True)
class StudyResult:
    """All points of a study.

    Parameters
    ----------
    scenario_file
        What was asked.
    points
        What was found; a point's index is its place.
    environments
        The environments that the points meet, in the order of the points: each is ranked by
        itself.
    warnings
        Warnings: valid, but likely a mistake.
    """

    scenario_file: ScenarioFile[Any]
    points: tuple[PointResult, ...]
    environments: tuple[Environment, ...]
    warnings: tuple[Fault, ...] = ()

    @property
    def headline(self) -> Environment:
        """The environment that tables and pictures show: the base scenario's, if a point meets it.

        Otherwise it is the first one, and its `is_base` says so.
        """
        own = (environment for environment in self.environments if environment.is_base)
        return next(own, self.environments[0])

    @property
    def headline_points(self) -> tuple[PointResult, ...]:
        """The points that meet the headline's environment."""
        return self.points_of(self.headline)

    @property
    def chosen(self) -> PointResult | None:
        """The point to take in the headline's environment; None if none keeps the constraints."""
        index = self.headline.chosen
        return None if index is None else self.points[index]

    @property
    def choices(self) -> tuple[PointResult, ...]:
        """The points to take in all environments; one that has none is left out."""
        chosen = (environment.chosen for environment in self.environments)
        return tuple(self.points[index] for index in chosen if index is not None)

    def points_of(self, environment: Environment) -> tuple[PointResult, ...]:
        """Give the points that meet an environment."""
        return tuple(self.points[index] for index in environment.indices)
