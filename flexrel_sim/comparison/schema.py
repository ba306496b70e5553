"""What a comparison's file may say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.errors import CheckpointError, Fault, ScenarioError
from flexrel_sim.networks import CardFile, load_card
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario import Section, did_you_mean, load_model
from flexrel_sim.scenario.schema import DataSection, DeploymentSection, PruningSection

__all__ = [
    "Claim",
    "ComparisonFile",
    "ComparisonScenario",
    "Entry",
    "Pair",
    "Track",
    "load_comparison",
]

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

    @property
    def combines(self) -> bool:
        """Whether it is of the FlexRel family: two signals in one score."""
        return CRITERIA[self.pruning.criterion].uses_delta


class Track(Section):
    """How every entry prunes."""

    label: str
    """Its name in tables and pictures."""
    pruning: PruningSection
    """Granularity, what the ratio counts, and the schedule: the same for all entries."""
    measure: Literal["weights", "macs", "bytes"] = "weights"
    """What is counted as kept where entries are compared."""
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
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=2)
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


@dataclass(frozen=True)
class ComparisonFile:
    """A comparison that was read and checked.

    Parameters
    ----------
    file
        Where it was read from.
    scenario
        What it says.
    cards
        The cards of its networks, by the path that it names them with.
    """

    file: Path
    scenario: ComparisonScenario
    cards: dict[str, CardFile]


def load_comparison(file: Path) -> ComparisonFile:
    """Read a comparison.

    Parameters
    ----------
    file
        A YAML file.

    Returns
    -------
    ComparisonFile
        Checked against the networks and criteria that there are.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    scenario = load_model(ComparisonScenario, file)
    faults = [*_label_faults(scenario, str(file)), *_criterion_faults(scenario, str(file))]
    cards: dict[str, CardFile] = {}
    for index, pair in enumerate(scenario.pairs):
        path = file.parent / pair.network
        if not path.is_file():
            rule = "must be the card of a network"
            faults.append(Fault(f"pairs.{index}.network", rule, str(path), "", str(file)))
            continue
        try:
            cards[pair.network] = load_card(path)
            if cards[pair.network].card.training is None:
                rule = "must have a training recipe: it is trained for every seed"
                faults.append(Fault(f"pairs.{index}.network", rule, str(path), "", str(file)))
        except ScenarioError as error:
            faults += error.faults
        except CheckpointError as error:
            faults.append(Fault(f"pairs.{index}.network", str(error), place=str(file)))
    if faults:
        raise ScenarioError(faults)
    return ComparisonFile(file, scenario, cards)


def _label_faults(scenario: ComparisonScenario, place: str) -> list[Fault]:
    entries = [entry.label for entry in scenario.entries]
    pairs = [pair.label for pair in scenario.pairs]
    named = [
        (f"tracks.{i}.pairs", track.pairs or [], pairs) for i, track in enumerate(scenario.tracks)
    ]
    named += [
        (f"tracks.{i}.entries", track.entries or [], entries)
        for i, track in enumerate(scenario.tracks)
    ]
    for index, claim in enumerate(scenario.claims):
        named.append((f"claims.{index}.entries", claim.entries, entries))
        named.append((f"claims.{index}.rivals", claim.rivals, entries))
    faults = [
        Fault(path, "unknown label", label, did_you_mean(label, known), place)
        for path, labels, known in named
        for label in labels
        if label not in known
    ]
    for path, labels in (
        ("entries", entries),
        ("pairs", pairs),
        ("tracks", [track.label for track in scenario.tracks]),
    ):
        twice = {label for label in labels if labels.count(label) > 1}
        faults += [
            Fault(path, "labels must differ", label, "rename one", place) for label in sorted(twice)
        ]
    return faults


def _criterion_faults(scenario: ComparisonScenario, place: str) -> list[Fault]:
    return [
        Fault(
            f"entries.{index}.pruning.criterion",
            "unknown criterion",
            entry.pruning.criterion,
            did_you_mean(entry.pruning.criterion, CRITERIA),
            place,
        )
        for index, entry in enumerate(scenario.entries)
        if entry.pruning.criterion not in CRITERIA
    ]
