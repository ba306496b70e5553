"""What a comparison's file may say."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.scenario import Section
from flexrel_sim.scenario.schema import DataSection, DeploymentSection, PruningSection
from flexrel_sim.scenario.section import SEED_MAX

__all__ = [
    "Claim",
    "ComparisonScenario",
    "Entry",
    "Measure",
    "Pair",
    "Track",
]

Measure = Literal["weights", "macs", "bytes"]
"""What of a network is counted as kept."""

_Share = Annotated[float, Field(gt=0, le=1)]


class Pair(Section):
    """A network and the data it is deployed on."""

    label: str
    """Its name in tables and pictures."""
    network: str
    """Path of the network's card, relative to the file; it is trained anew for every seed."""
    deployment: DeploymentSection = DeploymentSection()
    """What calibration, validation and test samples look like."""


class Entry(Section):
    """A way to choose what is kept."""

    label: str
    """Its name in tables and pictures."""
    pruning: PruningSection
    """Criterion and its settings; ratio, granularity and schedule are the track's."""
    pairs: list[str] | None = None
    """Labels of the pairs that it can be applied to; all when absent."""


class Track(Section):
    """How every entry prunes."""

    label: str
    """Its name in tables and pictures."""
    pruning: PruningSection
    """Granularity, what the ratio counts, and the schedule: the same for all entries."""
    measure: Measure = "weights"
    """What is counted as kept where entries are compared, and in pictures."""
    also: list[Measure] = Field(default_factory=list)
    """What else is counted, in tables of its own: the same networks at equal weights, say."""
    kept: list[_Share] = Field(min_length=2)
    """Fractions kept, falling; accuracy between two of them is interpolated."""
    pairs: list[str] | None = None
    """Labels of the pairs that take part; all when absent."""
    entries: list[str] | None = None
    """Labels of the entries that take part; all when absent."""

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if any(later >= earlier for earlier, later in zip(self.kept, self.kept[1:], strict=False)):
            context = {"path": ("kept",), "rule": "must fall", "remedy": "sort it, largest first"}
            raise PydanticCustomError("kept", "{rule}", context)
        return self


class Claim(Section):
    """A comparison of some entries with their best rival."""

    label: str
    """What is claimed."""
    entries: list[str] = Field(min_length=1)
    """Labels; where there are several, validation samples choose one for each pair and loss."""
    rivals: list[str] = Field(min_length=1)
    """Labels; the one that keeps least on the test samples is the rival, as hard as it can be."""


class ComparisonScenario(Section):
    """Who keeps what: networks, seeds, criteria, and the losses of accuracy that are allowed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    """Names the result folder."""
    pairs: list[Pair] = Field(min_length=1)
    """Networks and their deployments."""
    seeds: list[Annotated[int, Field(ge=0, le=SEED_MAX)]] = Field(min_length=2)
    """Training seeds; the interval is over them."""
    data: DataSection = DataSection()
    """Samples of every pair; its deployment is the pair's."""
    entries: list[Entry] = Field(min_length=2)
    """What is compared."""
    tracks: list[Track] = Field(min_length=1)
    """How everything is pruned."""
    losses: list[Annotated[float, Field(gt=0, lt=0.3)]] = Field(min_length=1)
    """Losses of accuracy that are allowed, as fractions: 0.01 is one point."""
    claims: list[Claim] = Field(default_factory=list)
    """What is told of the entries."""
