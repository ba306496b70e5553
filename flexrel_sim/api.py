"""The package in calls: run, simulate, prune, export, train a bottleneck, compare, list cuts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexrel_sim.measure.pruning_check import aim_warnings
from flexrel_sim.profile import load_profile
from flexrel_sim.report import TRACES_NAME, result_folder, write_tables
from flexrel_sim.scenario import Point, load_scenario, load_system_scenario
from flexrel_sim.study import (
    Progress,
    StudyResult,
    check_all,
    run_study,
    simulate_study,
)

if TYPE_CHECKING:
    from flexrel_sim.export import Told
    from flexrel_sim.measure.shipping import Shipped
    from flexrel_sim.networks.bottleneck_card import BottleneckCard, BottleneckTraining
    from flexrel_sim.placement import CutTable

__all__ = [
    "Cuts",
    "Run",
    "compare",
    "cuts",
    "export",
    "prune",
    "run",
    "silent",
    "simulate",
    "train_bottleneck",
]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    result
        What was found.
    folder
        Where it is written.
    pictures
        The pictures in it.
    """

    result: StudyResult
    folder: Path
    pictures: tuple[Path, ...]


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


def silent(label: str, items: Iterable[Any], total: int) -> Iterable[Any]:
    """Show no progress."""
    del label, total
    return items


def run(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Run:
    """Run a scenario or study and write its results.

    Parameters
    ----------
    file
        The scenario.
    output
        Result folder; ``results/<name>`` when absent.
    overrides
        Dotted paths and values that replace the file's.
    workers
        Processes to use, all cores when absent; figures don't depend on it.
    progress
        Shows how far the work has come.

    Returns
    -------
    Run
        What was found, and where it is written.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If a checkpoint, a dataset or the result folder is wrong.
    WorkError
        If the work fails. Whatever is raised, an earlier result stays as it was.
    """
    scenario_file = load_scenario(Path(file), overrides)
    count = workers or os.cpu_count() or 1
    target = Path(output or Path("results") / scenario_file.scenario.name)
    return _written(target, lambda traces: run_study(scenario_file, count, progress, traces))


def simulate(  # noqa: PLR0913, PLR0917 - one per option of the command
    profile: str | os.PathLike[str],
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    options: Sequence[str | os.PathLike[str]] = (),
) -> Run:
    """Simulate a stored profile in the system of a scenario; needs no torch.

    Parameters
    ----------
    profile
        Folder of a stored profile; a result folder has one per operating point in ``profiles``.
    file
        The scenario; its model sections are left out.
    output, overrides, workers, progress
        As in `run`; the result folder is ``results/<name>-simulated`` when absent.
    options
        Profiles of a controller's second and later options, in order.

    Returns
    -------
    Run
        What was found, and where it is written.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If the profile or the result folder is wrong.
    """
    scenario_file = load_system_scenario(Path(file), overrides)
    loaded = [load_profile(Path(stored)) for stored in (profile, *options)]
    count = workers or os.cpu_count() or 1
    target = Path(output or Path("results") / f"{scenario_file.scenario.name}-simulated")
    return _written(
        target, lambda traces: simulate_study(scenario_file, loaded, count, progress, traces)
    )


def prune(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
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

    Returns
    -------
    Shipped
        The files, and accuracy, weights, MACs and bytes before and after.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If the output can't be written.
    WorkError
        If the network can't be pruned. Nothing is written then.
    """
    scenario_file = load_scenario(Path(file), overrides)
    # Here, not at the top: torch is a second that a wrong input need not wait for.
    from flexrel_sim.measure.shipping import ship  # noqa: PLC0415

    # What is shipped is the scenario's own operating point, whatever a controller may choose.
    own = scenario_file.scenario.model_copy(update={"controller": None})
    base = replace(scenario_file, points=(Point(0, {}, own),))
    checked = check_all(base)
    shipped = ship(checked.specs[0], Path(output))
    missed = aim_warnings(own.pruning, shipped.choice, partial(base.fault, base.points[0]))
    return replace(shipped, warnings=(*checked.warnings, *missed))


def export(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
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

    Returns
    -------
    Told
        What the model card says.

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
    base = replace(scenario_file, points=(Point(0, {}, scenario_file.scenario),))
    spec = check_all(base).specs[0]
    from flexrel_sim.export import EXPORT_NAMES, write_export  # noqa: PLC0415 - as above

    with result_folder(Path(output), EXPORT_NAMES) as folder:
        return write_export(spec, folder)


def train_bottleneck(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    size: tuple[int, int],
    recipe: BottleneckTraining,
    after_epoch: Callable[[int, float], None] | None = None,
) -> BottleneckCard:
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

    Returns
    -------
    BottleneckCard
        What was written.

    Raises
    ------
    ScenarioError
        With every fault of the scenario.
    InputError
        If nothing is sent at the cut, or the output can't be written.
    WorkError
        If the boundary takes no bottleneck of that size.
    """
    scenario_file = load_scenario(Path(file))
    scenario = scenario_file.scenario
    split = scenario.split.model_copy(update={"bottleneck": None})
    point = Point(0, {}, scenario.model_copy(update={"split": split, "controller": None}))
    spec = check_all(replace(scenario_file, points=(point,))).specs[0]
    from flexrel_sim.measure.bottleneck import make_bottleneck  # noqa: PLC0415 - as above

    return make_bottleneck(spec, Path(output), size, recipe, after_epoch)


def compare(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Compare criteria on many networks and seeds, and write curves, tables and pictures.

    Parameters
    ----------
    file
        The comparison.
    output
        Result folder; ``results/<name>`` when absent.
    workers
        Processes to use, all cores when absent; figures don't depend on it.
    progress
        Shows how far the work has come.

    Returns
    -------
    pathlib.Path
        The result folder. Every curve is kept as soon as it is known: another call goes on.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    InputError
        If a dataset is missing, or the result folder is wrong.
    """
    from flexrel_sim.comparison import compare as run_comparison  # noqa: PLC0415
    from flexrel_sim.comparison import load_comparison  # noqa: PLC0415
    from flexrel_sim.plots.comparison import draw_comparison  # noqa: PLC0415
    from flexrel_sim.report.comparison import write_comparison  # noqa: PLC0415

    started = time.monotonic()
    loaded = load_comparison(Path(file))
    target = Path(output or Path("results") / loaded.scenario.name)
    with result_folder(target) as folder:
        result = run_comparison(loaded, workers or os.cpu_count() or 1, progress)
        seconds = time.monotonic() - started
        told = f"{seconds:.0f} s wall time, curves that were known already not counted"
        write_comparison(result, folder, {"this run": told})
        draw_comparison(result, folder)
    return target


def cuts(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
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

    table = scenario_cuts(scenario_file)
    if output is None:
        return Cuts(table, ())
    from flexrel_sim.plots.cuts import draw_cuts  # noqa: PLC0415 - matplotlib is half a second

    title = f"Cuts of {Path(scenario_file.scenario.model.network).stem}"
    return Cuts(table, tuple(draw_cuts(table, title, Path(output))))


def _written(target: Path, work: Callable[[Path], StudyResult]) -> Run:
    with result_folder(target) as folder:
        traces = folder / TRACES_NAME
        traces.mkdir()
        result = work(traces)
        if not any(traces.iterdir()):
            traces.rmdir()
        write_tables(result, folder)
        # Here, not at the top: matplotlib is half a second that a wrong input need not wait for.
        from flexrel_sim.plots import draw_all  # noqa: PLC0415

        pictures = [file.name for file in draw_all(result, folder)]
    return Run(result, target, tuple(target / name for name in pictures))
