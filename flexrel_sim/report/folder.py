"""The result folder: there whole, or not at all; earlier results stay until it is."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from flexrel_sim.errors import InputError

__all__ = ["PROVENANCE_NAME", "TRACES_NAME", "result_folder"]

PROVENANCE_NAME = "provenance.json"
"""Says what wrote a folder; only a folder of nothing but a run's own files is replaced."""

TRACES_NAME = "traces"
"""Folder of the traces, a Parquet file for each point."""

_OWN_NAMES = frozenset(
    {
        PROVENANCE_NAME,
        "scenario.yaml",
        "summary.json",
        "table.csv",
        "environments.csv",
        TRACES_NAME,
        "profiles",
        "curves.jsonl",
        "kept.csv",
        "savings.csv",
        "report.md",
        "*.png",
        "*.svg",
    }
)


@contextmanager
def result_folder(target: Path, own: Iterable[str] = _OWN_NAMES) -> Iterator[Path]:
    """Write results beside their place, and move them there at the end.

    Parameters
    ----------
    target
        Where the results belong.
    own
        Names, or patterns, of what an earlier result may have left there.

    Yields
    ------
    pathlib.Path
        An empty folder to write to. If the body raises (Ctrl-C too), it is removed and the target
        is left as it was.

    Raises
    ------
    InputError
        If the target is a file, or a folder with something else in it, or can't be made.
    """
    try:
        target = target.resolve()
        if target.exists() and not target.is_dir():
            raise InputError(f"{target}: must be a folder, and is a file; give another with -o")
        foreign = _foreign(target, own)
        if foreign:
            raise InputError(
                f"{target}: must be empty or hold an earlier result only, and holds {foreign!r};"
                " give another with -o"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InputError(
            f"{target}: can't be made: {error.strerror}; give another with -o"
        ) from None
    try:
        partial.chmod(0o755)
        yield partial
        _swap(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _foreign(target: Path, own: Iterable[str]) -> str | None:
    """Name something in a folder that no run of ours wrote, if there is any."""
    names = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    for name in names:
        if not any(fnmatchcase(name, pattern) for pattern in own):
            return name
    if not names:
        return None
    try:
        data = json.loads((target / PROVENANCE_NAME).read_text(encoding="utf-8"))
        return None if "flexrel_sim" in data["versions"] else PROVENANCE_NAME
    except (OSError, ValueError, KeyError, TypeError):
        return names[0]


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    old = new.with_name(f"{new.name}-old")
    try:
        target.rename(old)
        new.rename(target)
    except BaseException:
        # Ctrl-C may fall between the two: the earlier result goes back to its place.
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
