"""Scenarios and comparisons in calls: run, simulate a stored profile, compare."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexrel_sim.networks import consent_to
from flexrel_sim.profile import load_profile
from flexrel_sim.report import (
    CURVES_NAME,
    SUMMARY_NAME,
    TRACES_NAME,
    result_folder,
    write_tables,
)
from flexrel_sim.scenario import load_scenario, load_system_scenario
from flexrel_sim.study import (
    Progress,
    StudyResult,
    run_study,
    simulate_study,
)

__all__ = ["Run", "compare", "run", "silent", "simulate"]


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
    allow_factory: Iterable[str] = (),
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
    allow_factory
        Modules whose functions the cards may call, such as ``torchvision.models``, beside those in
        files under the scenario's folder and those that ``$FLEXREL_ALLOW_FACTORY`` lists.

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
    scenario_file, consent = load_scenario(Path(file), overrides), consent_to(allow_factory)
    count = workers or os.cpu_count() or 1
    target = Path(output or Path("results") / scenario_file.scenario.name)
    return _written(
        target, lambda traces: run_study(scenario_file, count, progress, traces, consent)
    )


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


def compare(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    allow_factory: Iterable[str] = (),
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
    allow_factory
        As in `run`.

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
    loaded = load_comparison(Path(file), consent_to(allow_factory))
    target = Path(output or Path("results") / loaded.scenario.name)
    with result_folder(target, CURVES_NAME) as folder:
        result = run_comparison(loaded, workers or os.cpu_count() or 1, progress)
        seconds = time.monotonic() - started
        told = f"{seconds:.0f} s wall time, curves that were known already not counted"
        write_comparison(result, folder, {"this run": told})
        draw_comparison(result, folder)
    return target


def _written(target: Path, work: Callable[[Path], StudyResult]) -> Run:
    with result_folder(target, SUMMARY_NAME) as folder:
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
