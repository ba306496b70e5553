"""Networks in calls: prune, export, train a bottleneck, list cuts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexrel_sim.measure.pruning_check import aim_warnings
from flexrel_sim.networks import consent_to
from flexrel_sim.report import result_folder
from flexrel_sim.scenario import Point, Scenario, ScenarioFile, load_scenario
from flexrel_sim.study import check_all
from flexrel_sim.study.accuracy_warnings import own_worth_warnings, worth_warnings

if TYPE_CHECKING:
    from flexrel_sim.errors import Fault
    from flexrel_sim.export import Told
    from flexrel_sim.measure.shipping import Shipped
    from flexrel_sim.networks.bottleneck_card import BottleneckCard, BottleneckTraining
    from flexrel_sim.placement import CutTable

__all__ = ["Cuts", "TrainedBottleneck", "cuts", "export", "prune", "train_bottleneck"]


@dataclass(frozen=True)
class Cuts:
    """The cuts of a network.

    Parameters
    ----------
    table
        What crosses each, and what is on both sides.
    pictures
        The pictures that were drawn of them.
    """

    table: CutTable
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class TrainedBottleneck:
    """A learned bottleneck.

    Parameters
    ----------
    card
        What was written.
    warnings
        What is right and perhaps not meant.
    """

    card: BottleneckCard
    warnings: tuple[Fault, ...]


def prune(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
    since: str | os.PathLike[str] | None = None,
    allow_factory: Iterable[str] = (),
    *,
    force: bool = False,
) -> Shipped:
    """Prune a scenario's network and write it with its card.

    Parameters
    ----------
    file
        The scenario; its sweep is left out.
    output
        Where to write, a ``.safetensors`` file; the card goes beside it.
    overrides
        Dotted paths and values that replace the file's.
    since
        Card of an earlier version; the bytes of an update from it are counted then.
    allow_factory
        Modules whose functions cards may call, such as ``torchvision.models``, beside those in
        files under the scenario's folder and those that ``$FLEXREL_ALLOW_FACTORY`` lists.
    force
        Whether a network and a card that are there are replaced.

    Returns
    -------
    Shipped
        The files, and accuracy, weights, MACs and bytes before and after.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If the output can't be written, or is there and is not to be replaced, or the earlier
        version has other parameters.
    WorkError
        If the network can't be pruned. Nothing is written then.
    """
    scenario_file = load_scenario(Path(file), overrides)
    # Here, not at the top: torch is a second that a wrong input need not wait for.
    from flexrel_sim.measure.shipping import ship  # noqa: PLC0415

    base = _own_point(scenario_file, scenario_file.scenario)
    own = base.points[0].scenario
    checked = check_all(base, consent_to(allow_factory))
    earlier = None if since is None else Path(since)
    shipped = ship(checked.specs[0], Path(output), earlier, force=force)
    tell = partial(base.fault, base.points[0])
    missed = aim_warnings(own.pruning, shipped.choice, tell)
    doubted = worth_warnings(shipped.before.recalls, shipped.after.recalls, tell)
    return replace(shipped, warnings=(*checked.warnings, *missed, *doubted))


def export(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
    allow_factory: Iterable[str] = (),
) -> Told:
    """Write a scenario's pruned halves, its codec and scripts that run them.

    Parameters
    ----------
    file
        The scenario; its sweep is left out.
    output
        A folder; an earlier export in it is replaced, anything else is not.
    overrides
        Dotted paths and values that replace the file's.
    allow_factory
        As in `prune`.

    Returns
    -------
    Told
        What the model card says, and warnings.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If the folder holds something else, or the packages of the extra ``export`` are missing.
    WorkError
        If the network can't be pruned or exported. Nothing is written then.
    """
    scenario_file = load_scenario(Path(file), overrides)
    own = _own_point(scenario_file, scenario_file.scenario)
    checked = check_all(own, consent_to(allow_factory))
    from flexrel_sim.export import CARD_NAME, write_export  # noqa: PLC0415 - as above

    with result_folder(Path(output), CARD_NAME) as folder:
        told = write_export(checked.specs[0], folder)
    doubted = own_worth_warnings(told.recalls, partial(own.fault, own.points[0]))
    return replace(told, warnings=(*checked.warnings, *doubted))


def train_bottleneck(  # noqa: PLR0913 - one per option of the command
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    size: tuple[int, int],
    recipe: BottleneckTraining,
    after_epoch: Callable[[int, float], None] | None = None,
    allow_factory: Iterable[str] = (),
    *,
    force: bool = False,
) -> TrainedBottleneck:
    """Train an encoder and a decoder for a scenario's pruned network and cut.

    Parameters
    ----------
    file
        The scenario; its sweep, and a bottleneck that it names already, are left out.
    output
        The bottleneck's card, ``.yaml``; its weights go beside it.
    size
        Channels that cross the link, and stride.
    recipe
        How long and how fast.
    after_epoch
        Called with the epoch, from 1, and its mean loss.
    allow_factory
        As in `prune`.
    force
        Whether a card and weights that are there are replaced.

    Returns
    -------
    TrainedBottleneck
        The card that was written, and warnings.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If nothing is sent at the cut, or the output can't be written, or is there and is not to
        be replaced.
    WorkError
        If the boundary takes no bottleneck of that size.
    """
    scenario_file = load_scenario(Path(file))
    scenario = scenario_file.scenario
    split = scenario.split.model_copy(update={"bottleneck": None})
    own = _own_point(scenario_file, scenario.model_copy(update={"split": split}))
    checked = check_all(own, consent_to(allow_factory))
    from flexrel_sim.measure.bottleneck import make_bottleneck  # noqa: PLC0415 - as above

    spec = checked.specs[0]
    card = make_bottleneck(spec, Path(output), size, recipe, after_epoch, force=force)
    return TrainedBottleneck(card, tuple(checked.warnings))


def cuts(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_factory: Iterable[str] = (),
    *,
    force: bool = False,
) -> Cuts:
    """List every cut of a scenario's network, and draw them.

    Parameters
    ----------
    file
        The scenario; its sweep is left out.
    output
        Where to draw: a .png, .svg or .pdf file, or a folder that gets ``cuts.png`` and
        ``cuts.svg``; nothing is drawn when absent.
    overrides
        Dotted paths and values that replace the file's.
    allow_factory
        As in `prune`.
    force
        Whether pictures that are there are replaced.

    Returns
    -------
    Cuts
        The cuts with their boundaries and costs.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If the network can't be built, or the picture can't be written.
    WorkError
        If the network can't be pruned, or fails on an image.
    """
    scenario_file = load_scenario(Path(file), overrides)
    from flexrel_sim.measure.cutting import scenario_cuts  # noqa: PLC0415 - torch is a second

    table = scenario_cuts(scenario_file, consent_to(allow_factory))
    if output is None:
        return Cuts(table, ())
    from flexrel_sim.plots.cuts import draw_cuts  # noqa: PLC0415 - matplotlib is half a second

    title = f"Cuts of {Path(scenario_file.scenario.model.network).stem}"
    return Cuts(table, tuple(draw_cuts(table, title, Path(output), force=force)))


def _own_point(scenario_file: ScenarioFile[Scenario], scenario: Scenario) -> ScenarioFile[Scenario]:
    """Leave a scenario's own operating point only, whatever a sweep or controller may choose."""
    own = scenario.model_copy(update={"controller": None})
    return replace(scenario_file, points=(Point(0, {}, own),))
