"""What can be wrong with a data section, found before any work. No torch."""

from __future__ import annotations

from flexrel_sim.datasets import DatasetInfo, held_out_count
from flexrel_sim.errors import DatasetError, Fault, MissingDatasetError
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.networks import CardFile
from flexrel_sim.scenario.schema import DataSection, Scenario

__all__ = [
    "data_faults",
    "missing_data",
    "needs_calibration",
    "unseen_class_faults",
    "with_used_calibration",
]

Opening = DatasetInfo | DatasetError | None


def missing_data(
    data: DataSection, card_file: CardFile, info: Opening, trained_on: Opening, tell: Tell
) -> list[Fault]:
    """Find the datasets of the catalogue that a point needs and that are not installed.

    Parameters
    ----------
    data, card_file, info, tell
        As in `data_faults`.
    trained_on
        The same for the dataset that fine-tuning sees; None where nothing is fine-tuned.

    Returns
    -------
    list of Fault
        On the lines that name them.
    """
    faults = []
    if isinstance(info, MissingDatasetError):
        own = data.dataset is None
        faults.append(
            card_file.fault("training.dataset", str(info))
            if own
            else tell("data.dataset", str(info))
        )
    if isinstance(trained_on, MissingDatasetError):
        faults.append(card_file.fault("training.dataset", str(trained_on)))
    return list(dict.fromkeys(faults))


def data_faults(
    data: DataSection,
    card_file: CardFile,
    info: DatasetInfo | DatasetError | None,
    tell: Tell,
    *,
    calibrates: bool = True,
) -> list[Fault]:
    """Find what is wrong with a data section for its network.

    Parameters
    ----------
    data
        The section.
    card_file
        The network.
    info
        The dataset that the section names, or else the card; why it can't be opened; None where
        neither names one.
    tell
        Makes a fault at a key.
    calibrates
        Whether calibration samples are used at all, as `needs_calibration` says.

    Returns
    -------
    list of Fault
        Every fault.
    """
    card = card_file.card
    if info is None:
        rule = f"is required: the card of {card.name!r}, which came trained, names none"
        return [tell("data.dataset", rule, None, "name a dataset, or give the path of your own")]
    if isinstance(info, DatasetError):
        if data.dataset is None:
            return [card_file.fault("training.dataset", str(info))]
        return [tell("data.dataset", str(info))]
    faults = []
    if list(info.image_shape) != card.architecture.input_shape:
        rule = f"must have images of {card.architecture.input_shape} for {card.name!r}"
        own = repr(card.training.dataset) if card.training else "images like those"
        remedy = f"use {own}, which it was trained on"
        faults.append(tell("data.dataset", rule, list(info.image_shape), remedy))
    outputs = card.architecture.classes
    if info.classes > outputs:
        rule = f"must have labels below {outputs}, the indices of the outputs of {card.name!r}"
        faults.append(
            tell("data.dataset", rule, info.classes - 1, "use data of the network's classes")
        )
    return faults + (
        _class_faults(data, info, tell) or _count_faults(data, info, tell, calibrates=calibrates)
    )


def unseen_class_faults(data: DataSection, card_file: CardFile, tell: Tell) -> list[Fault]:
    """Refuse fewer calibration samples than classes, where a warning would be seen by nobody."""
    classes = data.deployment.classes
    shown = card_file.card.architecture.classes if classes is None else len(classes)
    if data.calibration >= shown:
        return []
    rule = (
        f"must be at least {shown}, to show each of the {shown} classes: pruning would remove the"
        " answer of a class that it doesn't see"
    )
    remedy = "ask for more, or name the classes that occur in deployment.classes"
    return [tell("data.calibration", rule, data.calibration, remedy)]


def needs_calibration(scenario: Scenario) -> bool:
    """Tell whether a point looks at calibration samples: to prune, or to choose channels."""
    codec = scenario.codec
    chooses = codec.channels < 1 and codec.image is None and scenario.split.cut != "edge"
    return scenario.pruning.prunes or chooses


def with_used_calibration(scenario: Scenario, info: DatasetInfo) -> Scenario:
    """Leave out calibration samples that are not used, where there are not so many."""
    data = scenario.data
    if needs_calibration(scenario) or not data.calibration:
        return scenario
    if data.calibration + data.validation + data.test <= _available(data, info):
        # Kept: validation and test are then the samples of the points that do prune.
        return scenario
    return scenario.model_copy(update={"data": data.model_copy(update={"calibration": 0})})


def _available(data: DataSection, info: DatasetInfo) -> int:
    classes = data.deployment.classes
    if classes is None:
        return info.held_out_samples
    try:
        return held_out_count(info, classes)
    except MissingDatasetError:
        # How many samples those classes have is known from the files only.
        return info.held_out_samples


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


def _count_faults(
    data: DataSection, info: DatasetInfo, tell: Tell, *, calibrates: bool
) -> list[Fault]:
    classes = data.deployment.classes
    try:
        available = _available(data, info)
    except DatasetError as error:
        return [tell("data.dataset", str(error))]
    faults = []
    if calibrates and not data.calibration:
        rule = "must be at least 1: what is pruned or sent is chosen on calibration samples"
        faults.append(tell("data.calibration", rule, 0, "ask for 200, say"))
    wanted = data.calibration * calibrates + data.validation + data.test
    if wanted > available:
        those = "" if classes is None else f" and are of the classes {sorted(classes)}"
        rule = (
            f"calibration + validation + test must be at most {available},"
            f" the samples of {info.name!r} that no training saw{those}"
        )
        faults.append(tell("data", rule, wanted, "ask for fewer"))
    return faults
