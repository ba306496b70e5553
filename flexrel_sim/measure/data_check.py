"""What can be wrong with a data section, found before any work. No torch."""

from __future__ import annotations

from flexrel_sim.datasets import DatasetInfo, held_out_count
from flexrel_sim.errors import DatasetError, Fault, MissingDatasetError
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.networks import CardFile
from flexrel_sim.scenario.schema import DataSection

__all__ = ["data_faults", "missing_data"]

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
    data: DataSection, card_file: CardFile, info: DatasetInfo | DatasetError | None, tell: Tell
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
        except MissingDatasetError:
            # How many samples those classes have is known from the files only.
            available = info.held_out_samples
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
