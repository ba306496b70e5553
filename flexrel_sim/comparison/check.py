"""A comparison's file, read and checked against the networks and criteria that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.comparison.schema import ComparisonScenario, Entry, Pair, Track
from flexrel_sim.errors import CheckpointError, Fault, ScenarioError
from flexrel_sim.networks import CardFile, load_card
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario import did_you_mean, load_model

__all__ = ["ComparisonFile", "load_comparison", "takes_part"]


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
    if not faults:
        faults += _idle_faults(scenario, str(file))
    if faults:
        raise ScenarioError(faults)
    return ComparisonFile(file, scenario, cards)


def takes_part(entry: Entry, track: Track, pair: Pair) -> bool:
    """Tell whether an entry prunes the networks of a pair along a track."""
    if track.pairs is not None and pair.label not in track.pairs:
        return False
    if entry.pairs is not None and pair.label not in entry.pairs:
        return False
    if track.entries is not None and entry.label not in track.entries:
        return False
    level = CRITERIA[entry.pruning.criterion].level
    return level == "weights" or track.pruning.granularity == "filters"


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
    named += [
        (f"entries.{i}.pairs", entry.pairs or [], pairs) for i, entry in enumerate(scenario.entries)
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
    several: tuple[tuple[str, Sequence[object]], ...] = (
        ("entries", entries),
        ("pairs", pairs),
        ("tracks", [track.label for track in scenario.tracks]),
        ("claims", [claim.label for claim in scenario.claims]),
        ("seeds", scenario.seeds),
        ("losses", scenario.losses),
    )
    for path, labels in several:
        what = path if path in ("seeds", "losses") else "labels"
        twice = dict.fromkeys(label for label in labels if labels.count(label) > 1)
        faults += [
            Fault(path, f"{what} must differ", label, "change one", place) for label in twice
        ]
    return faults


def _idle_faults(scenario: ComparisonScenario, place: str) -> list[Fault]:
    remedy = "let in another pair or entry; some criteria score filters only"
    return [
        Fault(f"tracks.{index}", "nothing takes part in it", track.label, remedy, place)
        for index, track in enumerate(scenario.tracks)
        if not any(
            takes_part(entry, track, pair) for entry in scenario.entries for pair in scenario.pairs
        )
    ]


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
