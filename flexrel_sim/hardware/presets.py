"""Presets that ship with the package, and files of a user's own that stand in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from flexrel_sim.reading import is_file
from flexrel_sim.scenario import Section, did_you_mean, read_yaml

__all__ = ["found", "shipped"]

S = TypeVar("S", bound=Section)


def shipped(schema: type[S], file_name: str) -> dict[str, S]:
    """Read the presets of a file of this package, by name."""
    file = Path(str(files("flexrel_sim.hardware") / file_name))
    return {name: schema.model_validate(data) for name, data in read_yaml(file).data.items()}


def found(
    what: str, name: str, folder: Path, presets: Mapping[str, S], read: Callable[[Path], S]
) -> S:
    """Find a preset, or read a file.

    Parameters
    ----------
    what
        What it is, for messages.
    name
        Name of a preset, or path of a YAML file.
    folder
        Where a relative path starts.
    presets
        By name.
    read
        Reads a file.

    Returns
    -------
    Section
        The preset, or what the file holds.

    Raises
    ------
    LookupError
        If the name is no preset and no file; the message is the remedy.
    """
    if name in presets:
        return presets[name]
    file = folder / name
    if file.suffix in (".yaml", ".yml") and is_file(file):
        return read(file)
    raise LookupError(f"{did_you_mean(name, presets)}, or the path of a {what}'s .yaml file")
