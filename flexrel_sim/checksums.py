"""What a folder holds, by name and SHA-256, in a file that ``sha256sum -c`` reads."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

__all__ = ["SUMS_NAME", "strangers", "write_sums"]

SUMS_NAME: Final = "SHA256SUMS"
"""File that records what a run wrote into its folder."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_sums(folder: Path) -> None:
    """Record all files of a folder, and of those below it, in its ``SHA256SUMS``.

    Parameters
    ----------
    folder
        What to record.
    """
    names = sorted(path for path, is_file in _walked(folder) if is_file and path != SUMS_NAME)
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS_NAME).write_text("".join(lines), encoding="utf-8")


def strangers(folder: Path, ignored: Collection[str] = ()) -> list[str]:
    """Name what a folder holds beside what its ``SHA256SUMS`` records.

    Parameters
    ----------
    folder
        Where to look.
    ignored
        Names at its top that are not looked at.

    Returns
    -------
    list of str
        Names relative to the folder: files that are not recorded or were changed since, links, and
        folders without anything that is recorded. What is recorded and missing is no stranger.
    """
    recorded = _recorded(folder / SUMS_NAME)
    parents = {str(parent) for name in recorded for parent in Path(name).parents}
    found = []
    for name, is_file in _walked(folder, ignored):
        if not is_file:
            known = name in parents and not (folder / name).is_symlink()
        elif name == SUMS_NAME:
            known = bool(recorded)
        else:
            known = recorded.get(name) == _sha256(folder / name)
        if not known:
            found.append(name)
    # A folder whose content is told already need not be.
    return sorted(n for n in found if not any(o.startswith(f"{n}/") for o in found))


def _walked(folder: Path, ignored: Collection[str] = ()) -> Iterator[tuple[str, bool]]:
    """Give all names below a folder, and whether each is a plain file; links are not followed."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name in ignored:
            continue
        yield entry.name, entry.is_file(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            for name, is_file in _walked(folder / entry.name):
                yield f"{entry.name}/{name}", is_file


def _recorded(sums: Path) -> dict[str, str]:
    """Read the digests by name; nothing where the file is missing or not of this form."""
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    matches = [_LINE.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in matches if match} if all(matches) else {}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
