"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from flexrel_sim.errors import InputError

if sys.platform != "win32":
    import fcntl

__all__ = ["clean_strays", "demand_free", "note_written", "try_lock", "write_whole", "written"]

written: Final[list[Path]] = []
"""What this process has put in its place, of files and folders of the user's: what is said of a
run that is stopped must be true."""


def write_whole(file: Path, data: bytes, *, replace: bool = True, noted: bool = True) -> None:
    """Write a file beside its place, and move it there when it is whole.

    What killed processes left of the same file is removed.

    Parameters
    ----------
    file
        Where it belongs; its folder exists.
    data
        What it holds.
    replace
        Whether a file that is there is replaced.
    noted
        Whether it is one of the user's, which are listed in `written`; a cache's is not.

    Raises
    ------
    FileExistsError
        If it is there, and is not to be replaced.
    OSError
        If it can't be written; what was there is as it was.
    """
    clean_strays(file.parent, file.name)
    while not _written(file, data, replace=replace):
        pass
    if noted:
        note_written(file)


def demand_free(files: Iterable[Path], *, force: bool) -> None:
    """Make sure that nothing is replaced that nobody gave up.

    Parameters
    ----------
    files
        What is to be written.
    force
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If one is there, or a link in its place, and may not be replaced.
    """
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not force:
        raise InputError(
            f"{', '.join(taken)}: would be replaced; name another place, or add --force"
        )


def note_written(place: Path) -> None:
    """List a file or folder in `written`."""
    if place not in written:
        written.append(place)


def _written(file: Path, data: bytes, *, replace: bool) -> bool:
    """Write a file; False if its partial was taken for a stray before it was locked."""
    # A name of its own: two processes may write the same file, and neither must see half of it.
    handle, name = tempfile.mkstemp(prefix=f".{file.name}-", suffix=".partial", dir=file.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            try_lock(handle)
            stream.write(data)
            stream.flush()
            os.fsync(handle)
            os.chmod(partial, 0o644)  # noqa: PTH101 - as below
            if not replace and file.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
            os.replace(partial, file)  # noqa: PTH105 - tells both names in its error
    except FileNotFoundError:
        if partial.exists() or not file.parent.is_dir():
            raise
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def clean_strays(folder: Path, name: str = "") -> None:
    """Remove what processes that were killed left of the files that they were writing.

    Parameters
    ----------
    folder
        Where to look; nothing happens if it is missing.
    name
        The file that they were writing; any of this folder's where absent.
    """
    start = f".{name}-" if name else "."
    with suppress(OSError):
        for stray in list(os.scandir(folder)):
            if stray.name.startswith(start) and stray.name.endswith(".partial"):
                _remove_stray(Path(stray.path))


def _remove_stray(partial: Path) -> None:
    with suppress(OSError):
        handle = os.open(partial, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if try_lock(handle):
                partial.unlink()
        finally:
            os.close(handle)


def try_lock(handle: int) -> bool | None:
    """Lock an open file for this process, which holds it until the file is closed or it dies.

    Parameters
    ----------
    handle
        A file, open for writing.

    Returns
    -------
    bool or None
        False if another holds it; None where the system or the disk has no such locks.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True
