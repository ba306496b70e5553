"""The package in two calls: run a scenario, or simulate a stored profile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexrel_sim.profile import load_profile
from flexrel_sim.report import result_folder, trace_writer, write_tables
from flexrel_sim.scenario import load_scenario, load_system_scenario
from flexrel_sim.study import KeepTrace, Progress, StudyResult, run_study, simulate_study

__all__ = ["Run", "run", "silent", "simulate"]


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
    return _written(target, lambda keep: run_study(scenario_file, count, progress, keep))


def simulate(
    profile: str | os.PathLike[str],
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
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
    loaded = load_profile(Path(profile))
    count = workers or os.cpu_count() or 1
    target = Path(output or Path("results") / f"{scenario_file.scenario.name}-simulated")
    return _written(
        target, lambda keep: simulate_study(scenario_file, loaded, count, progress, keep)
    )


def _written(target: Path, work: Callable[[KeepTrace], StudyResult]) -> Run:
    with result_folder(target) as folder:
        with trace_writer(folder / "trace.parquet") as keep_trace:
            result = work(keep_trace)
        write_tables(result, folder)
        # Here, not at the top: matplotlib is half a second that a wrong input need not wait for.
        from flexrel_sim.plots import draw_all  # noqa: PLC0415

        pictures = [file.name for file in draw_all(result, folder)]
    return Run(result, target, tuple(target / name for name in pictures))
