"""Whose code may run: a card with a factory is a program, and needs a yes. No torch.

Nothing here imports what a card names. A module's file is looked up step by step from the top,
because `importlib.util.find_spec` of a dotted name imports the packages above it.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from flexrel_sim.errors import InputError

__all__ = ["CONSENT_VARIABLE", "Consent", "consent_to", "files_of"]

CONSENT_VARIABLE: Final = "FLEXREL_ALLOW_FACTORY"
"""Environment variable with the modules that may be called, separated by commas."""

_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_PYTHON: Final = tuple(
    Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib")
)
_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})
"""Where packages are installed: what lies there came with no scenario."""


@dataclass(frozen=True)
class Consent:
    """Which factories may be imported and called.

    Parameters
    ----------
    modules
        Modules that the user named, whole names as on cards.
    folders
        Folders of the scenario and the card: modules in files below them came with these, and
        whoever runs the scenario runs them.
    """

    modules: frozenset[str] = frozenset()
    folders: tuple[Path, ...] = ()

    def beside(self, folder: Path) -> Consent:
        """Extend it to the modules in files under a folder."""
        return replace(self, folders=tuple(dict.fromkeys((*self.folders, folder.resolve()))))

    def covers(self, module: str) -> bool:
        """Tell whether a module may be imported.

        Parameters
        ----------
        module
            Its dotted name.

        Returns
        -------
        bool
            True if it was named, or if all files that importing it runs, its packages' too, lie
            under one of the folders and not among Python's installed packages.
        """
        if module in self.modules:
            return True
        files = files_of(module)
        return bool(files) and all(self._has(file) for file in files)

    def _has(self, file: Path) -> bool:
        # Python, or a virtual environment, inside the folder is not the scenario's.
        return any(
            file.is_relative_to(folder)
            and not _PACKAGES & set(file.relative_to(folder).parts)
            and not any(
                file.is_relative_to(place) and place.is_relative_to(folder) for place in _PYTHON
            )
            for folder in self.folders
        )


def consent_to(modules: Iterable[str] = ()) -> Consent:
    """Consent to modules that are named here or in the environment.

    Parameters
    ----------
    modules
        Dotted names, such as ``torchvision.models``.

    Returns
    -------
    Consent
        To these, and to those that the variable ``FLEXREL_ALLOW_FACTORY`` lists.

    Raises
    ------
    InputError
        If one is no name of a module.
    """
    given = [modules] if isinstance(modules, str) else list(modules)
    listed = [name.strip() for name in os.environ.get(CONSENT_VARIABLE, "").split(",")]
    named = [("--allow-factory", name) for name in given]
    named += [(CONSENT_VARIABLE, name) for name in listed if name]
    for origin, name in named:
        if not _MODULE.fullmatch(name):
            raise InputError(
                f"{origin}: must name modules, such as torchvision.models, got {name!r};"
                " leave out ':' and the function"
            )
    return Consent(frozenset(name for _, name in named))


def files_of(module: str) -> list[Path]:
    """List the files that importing a module runs, its packages' first; nothing is imported.

    Parameters
    ----------
    module
        Its dotted name.

    Returns
    -------
    list of pathlib.Path
        Resolved; empty if the module is not found, or is no file.
    """
    found: list[Path] = []
    places, origin = sys.path, None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:length]), places)
        except KeyError:
            # A folder without an `__init__` in another such: Python looks for the outer one among
            # what is imported.
            spec = None
        origin = None if spec is None else spec.origin
        if origin is not None:
            found.append(Path(origin).resolve())
        inner = spec.submodule_search_locations if spec is not None and origin else None
        # A folder without an `__init__` runs no file of its own.
        beside = (Path(place) / parts[length - 1] for place in places)
        places = list(inner or (str(folder) for folder in beside if folder.is_dir()))
    return found if origin is not None else []
