"""What only the model half knows to be wrong with a scenario, found before any work. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from flexrel_sim.datasets import DatasetInfo, held_out_count, open_dataset
from flexrel_sim.errors import CheckpointError, DatasetError, Fault, ScenarioError
from flexrel_sim.hardware import Device, find_device
from flexrel_sim.measure.pruning_check import (
    Tell,
    network_faults,
    pruning_faults,
    pruning_warnings,
)
from flexrel_sim.measure.spec import BEST, MeasureSpec, make_spec
from flexrel_sim.networks import CardFile, Outline, checkpoint_file, load_card, outline
from flexrel_sim.scenario import Point, Scenario, ScenarioFile, did_you_mean
from flexrel_sim.scenario.schema import DataSection

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
    # A user's dataset is read and hashed when it is opened: once, not for every point.
    opened = cache(_opened)
    for point in scenario_file.points:
        tell = _Teller(scenario_file, point)
        file = scenario_file.folder / point.scenario.model.network
        if file not in cards:
            cards[file] = _card(file, tell, faults)
        card_file = cards[file]
        faults += pruning_faults(point.scenario, tell)
        if card_file is None:
            continue
        where = _dataset(point.scenario, card_file, scenario_file.folder)
        dataset = opened(*where) if where else None
        faults += _data_faults(point.scenario, card_file, dataset, tell)
        parts = outline(card_file)
        faults += _cut_faults(point.scenario, card_file, parts, tell)
        faults += network_faults(point.scenario, card_file, parts, tell)
        checked.warnings += pruning_warnings(point.scenario, tell)
        checked.warnings += _split_warnings(point.scenario, tell)
        devices = _devices(point.scenario, scenario_file.folder, tell, faults)
        if not faults and isinstance(dataset, DatasetInfo):
            checked.specs.append(make_spec(point.scenario, card_file, dataset, devices))
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


def _card(file: Path, tell: Tell, faults: list[Fault]) -> CardFile | None:
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
        outline(card_file)
    except ScenarioError as error:
        faults += error.faults
    except CheckpointError as error:
        faults.append(tell(path, str(error)))
    else:
        return card_file
    return None


def _dataset(scenario: Scenario, card_file: CardFile, folder: Path) -> tuple[str, Path] | None:
    """Give the name or path of the point's dataset, and where a path starts, if it has one."""
    if scenario.data.dataset is not None:
        return scenario.data.dataset, folder
    recipe = card_file.card.training
    return (recipe.dataset, card_file.file.parent) if recipe else None


def _opened(name: str, folder: Path) -> DatasetInfo | DatasetError:
    try:
        return open_dataset(name, folder)
    except DatasetError as error:
        return error


def _data_faults(
    scenario: Scenario, card_file: CardFile, info: DatasetInfo | DatasetError | None, tell: Tell
) -> list[Fault]:
    card, data = card_file.card, scenario.data
    if info is None:
        rule = f"is required: the card of {card.name!r}, which came trained, names none"
        return [tell("data.dataset", rule, None, "name a dataset, or give the path of your own")]
    if isinstance(info, DatasetError):
        return [tell("data.dataset", str(info))]
    faults = []
    if list(info.image_shape) != card.architecture.input_shape:
        rule = f"must have images of {card.architecture.input_shape} for {card.name!r}"
        own = repr(card.training.dataset) if card.training else "images like those"
        remedy = f"use {own}, which it was trained on"
        faults.append(tell("data.dataset", rule, list(info.image_shape), remedy))
    if info.classes != card.architecture.classes:
        rule = f"must have the {card.architecture.classes} classes of {card.name!r}"
        faults.append(tell("data.dataset", rule, info.classes, "use the network's own dataset"))
    return faults + (_class_faults(data, info, tell) or _count_faults(data, info, tell))


def _class_faults(data: DataSection, info: DatasetInfo, tell: Tell) -> list[Fault]:
    path, classes = "data.deployment.classes", data.deployment.classes or []
    faults = []
    unknown = sorted({label for label in classes if label >= info.classes})
    if unknown:
        rule = f"must be classes of {info.name!r}, 0 to {info.classes - 1}"
        faults.append(tell(path, rule, unknown, "leave these out"))
    if len(set(classes)) < len(classes):
        faults.append(tell(path, "must name a class once", classes, "leave out what is repeated"))
    return faults


def _count_faults(data: DataSection, info: DatasetInfo, tell: Tell) -> list[Fault]:
    classes, available = data.deployment.classes, info.held_out_samples
    if classes is not None:
        try:
            available = held_out_count(info, classes)
        except DatasetError as error:
            return [tell("data.dataset", str(error))]
    faults = []
    shown = info.classes if classes is None else len(classes)
    if data.calibration < shown:
        rule = (
            f"must be at least {shown}, to show each of the {shown} classes: pruning would remove"
            " the answer of a class that it doesn't see"
        )
        remedy = "ask for more, or name the classes that occur in data.deployment.classes"
        faults.append(tell("data.calibration", rule, data.calibration, remedy))
    wanted = data.calibration + data.validation + data.test
    if wanted > available:
        those = "" if classes is None else f" and are of the classes {sorted(classes)}"
        rule = (
            f"calibration + validation + test must be at most {available},"
            f" the samples of {info.name!r} that no training saw{those}"
        )
        faults.append(tell("data", rule, wanted, "ask for fewer"))
    return faults


def _cut_faults(scenario: Scenario, card_file: CardFile, parts: Outline, tell: Tell) -> list[Fault]:
    card, cut = card_file.card, scenario.split.cut
    faults = []
    known = ("server", *parts.boundaries, "edge", BEST)
    if cut == BEST:
        faults += _best_faults(scenario, tell)
    elif cut not in known and cut not in parts.blocks:
        rule = f"must be a boundary of {card.name!r}"
        remedy = did_you_mean(cut, known)
        if cut == parts.last:
            remedy = "it is the last layer: write 'edge' to keep the whole network there"
        faults.append(tell("split.cut", rule, cut, remedy))
    return faults


def _best_faults(scenario: Scenario, tell: Tell) -> list[Fault]:
    """Find what can't be said together with a cut that is still to be chosen."""
    faults = []
    for side, given_s in (
        ("edge", scenario.edge.service_time),
        ("server", scenario.server.service_time),
    ):
        if given_s is not None:
            rule = "must be absent where split.cut is 'best': it is the time of one cut's half"
            remedy = "remove it: the halves are compared by roofline; or name the cut"
            faults.append(tell(f"{side}.service_time", rule, given_s, remedy))
    if scenario.pruning.prunes and scenario.pruning.cut_ratio:
        rule = "must be 0 where split.cut is 'best': it prunes what crosses a cut that is known"
        value = scenario.pruning.cut_ratio
        faults.append(tell("pruning.cut_ratio", rule, value, "remove it, or name the cut"))
    return faults


def _split_warnings(scenario: Scenario, tell: Tell) -> list[Fault]:
    split = scenario.split
    # A resolved scenario spells the default out.
    if split.cut == BEST or split.objective == "latency":
        return []
    rule = f"has no effect on cut {split.cut!r}"
    return [tell("split.objective", rule, split.objective, "remove it, or write 'cut: best'")]


def _devices(
    scenario: Scenario, folder: Path, tell: Tell, faults: list[Fault]
) -> tuple[Device, Device] | None:
    """Find the devices that a cut is chosen for."""
    if scenario.split.cut != BEST:
        return None
    found: list[Device] = []
    for path, name in (
        ("edge.device", scenario.edge.device),
        ("server.device", scenario.server.device),
    ):
        try:
            found.append(find_device(name, folder))
        except LookupError as error:
            faults.append(tell(path, "unknown device", name, str(error)))
        except ScenarioError as error:
            faults += error.faults
    return (found[0], found[1]) if len(found) == 2 else None
