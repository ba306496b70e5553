"""Where the module of a factory lies: beside the scenario or card, or on Python's path. No torch.

Nothing here imports what is looked up. A module's file is looked up step by step from the top,
because `importlib.util.find_spec` of a dotted name imports the packages above it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["INSTALLED", "exists", "files_of", "importing_from", "loaded_from_elsewhere"]

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders where packages are installed: what lies there came with no scenario."""

_THIS: Final = __name__.partition(".")[0]


def files_of(module: str, folders: Sequence[Path] = ()) -> list[Path]:
    """List the files that importing a module runs, its packages' first; nothing is imported.

    Parameters
    ----------
    module
        Its dotted name.
    folders
        Where it is looked for, in this order, before ``sys.path``; but nothing there hides a module
        of Python or an installed package.

    Returns
    -------
    list of pathlib.Path
        Resolved; empty if the module is not found, or is no file.
    """
    found: list[Path] = []
    places, origin = [*map(str, folders), *sys.path], None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        try:
            if length == 1:
                spec = _spec(parts[0], folders)
            else:
                spec = PathFinder.find_spec(".".join(parts[:length]), places)
        except KeyError:
            # A folder without an `__init__` in another such: Python looks for the outer one among
            # what is imported.
            spec = None
        origin = None if spec is None else spec.origin
        if origin is not None:
            found.append(Path(origin).resolve())
        inner = spec.submodule_search_locations if spec is not None else None
        if origin is not None:
            # A plain module holds no others.
            places = list(inner or ())
            continue
        # A folder without an `__init__` runs no file of its own.
        beside = (Path(place) / parts[length - 1] for place in places)
        places = [str(folder) for folder in beside if folder.is_dir()]
    return found if origin is not None else []


def exists(module: str, folders: Sequence[Path] = ()) -> bool:
    """Tell whether a module can be found, as a file or otherwise; nothing is imported.

    Parameters
    ----------
    module
        Its dotted name.
    folders
        Where it is looked for besides Python's path.

    Returns
    -------
    bool
        False where it is certain that importing it would not find it.
    """
    if files_of(module, folders):
        return True
    top = module.partition(".")[0]
    if _spec(top, folders) is not None:
        return False
    # Built in, or found by an importer that is not asked for files.
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:
        return top in sys.modules


def loaded_from_elsewhere(folders: Sequence[Path]) -> tuple[str, Path, Path] | None:
    """Find a module that is loaded, and of which one of the folders holds another.

    Parameters
    ----------
    folders
        Where a factory's module and what it imports are looked for.

    Returns
    -------
    tuple of str, pathlib.Path and pathlib.Path, or None
        Its name, the file it was loaded from, and the file that it would hide.
    """
    for name, module in list(sys.modules.items()):
        file = _file(module)
        if "." in name or file is None or not _is_own(name):
            continue
        own = _spec(name, folders)
        if own is None or own.origin is None:
            continue
        beside = Path(own.origin).resolve()
        if beside != file and any(beside.is_relative_to(folder) for folder in folders):
            return name, file, beside
    return None


@contextmanager
def importing_from(folders: Sequence[Path]) -> Iterator[None]:
    """Let imports find modules in these folders, which hide none of Python's or installed ones.

    Parameters
    ----------
    folders
        In the order in which they are searched.
    """
    finder = _Beside(tuple(folders))
    importlib.invalidate_caches()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Beside:
    """An importer of whole modules and packages in some folders."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        # What lies in a package is found by the package's own path.
        return _spec(name, self.folders) if path is None and _is_own(name) else None


def _spec(name: str, folders: Sequence[Path]) -> ModuleSpec | None:
    if _is_own(name):
        own = PathFinder.find_spec(name, [str(folder) for folder in folders])
        if own is not None and own.origin is not None:
            return own
        return PathFinder.find_spec(name, [*sys.path, *(str(folder) for folder in folders)])
    return PathFinder.find_spec(name, sys.path)


def _is_own(name: str) -> bool:
    """Tell whether neither Python nor an installed package has a module of this name."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names or name == _THIS:
        return False
    installed = [place for place in sys.path if INSTALLED & set(Path(place).parts)]
    return PathFinder.find_spec(name, installed) is None


def _file(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None
