"""The result folder: there whole, or not at all; earlier results stay until it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexrel_sim.errors import InputError

__all__ = ["PROVENANCE_NAME", "result_folder"]

PROVENANCE_NAME = "provenance.json"
"""A folder with this file is one of ours, and may be replaced by a newer run."""


@contextmanager
def result_folder(target: Path) -> Iterator[Path]:
    """Write results beside their place, and move them there at the end.

    Parameters
    ----------
    target
        Where the results belong.

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
    target = target.absolute()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: must be a folder, and is a file; give another with -o")
    if target.is_dir() and any(target.iterdir()) and not (target / PROVENANCE_NAME).is_file():
        raise InputError(
            f"{target}: must be empty or hold an earlier result, and holds something else;"
            " give another with -o"
        )
    try:
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


def _swap(new: Path, target: Path) -> None:
    old = None
    if target.exists():
        old = new.with_name(f"{new.name}-old")
        target.rename(old)
    new.rename(target)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
