"""What can be known of a study before any work: both halves, and what they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.hardware import Device, find_device, find_radio
from flexrel_sim.links.resolve import resolve, trace_warnings
from flexrel_sim.measure import Checked, check
from flexrel_sim.networks import Consent
from flexrel_sim.scenario import Point, Scenario, ScenarioFile, SystemScenario, option_points
from flexrel_sim.scenario.link_sections import DirectionSection
from flexrel_sim.simulation.check import system_findings
from flexrel_sim.study.environments import Environment
from flexrel_sim.study.precision import Side, precision_faults

__all__ = [
    "base_warnings",
    "check_all",
    "count_faults",
    "option_count",
    "system_faults",
    "system_warnings",
]


def check_all(
    scenario_file: ScenarioFile[Scenario],
    consent: Consent | None = None,
    *,
    need_data: bool = True,
) -> Checked:
    """Check all that can be known without work: the model half, and the devices.

    Parameters
    ----------
    scenario_file
        A scenario whose own rules hold.
    consent
        As in `check`: which factories may be called, None for none.
    need_data
        Whether a dataset that is not installed is a fault, or a warning.

    Returns
    -------
    Checked
        What to measure, and warnings; a point with a controller has a spec for every option.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    faults = system_faults(scenario_file)
    measured: list[Point[Scenario]] = []
    for point in scenario_file.points:
        options, found = option_points(scenario_file, point)
        measured += options
        faults += found
        faults += _fallback_faults(scenario_file, point, options)
    try:
        checked = check(
            replace(scenario_file, points=tuple(measured)), consent, need_data=need_data
        )
    except ScenarioError as error:
        raise ScenarioError((*error.faults, *faults)) from None
    if faults:
        raise ScenarioError(faults)
    checked.warnings += codec_warnings(scenario_file)
    return checked


def option_count(point: Point[Any]) -> int:
    """Count the profiles that a point needs."""
    controller = point.scenario.controller
    return 1 if controller is None else len(controller.options)


def _fallback_faults(
    scenario_file: ScenarioFile[Any], point: Point[Any], options: Sequence[Point[Scenario]]
) -> list[Fault]:
    controller = point.scenario.controller
    if controller is None or not controller.fallback:
        return []
    if any(option.scenario.split.cut == "edge" for option in options):
        return []
    rule = "needs an option that stays on the edge"
    remedy = "add 'split.cut: edge' to one of controller.options"
    return [scenario_file.fault(point, "controller.fallback", rule, True, remedy)]


def count_faults(scenario_file: ScenarioFile[Any], profiles: int) -> list[Fault]:
    """Find points that need another number of stored profiles than is given."""
    faults = []
    for point in scenario_file.points:
        wanted = option_count(point)
        if wanted != profiles and point.scenario.controller is None:
            rule = f"is missing: {profiles} profiles are given, and nothing chooses among them"
            remedy = "give one profile, or add a controller with as many options"
            faults.append(scenario_file.fault(point, "controller", rule, None, remedy))
        elif wanted != profiles:
            rule = f"has {wanted} options and needs a profile for each; {profiles} given"
            remedy = "name the others with --option, in order, or use 'flexrel-sim run'"
            faults.append(scenario_file.fault(point, "controller.options", rule, None, remedy))
    return faults


def system_faults(scenario_file: ScenarioFile[Any]) -> list[Fault]:
    """Find what is wrong with the system half of any point, the files that it names included."""
    faults: list[Fault] = []
    for point in scenario_file.points:
        faults += _file_faults(scenario_file, point)
        faults += (
            scenario_file.fault(point, path, rule, value, remedy)
            for path, rule, value, remedy in system_findings(point.scenario)
        )
    return faults


def _file_faults(scenario_file: ScenarioFile[Any], point: Point[Any]) -> Iterator[Fault]:
    """Look for devices, a radio and link traces, where they are not presets or plain rates."""
    scenario, folder = point.scenario, scenario_file.folder
    for path, name, find in (
        ("edge.device", scenario.edge.device, find_device),
        ("server.device", scenario.server.device, find_device),
        ("edge.radio", scenario.edge.radio, find_radio),
    ):
        try:
            found = find(name, folder)
        except LookupError as error:
            rule = f"unknown {path.rpartition('.')[2]}"
            yield scenario_file.fault(point, path, rule, name, str(error))
        except ScenarioError as error:
            yield from error.faults
        else:
            if isinstance(found, Device):
                side: Side = "edge" if path == "edge.device" else "server"
                yield from precision_faults(scenario_file, point, side, found)
    try:
        resolve(scenario.link, folder)
    except ScenarioError as error:
        yield from error.faults


def system_warnings(scenario_file: ScenarioFile[Any]) -> Iterator[Fault]:
    """Find what to warn of in the system half; the same may come twice.

    Parameters
    ----------
    scenario_file
        A study whose system half has no faults.

    Yields
    ------
    Fault
        Values that a sweep says twice, traces that are odd, and what is down for the whole run.
    """
    yield from scenario_file.warnings
    for point in scenario_file.points:
        for warning in trace_warnings(point.scenario.link):
            yield scenario_file.fault(
                point, warning.path, warning.rule, warning.value, warning.remedy
            )
        end_s = point.scenario.workload.duration
        for path, windows in _down(point.scenario):
            reached_s = 0.0
            for start_s, until_s in windows:
                reached_s = until_s if start_s <= reached_s else reached_s
            if reached_s >= end_s:
                rule = f"takes the whole run of {end_s:g} s: nothing is served before it ends"
                yield scenario_file.fault(point, path, rule, None, "shorten it, or run longer")


def _down(scenario: SystemScenario) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Give what is down when, in ascending windows, where that is no matter of chance."""
    for name in ("edge", "server"):
        failures = getattr(scenario, name).failures
        if failures is not None:
            yield f"{name}.failures.windows", [(start, end) for start, end in failures.windows]
    for name in ("uplink", "downlink"):
        way = getattr(scenario.link, name)
        if not isinstance(way, DirectionSection):
            continue
        if way.outage is not None and way.outage.windows is not None:
            yield f"link.{name}.outage.windows", list(way.outage.windows)
        if way.schedule is not None and way.schedule[0][1] == 0:
            # Its first rate above zero ends the outage, if one comes.
            ends = [start for start, rate in way.schedule if rate > 0]
            yield f"link.{name}.schedule", [(0.0, min(ends, default=way.repeat or 0.0))]


def codec_warnings(scenario_file: ScenarioFile[Scenario]) -> list[Fault]:
    """Tell of a level of compression that no point compresses with."""
    sections = [point.scenario.codec for point in scenario_file.points]
    if any(codec.compress == "zstd" for codec in sections):
        return []
    default = type(sections[0]).model_fields["level"].default
    for point, codec in zip(scenario_file.points, sections, strict=True):
        if codec.level != default or "codec.level" in point.swept:
            rule = "has no effect without compress: zstd"
            remedy = "remove it, or add codec.compress: zstd"
            return [scenario_file.fault(point, "codec.level", rule, codec.level, remedy)]
    return []


def base_warnings(
    scenario_file: ScenarioFile[Any], environments: Sequence[Environment]
) -> list[Fault]:
    """Tell that no point meets the base scenario's environment, and which one is told of instead.

    Parameters
    ----------
    scenario_file
        What was run.
    environments
        What its points meet.

    Returns
    -------
    list of Fault
        One, or none if a point meets it.
    """
    if any(environment.is_base for environment in environments):
        return []
    point, first = scenario_file.points[environments[0].indices[0]], environments[0]
    swept = [path for path in first.settings if path in point.swept]
    path = next(iter(swept), "link")
    rule = f"leaves out the base scenario's own value; the headline is about {first.name}"
    remedy = "add it to the sweep to have it ranked"
    if path in scenario_file.base_from_sweep:
        rule = f"gives the only values there are; the headline is about the first, {first.name}"
        remedy = f"set {path} beside the sweep to have its value as the headline"
    return [scenario_file.fault(point, path, rule, None, remedy)]
