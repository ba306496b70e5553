"""The boundary around files that users give: whatever reading one raises becomes one error.

A loader opens and parses inside ``with reading(…)``, and checks what it has read after it. So an
error says which file, where in it, and what to do; what raised it is chained, for ``--debug``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flexrel_sim.errors import Fault, FlexRelError, InputError, ScenarioError, one_line

__all__ = [
    "demand_file",
    "is_file",
    "is_folder",
    "is_there",
    "parsing",
    "reading",
    "reason_of",
    "sha256_of",
]

_MISTAKES: Final = (NameError, ImportError)
"""What no file can cause: code is wrong, or missing, and it must not be told otherwise."""

_MISTAKES_OF_OURS: Final = (AssertionError, NotImplementedError)
"""What libraries raise of damaged files, too: a mistake where this package raised it."""

_EXPECTED: Final = (OSError, ValueError, EOFError, SyntaxError)
"""What parsers raise on purpose; anything else is named by its class."""


@contextmanager
def reading(
    file: Path, remedy: str, kind: type[InputError] | None = None, key: str = "(file)"
) -> Iterator[None]:
    """Read a file inside, and raise one error of a stated kind if that fails in any way.

    Parameters
    ----------
    file
        The file. It must be a regular one: opening a pipe or a device could wait for ever.
    remedy
        What its owner has to do.
    kind
        Class of the error; absent for a `ScenarioError` with one fault.
    key
        Dotted path of that fault: the key that names the file, or ``(file)``.

    Raises
    ------
    InputError
        Of that kind, or ScenarioError: if the file is missing, no regular file or not readable, or
        what stands inside raises anything but this package's own errors and mistakes in its code.
    """

    def refused(error: Exception) -> FlexRelError:
        line, rule = _line_of(error), reason_of(error)
        if kind is None:
            return ScenarioError([Fault(key, rule, None, remedy, f"{file}:{line or 1}")])
        place = f"{file}:{line}" if line else str(file)
        return kind(one_line(f"{place}: {rule}; {remedy}"))

    with parsing(refused):
        demand_file(file)
        yield


@contextmanager
def parsing(refused: Callable[[Exception], FlexRelError]) -> Iterator[None]:
    """Parse what a user gave inside, and raise one error if that fails in any way.

    Parameters
    ----------
    refused
        Makes the error of what was raised.

    Raises
    ------
    FlexRelError
        What `refused` makes, unless one of this package's own errors was raised, or a mistake in
        its code, both of which pass.
    """
    try:
        yield
    except (FlexRelError, *_MISTAKES):
        raise
    except Exception as error:
        if isinstance(error, _MISTAKES_OF_OURS) and _is_of_ours(error):
            raise
        raise refused(error) from error


def sha256_of(file: Path, remedy: str, kind: type[InputError] | None = None) -> str:
    """Hash a file that a user gives, as `sha256sum` does; what is raised is `reading`'s."""
    with reading(file, remedy, kind), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def demand_file(file: Path) -> None:
    """Raise OSError unless a path leads to a regular file; ValueError if it can be no path."""
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is a pipe, a socket or a device, and no file", str(file))


def is_file(path: Path) -> bool:
    """Tell whether a path leads to a regular file; one that can be no path leads nowhere."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Tell whether a path leads to a folder; one that can be no path leads nowhere."""
    return stat.S_ISDIR(_mode(path))


def is_there(path: Path) -> bool:
    """Tell whether a path leads to anything; one that can be no path leads nowhere."""
    return _mode(path) != 0


def _mode(path: Path) -> int:
    # Path.is_file raises if a name is too long, or a folder on the way is closed.
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def reason_of(error: Exception) -> str:
    """Give the rule that a file broke whose reading raised this."""
    if isinstance(error, UnicodeDecodeError):
        return "must be UTF-8 text"
    if isinstance(error, RecursionError):
        return "can't be read: it is nested too deeply"
    if isinstance(error, MemoryError):
        return "can't be read: it needs more memory than there is"
    reason = getattr(error, "strerror", None) or one_line(str(error)) or type(error).__name__
    if isinstance(error, _EXPECTED):
        return f"can't be read: {reason}"
    return f"can't be read: {type(error).__name__}: {reason}"


def _is_of_ours(error: Exception) -> bool:
    """Tell whether it was raised in a function of this package."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith("flexrel_sim.")


def _line_of(error: Exception) -> int:
    """Give the line that a parser blames, from 1; 0 where it knows none."""
    for name in ("lineno", "line"):
        line = getattr(error, name, None)
        if isinstance(line, int) and line > 0:
            return line
    return 0
