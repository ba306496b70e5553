"""Keys whose values may name files: how they read from another folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

__all__ = ["FILE_KEYS", "moved", "value_text"]

FILE_KEYS: Final = frozenset(
    {
        "model.network",
        "data.dataset",
        "split.bottleneck",
        "edge.device",
        "edge.radio",
        "server.device",
        "link.uplink.trace",
        "link.downlink.trace",
        "workload.file",
    }
)
"""Dotted paths of what is a file, relative to the scenario's, or a name that is known by itself."""


def moved(value: Any, folder: Path, keys: Collection[str] = FILE_KEYS, path: str = "") -> Any:
    """Give data in which files are named so that they are found from any folder.

    Parameters
    ----------
    value
        A scenario's data, or what stands at a path of it; keys may be dotted, as in a sweep.
    folder
        Where relative paths start.
    keys
        Dotted paths of what may be a file here.
    path
        Where the value stands.

    Returns
    -------
    object
        A copy; a text at one of the keys is absolute if there is such a file, or folder of images.
    """
    if isinstance(value, Mapping):
        is_whole = path in ("", "sweep", "controller.options")
        return {
            key: moved(inner, folder, keys, str(key) if is_whole else f"{path}.{key}")
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [moved(inner, folder, keys, path) for inner in value]
    if path not in keys or not isinstance(value, str):
        return value
    file = folder / value
    is_there = file.exists() if path == "data.dataset" else file.is_file()
    return str(file.resolve()) if is_there else value


def value_text(path: str, value: Any) -> str:
    """Say a value at a dotted path; of a file its name, wherever it lies."""
    return PurePath(value).name if path in FILE_KEYS and isinstance(value, str) else str(value)
