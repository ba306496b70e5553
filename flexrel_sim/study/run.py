"""Many points: measure what no profile is known of, simulate all, rank them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from flexrel_sim.errors import Fault, ScenarioError, WorkError
from flexrel_sim.measure import MeasureSpec, cached_profile, keep_profile
from flexrel_sim.measure.pruning_check import aim_warnings
from flexrel_sim.metrics import OPTIONAL_METRICS
from flexrel_sim.networks import Consent
from flexrel_sim.processes import run_tasks
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import Scenario, ScenarioFile, SystemScenario
from flexrel_sim.simulation import Summary, Unstable, simulate_point
from flexrel_sim.simulation.store import KeepTrace, trace_writer
from flexrel_sim.study.accuracy_warnings import accuracy_warnings
from flexrel_sim.study.check import (
    base_warnings,
    check_all,
    count_faults,
    option_count,
    system_faults,
    system_warnings,
)
from flexrel_sim.study.load_warnings import drop_warnings, overload_warnings, sampling_warnings
from flexrel_sim.study.precision import precision_warnings
from flexrel_sim.study.ranking import rank
from flexrel_sim.study.result import PointResult, StudyResult

__all__ = ["Progress", "run_study", "simulate_study"]


class Progress(Protocol):
    """Shows how far a long loop has come."""

    def __call__(self, label: str, items: Iterable[Any], total: int) -> Iterable[Any]:
        """Pass items on, and show their number."""


@dataclass(frozen=True)
class _SimulateTask:
    index: int
    scenario: SystemScenario
    profiles: tuple[Profile, ...]
    folder: Path
    traces: Path | None


def run_study(
    scenario_file: ScenarioFile[Scenario],
    workers: int,
    progress: Progress,
    traces: Path | None,
    consent: Consent | None = None,
) -> StudyResult:
    """Run every point of a scenario, from network to figures.

    Parameters
    ----------
    scenario_file
        What to run.
    workers
        Processes to use; figures don't depend on it.
    progress
        Shows how far the work has come.
    traces
        Folder for the traces, a file for each point; none are kept where absent.
    consent
        Which factories may be called, beside those in files under the scenario's folder.

    Returns
    -------
    StudyResult
        The points, ranked.

    Raises
    ------
    ScenarioError
        With every fault; also if no point is stable.
    WorkError
        If the work fails.
    """
    checked = check_all(scenario_file, consent or Consent())
    profiles = _profiles(checked.specs, workers, progress)
    specs = iter(checked.specs)
    by_point = [
        tuple(profiles[spec.key] for spec in islice(specs, option_count(point)))
        for point in scenario_file.points
    ]
    return _simulated(
        scenario_file, by_point, checked.warnings, workers, progress=progress, traces=traces
    )


def simulate_study(
    scenario_file: ScenarioFile[SystemScenario],
    profile: Profile | Sequence[Profile],
    workers: int,
    progress: Progress,
    traces: Path | None,
) -> StudyResult:
    """Run every point of a system around one stored profile; needs no torch.

    Parameters
    ----------
    scenario_file
        Devices, link, server and workload.
    profile
        The operating point; with a controller one for each of its options, in order.
    workers, progress, traces
        As in `run_study`.

    Returns
    -------
    StudyResult
        The points, ranked.

    Raises
    ------
    ScenarioError
        With every fault; also if no point is stable.
    """
    profiles = (profile,) if isinstance(profile, Profile) else tuple(profile)
    faults = system_faults(scenario_file)
    faults += count_faults(scenario_file, len(profiles))
    if faults:
        raise ScenarioError(faults)
    by_point = [profiles] * len(scenario_file.points)
    return _simulated(scenario_file, by_point, [], workers, progress=progress, traces=traces)


def _profiles(specs: Sequence[MeasureSpec], workers: int, progress: Progress) -> dict[str, Profile]:
    wanted = {spec.key: spec for spec in specs}
    profiles = {key: found for key in wanted if (found := cached_profile(key)) is not None}
    groups: dict[str, list[MeasureSpec]] = {}
    for key, spec in wanted.items():
        if key not in profiles:
            groups.setdefault(spec.network_key, []).append(spec)
    tasks = list(groups.values())
    if tasks:
        results = run_tasks(_measure, tasks, workers)
        for measured in progress("measuring pruned networks", results, len(tasks)):
            for profile in measured:
                keep_profile(profile)
                profiles[profile.key] = profile
    return profiles


def _measure(specs: list[MeasureSpec]) -> list[Profile]:
    # Here, not at the top: torch is needed only where something is measured.
    from flexrel_sim.measure.network import measure_network  # noqa: PLC0415

    return measure_network(specs)


def _simulated(
    scenario_file: ScenarioFile[Any],
    profiles: Sequence[tuple[Profile, ...]],
    warnings: Sequence[Fault],
    workers: int,
    *,
    progress: Progress,
    traces: Path | None,
) -> StudyResult:
    tasks = [
        _SimulateTask(point.index, point.scenario, own, scenario_file.folder, traces)
        for point, own in zip(scenario_file.points, profiles, strict=True)
    ]
    results = progress("simulating", run_tasks(_simulate, tasks, workers), len(tasks))
    points: list[PointResult] = []
    for point, task, outcome in zip(scenario_file.points, tasks, results, strict=True):
        controller = point.scenario.controller
        starting = task.profiles[0 if controller is None else controller.start]
        points.append(
            PointResult(
                point.index,
                point.values,
                point.scenario,
                starting,
                outcome,
                options=task.profiles,
            )
        )
    told = overload_warnings(scenario_file, points)
    if all(isinstance(point.outcome, Unstable) for point in points):
        raise ScenarioError(told)
    unknown = list(_unknown_figures(scenario_file, points))
    if unknown:
        raise ScenarioError(unknown)
    ranked, environments = rank(points, scenario_file)
    unsure = [
        *_missed_aims(scenario_file, points),
        *accuracy_warnings(scenario_file, points),
        *sampling_warnings(scenario_file, points),
        *drop_warnings(scenario_file, points),
        *precision_warnings(scenario_file, points),
    ]
    system = {str(warning): warning for warning in system_warnings(scenario_file)}
    whose = base_warnings(scenario_file, environments)
    told = [*warnings, *system.values(), *whose, *told, *unsure]
    return StudyResult(scenario_file, ranked, environments, tuple(told))


def _missed_aims(scenario_file: ScenarioFile[Any], points: Sequence[PointResult]) -> list[Fault]:
    """Tell of every pruned network whose `delta: auto` could not keep the accuracy, once."""
    told: dict[str, Fault] = {}
    for place, point in zip(scenario_file.points, points, strict=True):
        if not isinstance(point.scenario, Scenario):
            continue  # a stored profile is simulated: its pruning was another command's
        pruning = point.scenario.pruning
        for profile in point.options or (point.profile,):
            tell = partial(scenario_file.fault, place)
            found = aim_warnings(pruning, profile.calibration.choice, tell)
            told |= {str(warning): warning for warning in found}
    return list(told.values())


def _unknown_figures(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> Iterator[Fault]:
    """Find what points are to be ranked by and none of them has."""
    scenario = scenario_file.scenario
    outcomes = [point.outcome for point in points if isinstance(point.outcome, Summary)]
    for section in ("objectives", "constraints"):
        for name in getattr(scenario, section):
            if not any(name in outcome.metrics for outcome in outcomes):
                rule = f"is a figure that needs {OPTIONAL_METRICS.get(name, 'a stable point')}"
                yield scenario_file.fault(scenario_file.points[0], f"{section}.{name}", rule)


def _simulate(task: _SimulateTask) -> Summary | Unstable:
    if task.traces is None or not task.scenario.simulation.traces:
        return _simulated_point(task, None)
    with trace_writer(task.traces / f"point-{task.index:05d}.parquet", task.index) as keep:
        return _simulated_point(task, keep)


def _simulated_point(task: _SimulateTask, keep: KeepTrace | None) -> Summary | Unstable:
    try:
        return simulate_point(task.scenario, task.profiles, task.folder, keep)
    except ValueError as error:
        raise WorkError(f"point {task.index} can't be simulated: {error}") from None
