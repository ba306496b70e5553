"""What only the model half knows to be wrong with a scenario, found before any work. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flexrel_sim.datasets import DATASETS
from flexrel_sim.errors import CheckpointError, Fault, ScenarioError
from flexrel_sim.measure.spec import MeasureSpec, make_spec
from flexrel_sim.networks import CardFile, checkpoint_file, load_card
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario import Point, Scenario, ScenarioFile, did_you_mean

__all__ = ["Checked", "check"]


@dataclass
class Checked:
    """What a check found.

    Parameters
    ----------
    specs
        What to measure, one per point; empty if anything is wrong.
    warnings
        What is right and perhaps not meant.
    """

    specs: list[MeasureSpec] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


def check(scenario_file: ScenarioFile[Scenario]) -> Checked:
    """Check every point of a scenario against what there is.

    Parameters
    ----------
    scenario_file
        A scenario whose own rules hold.

    Returns
    -------
    Checked
        What to measure, and warnings.

    Raises
    ------
    ScenarioError
        With every fault: an unknown network, dataset, criterion or cut; a checkpoint that is
        missing or truncated; too many samples; settings that contradict each other.
    """
    faults: list[Fault] = []
    checked = Checked()
    cards: dict[Path, CardFile | None] = {}
    for point in scenario_file.points:
        tell = _Teller(scenario_file, point)
        file = scenario_file.folder / point.scenario.model.network
        if file not in cards:
            cards[file] = _card(file, tell, faults)
        card_file = cards[file]
        faults += _pruning_faults(point.scenario, tell)
        if card_file is None:
            continue
        faults += _data_faults(point.scenario, card_file, tell)
        faults += _cut_faults(point.scenario, card_file, tell)
        faults += _ratio_faults(point.scenario, card_file, tell)
        checked.warnings += _warnings(point.scenario, tell)
        if not faults:
            checked.specs.append(make_spec(point.scenario, card_file))
    if faults:
        raise ScenarioError(faults)
    checked.warnings = list({str(warning): warning for warning in checked.warnings}.values())
    return checked


@dataclass(frozen=True)
class _Teller:
    scenario_file: ScenarioFile[Scenario]
    point: Point[Scenario]

    def __call__(self, path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        return self.scenario_file.fault(self.point, path, rule, value, remedy)


_Tell = Callable[..., Fault]


def _card(file: Path, tell: _Tell, faults: list[Fault]) -> CardFile | None:
    path = "model.network"
    if not file.is_file():
        known = [str(card.name) for card in sorted(file.parent.glob("*.yaml"))]
        remedy = "give the path of a card, relative to this file"
        near = f"{remedy}; {did_you_mean(file.name, known)}" if known else remedy
        faults.append(tell(path, "must be the card of a network", str(file), near))
        return None
    try:
        card_file = load_card(file)
        checkpoint_file(card_file)
    except ScenarioError as error:
        faults += error.faults
    except CheckpointError as error:
        faults.append(tell(path, str(error)))
    else:
        return card_file
    return None


def _data_faults(scenario: Scenario, card_file: CardFile, tell: _Tell) -> list[Fault]:
    card, data = card_file.card, scenario.data
    name = data.dataset or card.training.dataset
    info = DATASETS.get(name)
    if info is None:
        return [tell("data.dataset", "unknown dataset", name, did_you_mean(name, DATASETS))]
    faults = []
    if list(info.image_shape) != card.architecture.input_shape:
        rule = f"must have images of {card.architecture.input_shape} for {card.name!r}"
        remedy = f"use {card.training.dataset!r}, which it was trained on"
        faults.append(tell("data.dataset", rule, list(info.image_shape), remedy))
    if info.classes != card.architecture.classes:
        rule = f"must have the {card.architecture.classes} classes of {card.name!r}"
        faults.append(tell("data.dataset", rule, info.classes, "use the network's own dataset"))
    wanted = data.calibration + data.validation + data.test
    if wanted > info.held_out_samples:
        rule = (
            f"calibration + validation + test must be at most {info.held_out_samples},"
            f" the samples of {name!r} that no training saw"
        )
        faults.append(tell("data", rule, wanted, "ask for fewer"))
    return faults


def _cut_faults(scenario: Scenario, card_file: CardFile, tell: _Tell) -> list[Fault]:
    card, cut = card_file.card, scenario.split.cut
    faults = []
    known = ("server", *card.boundaries, "edge")
    if cut not in known:
        rule = f"must be a boundary of {card.name!r}"
        remedy = did_you_mean(cut, known)
        if cut == card.architecture.plan()[-1].name:
            remedy = "it is the last layer: write 'edge' to keep the whole network there"
        faults.append(tell("split.cut", rule, cut, remedy))
    for name in scenario.pruning.exclude:
        if name not in card.prunable:
            rule = f"must name layers of {card.name!r} that have weights"
            faults.append(tell("pruning.exclude", rule, name, did_you_mean(name, card.prunable)))
    prunable = card.prunable_units(scenario.pruning.granularity)
    if set(prunable) <= set(scenario.pruning.exclude):
        faults.append(tell("pruning.exclude", "must leave a layer to prune", None, "list fewer"))
    return faults


def _pruning_faults(scenario: Scenario, tell: _Tell) -> list[Fault]:
    pruning = scenario.pruning
    faults = []
    if pruning.criterion not in CRITERIA:
        remedy = did_you_mean(pruning.criterion, CRITERIA)
        faults.append(tell("pruning.criterion", "unknown criterion", pruning.criterion, remedy))
    return faults


def _ratio_faults(scenario: Scenario, card_file: CardFile, tell: _Tell) -> list[Fault]:
    """Refuse a ratio that what each layer keeps makes out of reach: it would be reported."""
    pruning = scenario.pruning
    units = card_file.card.prunable_units(pruning.granularity)
    counts = [count for name, count in units.items() if name not in pruning.exclude]
    kept = sum(max(1, math.ceil(pruning.min_kept * count)) for count in counts)
    total = sum(counts)
    if total == 0 or round(pruning.ratio * total) <= total - kept:
        return []
    reachable = math.floor(1000 * (total - kept) / total) / 1000
    rule = f"must be at most {reachable:g}: every layer keeps pruning.min_kept, and a unit at least"
    return [tell("pruning.ratio", rule, pruning.ratio, "lower it, or pruning.min_kept")]


def _warnings(scenario: Scenario, tell: _Tell) -> list[Fault]:
    pruning = scenario.pruning
    criterion = CRITERIA.get(pruning.criterion)
    if criterion is None or criterion.uses_delta or pruning.delta is None:
        return []
    rule = f"has no effect on criterion {criterion.name!r}"
    return [tell("pruning.delta", rule, pruning.delta, "remove it, or use 'flexrel-paper'")]
