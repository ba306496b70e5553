"""Sweeps: grids of dotted paths to the list of points they stand for."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from flexrel_sim.errors import Fault
from flexrel_sim.scenario.data_sections import WITH_IMAGE
from flexrel_sim.scenario.schema import Range
from flexrel_sim.scenario.source import KeyPath, YamlSource
from flexrel_sim.units import spaced, spaced_quantities

__all__ = [
    "PINNED",
    "SweptValue",
    "apply_swept",
    "combinations",
    "grids_with_origin",
    "make_way",
    "read_grids",
    "set_path",
]

_NOT_SWEPT = ("name", "sweep", "objectives", "constraints")

# A grid is held in memory and run to the end: a slip in a range should not ask for a week.
_POINTS_MAX = 100_000


PINNED: Final = object()
"""Stands for a grid that the command line has emptied."""


@dataclass(frozen=True)
class SweptValue:
    """One value that a swept key takes, and where the file says so."""

    path: str
    value: Any
    origin: KeyPath


def read_grids(source: YamlSource) -> tuple[list[dict[str, list[SweptValue]]], list[Fault]]:
    """Read the ``sweep`` section of a file.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    grids
        One mapping from dotted path to its values per grid; empty without a sweep.
    faults
        What is wrong with the section.
    """
    raw = source.data.get("sweep")
    if raw is None or raw == {}:
        return [], []
    if not isinstance(raw, dict | list) or raw == []:
        remedy = "write 'link.uplink: [5 Mbit/s, 10 Mbit/s]' below it"
        return [], [source.fault(("sweep",), "must map dotted paths to values", raw, remedy)]
    listed = raw if isinstance(raw, list) else [raw]
    faults: list[Fault] = []
    grids = []
    for index, grid in enumerate(listed):
        origin: KeyPath = ("sweep", index) if isinstance(raw, list) else ("sweep",)
        if grid is PINNED:
            continue
        if not isinstance(grid, dict) or not grid:
            remedy = "write 'link.uplink: [5 Mbit/s, 10 Mbit/s]'"
            faults.append(
                source.fault(origin, "must map dotted paths to their values", grid, remedy)
            )
            continue
        grids.append(
            {
                str(path): _values(source, (*origin, str(path)), raw_values, faults)
                for path, raw_values in grid.items()
            }
        )
    grids = [
        kept for grid in grids if (kept := {p: values for p, values in grid.items() if values})
    ]
    size_faults = _size_faults(source, grids)
    # Sound keys of a faulty sweep are still checked, so that all faults show at once.
    return ([] if size_faults else grids), faults + size_faults


def grids_with_origin(grids: object) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Give the grids of a sweep section that are mappings, and where each stands."""
    if isinstance(grids, dict):
        yield ("sweep",), grids
    elif isinstance(grids, list):
        for index, grid in enumerate(grids):
            if isinstance(grid, dict):
                yield ("sweep", index), grid


def combinations(
    grids: list[dict[str, list[SweptValue]]],
) -> Iterator[tuple[int, dict[str, SweptValue]]]:
    """List the points of a union of grids, in the order they are written.

    Yields
    ------
    grid, swept
        The grid's place, and the values of one of its combinations by path.
    """
    for number, grid in enumerate(grids):
        for values in itertools.product(*grid.values()):
            yield number, {swept.path: swept for swept in values}


def apply_swept(data: dict[str, Any], swept: dict[str, SweptValue]) -> dict[str, Any]:
    """Give the data of one point: sections merged first, then single keys set.

    Parameters
    ----------
    data
        Content of the file; left as it is.
    swept
        Dotted path to value.

    Returns
    -------
    dict
        A copy with the values in their places.
    """
    result = copy.deepcopy(data)
    make_way(result, {path: value.value for path, value in swept.items()})
    for path in sorted(swept, key=lambda path: path.count(".")):
        set_path(result, path, swept[path].value)
    return result


def make_way(data: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Drop of a codec, in place, what its new keys exclude: an image and numbers are alternatives.

    Parameters
    ----------
    data
        What is to be changed.
    changes
        Dotted path to value. A codec that they give an image keeps no key of numbers, and one that
        they give keys of numbers keeps no image; what they give themselves is not touched.
    """
    codec = data.get("codec")
    if not isinstance(codec, dict):
        return
    given: set[str] = set()
    for path, value in changes.items():
        if path == "codec" and isinstance(value, dict):
            given |= {str(key) for key, inner in value.items() if inner is not None}
        elif path.startswith("codec.") and value is not None:
            given.add(path.split(".")[1])
    gone = set(codec).difference(WITH_IMAGE) if "image" in given else set()
    if given.difference(WITH_IMAGE):
        gone.add("image")
    for key in gone & set(codec):
        del codec[key]


def set_path(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in place, making sections on the way and merging into an existing one.

    Parameters
    ----------
    data
        What to change.
    path
        Dotted path; where a plain value stands in the way, it is replaced.
    value
        A value for the key, or a mapping to merge into the section.
    """
    *sections, key = path.split(".")
    for section in sections:
        inner = data.get(section)
        if not isinstance(inner, dict):
            inner = data[section] = {}
        data = inner
    if isinstance(value, dict) and isinstance(data.get(key), dict):
        for inner, inner_value in value.items():
            set_path(data[key], str(inner), inner_value)
    else:
        data[key] = copy.deepcopy(value)


def _values(
    source: YamlSource, origin: KeyPath, raw: object, faults: list[Fault]
) -> list[SweptValue]:
    path = str(origin[-1])
    if path.partition(".")[0] in _NOT_SWEPT:
        faults.append(source.fault(origin, "can't be swept", remedy="sweep keys of a section"))
        return []
    if isinstance(raw, list) and raw:
        return [SweptValue(path, value, (*origin, index)) for index, value in enumerate(raw)]
    remedy = "write a list, or {from: 1 Mbit/s, to: 50 Mbit/s, steps: 6, scale: log}"
    if not isinstance(raw, dict):
        faults.append(source.fault(origin, "must be a list of values or a range", raw, remedy))
        return []
    try:
        values = _spaced_values(Range.model_validate(raw))
    except ValidationError as error:
        for detail in error.errors():
            where = ".".join(str(key) for key in detail["loc"][:1])
            message = f"must be a range: {where} – {detail['msg'].lower()}"
            faults.append(source.fault(origin, message, raw, remedy))
        return []
    except ValueError as error:
        faults.append(source.fault(origin, str(error), raw, remedy))
        return []
    return [SweptValue(path, value, origin) for value in values]


def _spaced_values(spec: Range) -> list[float | int] | list[str]:
    log = spec.scale == "log"
    if isinstance(spec.from_, str) and isinstance(spec.to, str):
        return spaced_quantities(spec.from_, spec.to, spec.steps, log=log)
    if isinstance(spec.from_, str) or isinstance(spec.to, str):
        raise ValueError("must go from one number or quantity to another of the same kind")
    # Whole numbers stay whole, so that integer keys can be swept by range.
    return [
        int(value) if value.is_integer() else value
        for value in spaced(spec.from_, spec.to, spec.steps, log=log)
    ]


def _size_faults(source: YamlSource, grids: list[dict[str, list[SweptValue]]]) -> list[Fault]:
    faults = []
    count = sum(_product(grid) for grid in grids)
    if count > _POINTS_MAX:
        rule = f"must not ask for more than {_POINTS_MAX:,} points"
        faults.append(source.fault(("sweep",), rule, count, "use fewer values"))
    for grid in grids:
        for path, other in itertools.permutations(grid, 2):
            if not path.startswith(f"{other}."):
                continue
            key = path.removeprefix(f"{other}.")
            faults += [
                source.fault(
                    swept.origin,
                    f"sets {key!r}, which {path!r} sweeps as well",
                    None,
                    "keep one of the two",
                )
                for swept in grid[other]
                if _holds(swept.value, key.split("."))
            ]
    return faults


def _holds(value: object, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _product(grid: dict[str, list[SweptValue]]) -> int:
    count = 1
    for values in grid.values():
        count *= len(values)
    return count
