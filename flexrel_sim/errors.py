"""Every error this package raises on purpose, drawn as a tree.

FlexRelError
├── ScenarioError      a file the user wrote is wrong; carries *all* its faults
├── InputError         any other input is wrong: an output folder, a command-line value
│   ├── CheckpointError    a network's checkpoint is missing, truncated or not the one on its card
│   ├── DatasetError       a dataset is damaged, or asked for more samples than it has
│   │   └── MissingDatasetError  a dataset of the catalogue is not installed
│   └── ProfileError       a stored profile is missing, truncated, changed or of another version
└── WorkError          the input was right and the work failed all the same

The command line maps `ScenarioError` and `InputError` to exit code 2, `WorkError` to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "CheckpointError",
    "DatasetError",
    "Fault",
    "FlexRelError",
    "InputError",
    "MissingDatasetError",
    "ProfileError",
    "ScenarioError",
    "WorkError",
    "one_line",
]

_VALUE_MAX_CHARACTERS = 80


class FlexRelError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(FlexRelError):
    """An input outside the scenario file is wrong."""


class CheckpointError(InputError):
    """A checkpoint is missing, truncated, or not the file its card describes."""


class DatasetError(InputError):
    """A dataset is missing, or cannot give what is asked of it."""


class MissingDatasetError(DatasetError):
    """A dataset of the catalogue is not installed; its sizes are known without its files.

    Parameters
    ----------
    dataset
        Its name in the catalogue.
    rule
        What is missing where, and the remedy.
    """

    def __init__(self, dataset: str, rule: str) -> None:
        self.dataset, self.rule = dataset, rule
        super().__init__(f"{dataset}: {rule}")

    def __reduce__(self) -> tuple[type[MissingDatasetError], tuple[str, str]]:
        # Workers send their errors home by pickle, which would pass the message alone.
        return (MissingDatasetError, (self.dataset, self.rule))


class ProfileError(InputError):
    """A stored profile is missing, truncated, changed or of another version."""


class WorkError(FlexRelError):
    """The input was right, and the work failed all the same."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a file, and what to do about it.

    Parameters
    ----------
    path
        Dotted path of the key, such as ``split.cut``.
    rule
        What must hold, such as ``must be a boundary of the network``.
    value
        What was found, as the user wrote it; None where nothing was there.
    remedy
        What to write instead.
    place
        Where it was found: ``file:line``, or the command-line option that set it.
    """

    path: str
    rule: str
    value: object = None
    remedy: str = ""
    place: str = ""

    def __str__(self) -> str:
        """Give the fault as one line: ``place: path: rule, got value; remedy``."""
        got = "" if self.value is None else f", got {_shown(self.value)}"
        remedy = f"; {self.remedy}" if self.remedy else ""
        # An option is named by the path that it sets.
        where = self.place if self.place == f"--set {self.path}" else f"{self.place}: {self.path}"
        return one_line(f"{where}: {self.rule}{got}{remedy}")


class ScenarioError(FlexRelError):
    """A file that the user wrote is wrong.

    Parameters
    ----------
    faults
        Everything that is wrong with it, never only the first.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple({str(fault): fault for fault in faults}.values())
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Fault, ...]]]:
        # Workers send their errors home by pickle, which would pass the message as `faults`.
        return (ScenarioError, (self.faults,))


def one_line(text: str) -> str:
    """Give a text as one line that any terminal shows: what can't be printed is an escape."""
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(mark if mark.isprintable() else _escaped(mark) for mark in joined)


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # Python writes no number of more than 4,300 digits, and no list deeper than its stack.
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= _VALUE_MAX_CHARACTERS else f"{text[: _VALUE_MAX_CHARACTERS - 1]}…"
