"""A kept number never outlives code that moves it: keys cover all that measuring imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import flexrel_sim
from flexrel_sim.comparison.run import _CODE
from flexrel_sim.measure.spec import _MEASURING_CODE

PACKAGE = Path(flexrel_sim.__file__).parent

# Sections are in the keys with all their values; the others hold data, files, words or faults.
OF_NO_MATTER = {
    "scenario": "its values are in the key",
    "units": "read into the scenario's values",
    "bounds": "refuses, and moves no number",
    "errors": "faults",
    "files": "whole files",
    "reading": "faults of files",
    "processes": "where it is computed",
    "signals": "when it is stopped",
    "store": "where numbers are kept",
    "version": "in the key by itself",
    "hardware/__init__.py": "names only",
    "links/__init__.py": "names only",
    "links/capacity.py": "its mean rate is in the key",
    "profile": "has a version of its own, which is in the key",
    "metrics.py": "words",
    "statistics.py": "intervals, drawn from kept numbers",
    "proportions.py": "intervals, drawn from kept numbers",
    "accuracy.py": "drawn from kept numbers",
    "comparison/result.py": "drawn from kept numbers",
    "comparison/schema.py": "its values are in the key",
    "comparison/__init__.py": "names only",
    "measure/__init__.py": "names only",
    "measure/cache.py": "where numbers are kept",
    "measure/spec.py": "what it resolves is in the key",
    "__init__.py": "names only",
}


def imported_by(file: Path) -> set[Path]:
    """Give the files of this package that one imports, packages by their ``__init__``."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "flexrel_sim":
                path = PACKAGE.joinpath(*name.split(".")[1:])
                found |= {path / "__init__.py", path.with_suffix(".py")}
    return {path for path in found if path.is_file()}


def covered(path: str, names: tuple[str, ...]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in names)


@pytest.mark.parametrize(
    ("start", "names"),
    [
        ("measure/network.py", _MEASURING_CODE),
        # Outlines name cuts and bottlenecks are put into them, and a comparison has none.
        ("comparison/measure.py", (*_CODE, "partition", "placement")),
    ],
)
def test_all_that_measuring_imports_is_in_the_key_or_moves_no_number(
    start: str, names: tuple[str, ...]
) -> None:
    waiting, seen = [PACKAGE / start], set()
    while waiting:
        file = waiting.pop()
        path = file.relative_to(PACKAGE).as_posix()
        if file in seen:
            continue
        seen.add(file)
        if covered(path, names):
            waiting += imported_by(file)
        else:
            known = tuple(name.removesuffix(".py") for name in OF_NO_MATTER)
            assert covered(path.removesuffix(".py"), known), f"{path} is in no key"
    assert len(seen) > 30


@pytest.mark.parametrize("names", [_MEASURING_CODE, _CODE])
def test_every_name_in_a_key_is_there(names: tuple[str, ...]) -> None:
    assert all((PACKAGE / name).exists() for name in names)
