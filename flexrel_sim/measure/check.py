"""What only the model half knows to be wrong with a scenario, found before any work. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from flexrel_sim.datasets import DatasetInfo, open_dataset
from flexrel_sim.errors import CheckpointError, DatasetError, Fault, ScenarioError
from flexrel_sim.measure.codec_check import bottleneck_of, codec_faults
from flexrel_sim.measure.data_check import data_faults
from flexrel_sim.measure.pruning_check import (
    Tell,
    network_faults,
    pattern_warnings,
    pruning_faults,
    pruning_warnings,
)
from flexrel_sim.measure.spec import MeasureSpec, make_spec
from flexrel_sim.measure.split_check import cut_faults, split_warnings, target_of
from flexrel_sim.networks import (
    CardFile,
    checkpoint_file,
    load_card,
    outline,
    training_faults,
)
from flexrel_sim.reading import is_file
from flexrel_sim.scenario import Point, Scenario, ScenarioFile, did_you_mean
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["Checked", "check"]

Opened = Callable[[str, Path], DatasetInfo | DatasetError]
"""Opens a dataset by name or path, and where a path starts."""


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
        pruning, cut = point.scenario.pruning, point.scenario.split.cut
        faults += pruning_faults(pruning, cut, tell)
        if card_file is None:
            continue
        own, named = _recipe_dataset(card_file, opened), point.scenario.data.dataset
        dataset = opened(named, scenario_file.folder) if named is not None else own
        faults += data_faults(point.scenario.data, card_file, dataset, tell)
        tunes = pruning.schedule.fine_tuning.epochs > 0
        if tunes and own is not None:
            faults += _tuning_faults(pruning, card_file, own, tell)
        parts = outline(card_file)
        faults += cut_faults(point.scenario, card_file.card.name, parts, tell)
        faults += codec_faults(point.scenario, card_file.card.architecture.input_shape, tell)
        faults += network_faults(pruning, cut, card_file, parts, tell)
        checked.warnings += pruning_warnings(pruning, tell)
        checked.warnings += pattern_warnings(pruning, parts, tell)
        checked.warnings += split_warnings(point.scenario, tell)
        target = target_of(point.scenario, scenario_file.folder, tell, faults)
        if not faults and isinstance(dataset, DatasetInfo):
            trained_on = own if tunes and isinstance(own, DatasetInfo) else None
            spec = make_spec(point.scenario, card_file, dataset, trained_on, target=target)
            found = bottleneck_of(spec, scenario_file.folder, tell, faults)
            checked.specs.append(
                make_spec(point.scenario, card_file, dataset, trained_on, found) if found else spec
            )
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
    if not is_file(file):
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


def _recipe_dataset(card_file: CardFile, opened: Opened) -> DatasetInfo | DatasetError | None:
    recipe = card_file.card.training
    return opened(recipe.dataset, card_file.file.parent) if recipe else None


def _opened(name: str, folder: Path) -> DatasetInfo | DatasetError:
    try:
        return open_dataset(name, folder)
    except DatasetError as error:
        return error


def _tuning_faults(
    pruning: PruningSection, card_file: CardFile, info: DatasetInfo | DatasetError, tell: Tell
) -> list[Fault]:
    if isinstance(info, DatasetError):
        return [card_file.fault("training.dataset", str(info))]
    wanted = pruning.schedule.fine_tuning.samples
    if wanted is not None and wanted > info.train_samples:
        path = "pruning.schedule.fine_tuning.samples"
        rule = f"must be at most {info.train_samples}, the training samples of {info.name!r}"
        return [*training_faults(card_file, info), tell(path, rule, wanted, "ask for fewer")]
    return training_faults(card_file, info)
