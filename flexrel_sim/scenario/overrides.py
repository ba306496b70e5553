"""Settings from the command line: they replace the file's, and pin what they set out of a sweep."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.scenario.source import KeyPath, YamlSource
from flexrel_sim.scenario.sweep import PINNED, grids_with_origin, make_way, set_path

__all__ = ["overridden"]


def overridden(source: YamlSource, overrides: Mapping[str, Any]) -> YamlSource:
    """Apply settings to a file's content.

    Parameters
    ----------
    source
        The file; left as it is.
    overrides
        Dotted paths and values. A mapping merges into its section; ``sweep.PATH`` sets a swept
        key; any other path is pinned: no sweep varies it any more.

    Returns
    -------
    YamlSource
        The content with the settings in it, each placed at its option.

    Raises
    ------
    ScenarioError
        If a swept key is set where the sweep is a list of grids, so that its grid is open.
    """
    if not overrides:
        return source
    data = copy.deepcopy(source.data)
    grids = [grid for _, grid in grids_with_origin(data.get("sweep")) if grid]
    options: dict[KeyPath, str] = {}
    make_way(data, overrides)
    for path, value in overrides.items():
        option = f"--set {path}"
        if path.startswith("sweep."):
            swept = path.removeprefix("sweep.")
            _set_swept(data, swept, value, option)
            options["sweep", swept] = option
            continue
        for leaf in _leaves(path, value):
            _pin(data, leaf)
            options[tuple(leaf.split("."))] = option
        set_path(data, path, value)
    _drop_emptied(data, [grid for grid in grids if not grid])
    return YamlSource(source.file, data, source.lines, source.sha256, options)


def _set_swept(data: dict[str, Any], path: str, value: Any, option: str) -> None:
    sweep = data["sweep"] = data.get("sweep") or {}
    if not isinstance(sweep, dict):
        rule = "can't be set where the sweep is a list of grids"
        raise ScenarioError([Fault(f"sweep.{path}", rule, value, "edit the file", option)])
    sweep[path] = value


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    else:
        yield path


def _pin(data: dict[str, Any], leaf: str) -> None:
    """Take a path out of every grid: as a key of its own, and inside swept mappings."""
    for _, grid in grids_with_origin(data.get("sweep")):
        grid.pop(leaf, None)
        for swept, values in grid.items():
            if leaf.startswith(f"{swept}.") and isinstance(values, list):
                for value in values:
                    _remove(value, leaf.removeprefix(f"{swept}.").split("."))


def _remove(value: Any, keys: list[str]) -> None:
    for key in keys[:-1]:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value.pop(keys[-1], None)


def _drop_emptied(data: dict[str, Any], emptied: list[dict[str, Any]]) -> None:
    """Take out the grids of which pinning left nothing; an empty one of the user's stays."""
    sweep = data.get("sweep")
    gone = {id(grid) for grid in emptied}
    if isinstance(sweep, list) and sweep:
        # A grid keeps its place, so that the lines of the others stay right.
        data["sweep"] = [PINNED if id(grid) in gone else grid for grid in sweep]
        if all(grid is PINNED for grid in data["sweep"]):
            del data["sweep"]
    elif id(sweep) in gone:
        del data["sweep"]
