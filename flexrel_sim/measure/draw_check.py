"""Warnings about the samples of a point. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

from flexrel_sim.datasets import DatasetInfo, Inspection, inspect_draw
from flexrel_sim.errors import DatasetError, Fault
from flexrel_sim.measure.data_check import needs_calibration
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.scenario import Scenario
from flexrel_sim.scenario.data_sections import Balance, DataSection

__all__ = ["draw_warnings"]

# As many names of classes as a line can hold.
_NAMED = 10


def draw_warnings(
    scenario: Scenario, info: DatasetInfo, outputs: int, tell: Tell, *, trained: bool
) -> list[Fault]:
    """Tell of classes that a part doesn't show, and of images that are no new ones.

    Parameters
    ----------
    scenario
        A point.
    info
        Where its samples come from.
    outputs
        Number of the network's outputs.
    tell
        Makes a fault at a key.
    trained
        Whether the network was trained on the training part of that dataset.

    Returns
    -------
    list of Fault
        Every warning; none where the samples can't be read, which is a fault of its own.
    """
    data = scenario.data
    calibrates = needs_calibration(scenario)
    if not info.digest and not (calibrates and data.calibration < outputs):
        # Those of the catalogue show all classes wherever there is room for them.
        return []
    try:
        found = _inspected(info, data.model_dump_json(), scenario.calibration.balance, trained)
    except DatasetError:
        return []
    warnings = [*_missing_classes(scenario, found, tell), *_image_warnings(found, tell)]
    if calibrates:
        warnings += [
            *_unseen_classes(scenario, found, outputs, tell),
            *_imbalance(scenario, found, tell),
        ]
    return warnings


# The points of a study have few draws among them.
@lru_cache(maxsize=8)
def _inspected(info: DatasetInfo, data: str, balance: Balance, trained: bool) -> Inspection:
    return inspect_draw(info, DataSection.model_validate_json(data), balance, trained=trained)


def _unseen_classes(
    scenario: Scenario, found: Inspection, outputs: int, tell: Tell
) -> Iterator[Fault]:
    classes = scenario.data.deployment.classes
    expected = set(range(outputs)) if classes is None else set(classes)
    unseen = expected - set(found.calibration.counts)
    if unseen:
        rule = (
            f"shows {len(expected) - len(unseen)} of the {len(expected)} classes, and not"
            f" {_named(unseen)}: what is pruned may be what their answers need"
        )
        remedy = "ask for more, or name the classes that occur in data.deployment.classes"
        yield tell("data.calibration", rule, scenario.data.calibration, remedy)


def _imbalance(scenario: Scenario, found: Inspection, tell: Tell) -> Iterator[Fault]:
    counts = found.calibration.counts
    if (
        scenario.calibration.balance == "classes"
        and max(counts.values()) - min(counts.values()) > 1
    ):
        rarest = min(counts, key=lambda label: counts[label])
        rule = (
            f"can't be met: validation and test leave {counts[rarest]} samples of class {rarest},"
            f" and other classes fill up to {max(counts.values())}"
        )
        yield tell("calibration.balance", rule, "classes", "ask for fewer samples")


def _missing_classes(scenario: Scenario, found: Inspection, tell: Tell) -> Iterator[Fault]:
    classes = scenario.data.deployment.classes
    expected = found.classes if classes is None else found.classes & set(classes)
    for name, part in (("validation", found.validation), ("test", found.test)):
        missing = expected - set(part.counts)
        if missing:
            rule = (
                f"holds no sample of {len(missing)} of the {len(expected)} classes that are held"
                f" out, {_named(missing)}: no figure tells of them"
            )
            yield tell(f"data.{name}", rule, part.images, "ask for more")


def _image_warnings(found: Inspection, tell: Tell) -> Iterator[Fault]:
    parts = {"validation": found.validation, "test": found.test}
    repeated = [
        f"{part.repeated} of the {part.images} {name} images"
        for name, part in parts.items()
        if part.repeated
    ]
    if repeated:
        rule = (
            f"holds images more than once: {' and '.join(repeated)} are byte for byte in training,"
            " calibration or validation, too, and say nothing of new ones"
        )
        yield tell("data", rule, None, "leave repeated images out of the dataset")
    alike = [
        f"{part.images} {name} images are {part.distinct} different ones"
        for name, part in parts.items()
        if part.distinct < part.images
    ]
    if alike:
        rule = (
            f"holds images more than once: {' and '.join(alike)}, so that intervals are too narrow"
        )
        yield tell("data", rule, None, "leave repeated images out of the dataset")
    constant = sum(part.constant for part in (found.calibration, *parts.values()))
    if constant:
        images = sum(part.images for part in (found.calibration, *parts.values()))
        rule = f"holds images of one value everywhere: {constant} of {images}"
        yield tell("data", rule, None, "look at how they were written")


def _named(classes: Collection[int]) -> str:
    shown = ", ".join(map(str, sorted(classes)[:_NAMED]))
    return f"{shown} …" if len(classes) > _NAMED else shown
