"""Whose code may run: a card with a factory is a program, and needs a yes. No torch.

Nothing here imports what a card names.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from flexrel_sim.errors import InputError
from flexrel_sim.networks.lookup import INSTALLED, exists, files_of

__all__ = ["CONSENT_VARIABLE", "Consent", "consent_to"]

CONSENT_VARIABLE: Final = "FLEXREL_ALLOW_FACTORY"
"""Environment variable with the modules that may be called, separated by commas."""

_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_PYTHON: Final = tuple(
    Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib")
)


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
        added = folder.resolve()
        others = tuple(known for known in self.folders if known != added)
        return replace(self, folders=(*others, added))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders in the order in which modules are looked for: the card's own first."""
        return self.folders[::-1]

    def finds(self, module: str) -> bool:
        """Tell whether a module lies in one of the folders or on Python's path.

        Parameters
        ----------
        module
            Its dotted name.

        Returns
        -------
        bool
            False where it is certain that importing it would not find it.
        """
        return exists(module, self.places)

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
        files = files_of(module, self.places)
        return bool(files) and all(self._has(file) for file in files)

    def _has(self, file: Path) -> bool:
        # Python, or a virtual environment, inside the folder is not the scenario's.
        return any(
            file.is_relative_to(folder)
            and not INSTALLED & set(file.relative_to(folder).parts)
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
