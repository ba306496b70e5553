"""What only the model half knows to be wrong with a scenario, found before any work. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from flexrel_sim.datasets import DATASETS, DatasetInfo, open_dataset
from flexrel_sim.errors import (
    CheckpointError,
    DatasetError,
    Fault,
    MissingDatasetError,
    ScenarioError,
)
from flexrel_sim.measure.codec_check import bottleneck_of, codec_faults
from flexrel_sim.measure.data_check import (
    data_faults,
    missing_data,
    needs_calibration,
    with_used_calibration,
)
from flexrel_sim.measure.draw_check import draw_warnings
from flexrel_sim.measure.factory_check import unseen_warning
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
    Consent,
    called,
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
        What to measure, one per point; empty if anything is wrong, and without the points whose
        network is not known because its factory was not called.
    warnings
        Warnings: valid, but likely a mistake.
    """

    specs: list[MeasureSpec] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


def check(
    scenario_file: ScenarioFile[Scenario],
    consent: Consent | None = None,
    *,
    need_data: bool = True,
) -> Checked:
    """Check every point of a scenario against what there is.

    Parameters
    ----------
    scenario_file
        A scenario whose own rules hold.
    consent
        Which factories may be called, those in files under the scenario's folder, too. None to
        call none: what only a call would tell is then a warning.
    need_data
        Whether a dataset of the catalogue that is not installed is a fault. Where not, it is a
        warning, and all is checked that is known of the dataset without its files.

    Returns
    -------
    Checked
        What to measure, and warnings.

    Raises
    ------
    ScenarioError
        With every fault: an unknown network, dataset, criterion or cut; a checkpoint that is
        missing or truncated; too many samples; settings that contradict each other; a factory that
        there is no consent to, or that gives no network.
    """
    faults: list[Fault] = []
    consent = consent and consent.beside(scenario_file.folder)
    checked = Checked()
    cards: dict[Path, CardFile | None] = {}
    # A user's dataset is read and hashed when it is opened: once, not for every point.
    opened = cache(_opened)
    for point in scenario_file.points:
        tell = _Teller(scenario_file, point)
        file = scenario_file.folder / point.scenario.model.network
        if file not in cards:
            cards[file] = _card(file, consent, tell, faults)
        card_file = cards[file]
        pruning, cut = point.scenario.pruning, point.scenario.split.cut
        faults += pruning_faults(pruning, cut, tell)
        if card_file is None:
            continue
        own, named = _recipe_dataset(card_file, opened), point.scenario.data.dataset
        dataset = opened(named, scenario_file.folder) if named is not None else own
        tunes = pruning.schedule.fine_tuning.epochs > 0
        tuned_on = own if tunes else None
        missing = missing_data(point.scenario.data, card_file, dataset, tuned_on, tell)
        (faults if need_data else checked.warnings).extend(missing)
        dataset, own = _known(dataset), _known(own)
        calibrates = needs_calibration(point.scenario)
        faults += data_faults(point.scenario.data, card_file, dataset, tell, calibrates=calibrates)
        if tunes and own is not None:
            faults += _tuning_faults(pruning, card_file, own, tell)
        unseen = card_file.is_code and card_file.built is None
        parts = None if unseen else outline(card_file)
        faults += cut_faults(point.scenario, card_file.card.name, parts, tell)
        faults += codec_faults(point.scenario, card_file.card.architecture.input_shape, tell)
        faults += network_faults(pruning, cut, card_file, parts, tell)
        checked.warnings += pruning_warnings(pruning, tell)
        if parts is None:
            checked.warnings.append(
                unseen_warning(point.scenario, card_file, scenario_file.folder, tell)
            )
        else:
            checked.warnings += pattern_warnings(pruning, parts, tell)
        checked.warnings += split_warnings(point.scenario, tell)
        target = target_of(point.scenario, scenario_file.folder, tell, faults)
        if not faults and not unseen and isinstance(dataset, DatasetInfo):
            trained_on = own if tunes and isinstance(own, DatasetInfo) else None
            scenario = with_used_calibration(point.scenario, dataset)
            outputs = card_file.card.architecture.classes
            checked.warnings += draw_warnings(
                scenario, dataset, outputs, tell, trained=dataset == own
            )
            spec = make_spec(scenario, card_file, dataset, trained_on, target=target)
            found = bottleneck_of(spec, scenario_file.folder, tell, faults)
            checked.specs.append(
                make_spec(scenario, card_file, dataset, trained_on, found) if found else spec
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


def _card(file: Path, consent: Consent | None, tell: Tell, faults: list[Fault]) -> CardFile | None:
    path = "model.network"
    if not is_file(file):
        known = [str(card.name) for card in sorted(file.parent.glob("*.yaml"))]
        remedy = "give the path of a card, relative to this file"
        near = f"{remedy}; {did_you_mean(file.name, known)}" if known else remedy
        faults.append(tell(path, "must be the card of a network", str(file), near))
        return None
    try:
        card_file = load_card(file, consent)
        checkpoint_file(card_file)
        if consent is not None:
            card_file = called(card_file)
        if not card_file.is_code:
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


def _known(found: DatasetInfo | DatasetError | None) -> DatasetInfo | DatasetError | None:
    """Give what is known without files of a dataset that is not installed."""
    return DATASETS[found.dataset] if isinstance(found, MissingDatasetError) else found


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
