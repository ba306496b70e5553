"""A scenario file to validated points, with every fault placed on the line that caused it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.reading import parsing
from flexrel_sim.scenario.overrides import overridden
from flexrel_sim.scenario.refusals import FaultMaker, fault_maker, validation_faults
from flexrel_sim.scenario.schema import MODEL_SECTIONS, Scenario, SystemScenario
from flexrel_sim.scenario.source import KeyPath, YamlSource, dotted, plain_data, read_yaml
from flexrel_sim.scenario.sweep import (
    PINNED,
    SweptValue,
    apply_swept,
    combinations,
    grids_with_origin,
    read_grids,
)

__all__ = [
    "Point",
    "ScenarioFile",
    "load_scenario",
    "load_system_scenario",
    "option_points",
    "parse_override",
]

S = TypeVar("S", bound=SystemScenario)

_SHOWN_MAX = 80


@dataclass(frozen=True)
class Point(Generic[S]):
    """One combination of a study.

    Parameters
    ----------
    index
        Its place in the study, from 0.
    swept
        The swept keys and the values they take here.
    scenario
        The scenario that results.
    """

    index: int
    swept: dict[str, SweptValue]
    scenario: S

    @property
    def values(self) -> dict[str, Any]:
        """The swept keys with plain values, as the user wrote them."""
        return {path: swept.value for path, swept in self.swept.items()}


@dataclass(frozen=True)
class ScenarioFile(Generic[S]):
    """A validated scenario file.

    Parameters
    ----------
    source
        The file as read, with line numbers.
    scenario
        The base scenario, without sweep.
    points
        All combinations of the sweep; the base scenario alone without one.
    overrides
        Dotted paths that ``--set`` changed.
    base_from_sweep
        Required keys that only the sweep gives: the base scenario has these, their first values.
    warnings
        Warnings: valid, but likely a mistake.
    """

    source: YamlSource
    scenario: S
    points: tuple[Point[S], ...]
    overrides: frozenset[str] = field(default_factory=frozenset)
    base_from_sweep: Mapping[str, SweptValue] = field(default_factory=dict)
    warnings: tuple[Fault, ...] = ()

    @property
    def folder(self) -> Path:
        """Where relative paths in the file start."""
        return self.source.file.parent

    @property
    def is_study(self) -> bool:
        """Whether anything is swept."""
        return bool(self.points[0].swept)

    def fault(
        self, point: Point[S], path: str, rule: str, value: object = None, remedy: str = ""
    ) -> Fault:
        """Make a fault at a key of a point, placed where the file sets that key."""
        key_path = tuple(path.split("."))
        return _placed(self.source, point.swept, key_path)(rule, value, remedy)

    def written(self, point: Point[S]) -> dict[str, Any]:
        """Give a point's data without defaults, each value as the file, sweep or option says it."""
        data = {key: value for key, value in self.source.data.items() if key != "sweep"}
        data.setdefault("name", self.scenario.name)
        return apply_swept(data, {**self.base_from_sweep, **point.swept})

    def resolved(self) -> dict[str, Any]:
        """Give the whole scenario with its defaults and sweep, ready to write as YAML.

        Returns
        -------
        dict
            Loaded again, it gives the same points. What only the sweep gives stays with it alone.
        """
        data: dict[str, Any] = self.scenario.model_dump(mode="json", exclude={"sweep"})
        pruning = self.source.data.get("pruning")
        varies = self.is_study or self.scenario.controller is not None
        if varies and "pruning" in data and "criterion" not in (pruning or {}):
            # The default criterion hangs on the granularity, which a point may change.
            del data["pruning"]["criterion"]
        for path in self.base_from_sweep:
            _take_back(data, self.source.data, path)
        if self.is_study:
            sweep = self.source.data["sweep"]
            if isinstance(sweep, list):
                sweep = [grid for grid in sweep if grid is not PINNED]
            data["sweep"] = sweep
        return data


def load_scenario(file: Path, overrides: Mapping[str, Any] | None = None) -> ScenarioFile[Scenario]:
    """Load a scenario or study.

    Parameters
    ----------
    file
        A YAML file.
    overrides
        Dotted paths and values that replace the file's; a swept path is pinned to its value.

    Returns
    -------
    ScenarioFile
        The scenario, and every point of its sweep.

    Raises
    ------
    ScenarioError
        With every fault of the file and the overrides.
    """
    return _load(Scenario, read_yaml(file), overrides or {})


def load_system_scenario(
    file: Path, overrides: Mapping[str, Any] | None = None
) -> ScenarioFile[SystemScenario]:
    """Load the system half of a scenario; a profile stands in for the model half.

    Parameters
    ----------
    file
        A YAML file; its model sections are left out.
    overrides
        As in `load_scenario`.

    Returns
    -------
    ScenarioFile
        The system, and every point of its sweep.

    Raises
    ------
    ScenarioError
        With every fault, sweeping or overriding a model section among them.
    """
    source = read_yaml(file)
    data = {key: value for key, value in source.data.items() if key not in MODEL_SECTIONS}
    grids = data.get("sweep") or {}
    remedy = "remove it, or use 'flexrel-sim run', which measures a profile per point"
    rule = "is part of the profile and can't vary in a simulation of it"
    faults = [
        source.fault((*origin, path), rule, remedy=remedy)
        for origin, grid in grids_with_origin(grids)
        for path in grid
        if str(path).split(".")[0] in MODEL_SECTIONS
    ]
    faults += [
        Fault(path, rule, value, remedy, place=f"--set {path}")
        for path, value in (overrides or {}).items()
        if path.removeprefix("sweep.").partition(".")[0] in MODEL_SECTIONS
    ]
    if faults:
        raise ScenarioError(faults)
    return _load(
        SystemScenario, YamlSource(file, data, source.lines, source.sha256), overrides or {}
    )


def _load(schema: type[S], source: YamlSource, overrides: Mapping[str, Any]) -> ScenarioFile[S]:
    source = overridden(source, overrides)
    grids, faults = read_grids(source)
    data = {key: value for key, value in source.data.items() if key != "sweep"}
    data.setdefault("name", _name_of(source.file))
    base, base_faults = _validated(schema, source, data, {})
    needed = _needed(base_faults, grids)
    if needed:
        base, base_faults = _validated(schema, source, data, needed)
    faults += base_faults
    points: list[Point[S]] = []
    seen: dict[str, tuple[int, dict[str, SweptValue]]] = {}
    repeated: dict[KeyPath, SweptValue] = {}
    for grid, swept in combinations(grids) if grids else [(0, {})]:
        scenario, point_faults = _validated(schema, source, data, {**needed, **swept})
        faults += point_faults if swept else []
        if scenario is None:
            continue
        name = scenario.model_dump_json()
        if name not in seen:
            seen[name] = grid, swept
            points.append(Point(len(points), swept, scenario))
        elif seen[name][0] == grid:
            # Grids may meet; within one, what is the same scenario says one value twice.
            repeated |= _repeated(seen[name][1], swept)
    if faults or base is None:
        raise ScenarioError(faults)
    rule = "is the same as an earlier value of this sweep, and is run once"
    warnings = [
        source.fault(origin, rule, swept.value, "remove it") for origin, swept in repeated.items()
    ]
    return ScenarioFile(source, base, tuple(points), frozenset(overrides), needed, tuple(warnings))


def option_points(
    scenario_file: ScenarioFile[Scenario], point: Point[Scenario]
) -> tuple[list[Point[Scenario]], list[Fault]]:
    """Give the operating points that a point's controller chooses among.

    Parameters
    ----------
    scenario_file
        Whose point it is.
    point
        A point of it.

    Returns
    -------
    points
        One per option; the point itself without a controller.
    faults
        What is wrong with options, each on its line.
    """
    controller = point.scenario.controller
    if controller is None:
        return [point], []
    # As written: a default that was filled in would not follow what an option changes.
    data = scenario_file.written(point)
    points, faults = [], []
    for number, option in enumerate(controller.options):
        origin: KeyPath = ("controller", "options", number)
        swept = {
            str(path): SweptValue(str(path), value, (*origin, str(path)))
            for path, value in option.items()
        }
        scenario, found = _validated(Scenario, scenario_file.source, data, swept)
        faults += found
        if scenario is not None:
            points.append(Point(point.index, {**point.swept, **swept}, scenario))
    return points, faults


def _take_back(data: dict[str, Any], given: Mapping[str, Any], path: str) -> None:
    """Drop a lent key, in place, with the sections around it that the file does not have."""
    inner: Any = given
    for key in path.split("."):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
        if inner is None:
            data.pop(key, None)
            return
        data = data.get(key, {})


def _repeated(
    first: Mapping[str, SweptValue], second: Mapping[str, SweptValue]
) -> dict[KeyPath, SweptValue]:
    """Find the value that tells two equal points of a grid apart, and so can't be a new one."""
    apart = [swept for path, swept in second.items() if swept is not first[path]]
    return {apart[0].origin: apart[0]} if len(apart) == 1 else {}


def _name_of(file: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).lstrip("._-") or "scenario"


def _needed(faults: list[Fault], grids: list[dict[str, list[SweptValue]]]) -> dict[str, SweptValue]:
    """Give the first value of every required key that only the sweep gives."""
    required = [fault.path for fault in faults if fault.rule == "is required"]
    first = {path: values[0] for grid in reversed(grids) for path, values in grid.items()}
    return {
        path: swept
        for path, swept in first.items()
        if any(path == missing or path.startswith(f"{missing}.") for missing in required)
    }


def _validated(
    schema: type[S], source: YamlSource, data: dict[str, Any], swept: dict[str, SweptValue]
) -> tuple[S | None, list[Fault]]:
    try:
        return schema.model_validate(apply_swept(data, swept)), []
    except ValidationError as error:
        return None, validation_faults(schema, error, partial(_placed, source, swept))


def _placed(source: YamlSource, swept: Mapping[str, SweptValue], path: KeyPath) -> FaultMaker:
    """Find who set a key, and give a maker of faults there."""
    for length in range(len(path), 0, -1):
        # An option is stronger than a sweep, also inside a section that is swept.
        if option := source.options.get(path[:length]):
            return fault_maker(dotted(path), option)
        prefix = ".".join(str(key) for key in path[:length])
        if prefix in swept:
            origin = (*swept[prefix].origin, *path[length:])
            return fault_maker(dotted(origin), source.place(origin))
    # What is wrong with a section may have come with a key below it.
    below = f"{'.'.join(str(key) for key in path)}."
    for name, value in swept.items():
        if name.startswith(below):
            return fault_maker(dotted(value.origin), source.place(value.origin))
    for option_path, option in source.options.items():
        if option_path[: len(path)] == path:
            return fault_maker(dotted(path), option)
    return fault_maker(dotted(path), source.place(path))


def parse_override(text: str) -> tuple[str, Any]:
    """Read ``path=value`` from the command line, the value as YAML.

    Parameters
    ----------
    text
        What followed ``--set``.

    Returns
    -------
    path, value
        The dotted path, and the plain value.

    Raises
    ------
    ScenarioError
        If there is no ``=``, no path, or the value is not YAML.
    """
    path, equals, value = text.partition("=")
    remedy = "write --set pruning.ratio=0.6 or --set 'link.uplink=5 Mbit/s'"
    shown = text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…"
    fault = Fault(
        path[:_SHOWN_MAX] or "(none)", "must be path=value", value, remedy, f"--set {shown}"
    )
    with parsing(lambda _: ScenarioError([fault])):
        if not equals or not path.strip():
            raise ScenarioError([fault])
        return path.strip(), plain_data(value)
