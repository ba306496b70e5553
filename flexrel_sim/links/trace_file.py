"""Reading a trace line by line: bounded in memory, with its faults on their lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.reading import reading

__all__ = ["LINES_MAX", "RATE_MAX_BIT_PER_S", "TIME_MAX_S", "TraceFile"]

LINES_MAX = 20_000_000
"""Most lines that a trace may have: they are in memory, in every process of a study."""

RATE_MAX_BIT_PER_S = 1e15
"""Greatest rate, as of a scenario's: sums of a greater one would lose the small ones."""

TIME_MAX_S = 1e12
"""Latest time: clocks that count from 1970 in ms, read as seconds, are below it."""

_FAULTS_MAX = 20

# A line of a trace is short; a file without line ends must not be read as one line.
_LINE_MAX_BYTES = 65_536

# After as many lines their mean length tells how many the file has.
_ESTIMATE_AFTER_LINES = 10_000


class TraceFile:
    """A file of a trace, and what is wrong with it.

    Parameters
    ----------
    file
        Where it is.
    key
        Dotted path of the key that names it, for faults.
    """

    def __init__(self, file: Path, key: str) -> None:
        self.file = file
        self.key = key
        self.faults: list[Fault] = []

    def lines(self) -> Iterator[tuple[int, str]]:
        """Give each line with its number, from 1, without its end.

        Raises
        ------
        ScenarioError
            If the file can't be read, is empty, is not text, or has more than `LINES_MAX` lines,
            which is said as soon as its size and first lines tell; and at the 20th fault.
        """
        with reading(self.file, "check the path", key=self.key):
            stream = self.file.open("rb")
        with stream:
            yield from self._lines(stream)

    def _lines(self, stream: BinaryIO) -> Iterator[tuple[int, str]]:
        size = self.file.stat().st_size
        number, passed = 0, 0
        while raw := stream.readline(_LINE_MAX_BYTES):
            number, passed = number + 1, passed + len(raw)
            if len(raw) == _LINE_MAX_BYTES:
                rule = f"must have lines shorter than {_LINE_MAX_BYTES:,} bytes"
                self.stop(number, rule, remedy="check that this is the trace's file")
            self._not_too_long(number, size * number / passed)
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                self.stop(number, "must be text", remedy="check that this is the trace's file")
            text = text.rstrip("\r\n")
            if "\r" in text:
                rule = "must end every line with a line feed, and has carriage returns alone"
                self.stop(number, rule, remedy="save it with the line ends of Unix or Windows")
            yield number, text
        if number == 0:
            self.stop(0, "is empty", remedy="give a file with a line per moment")

    def _not_too_long(self, number: int, expected: float) -> None:
        remedy = "cut the file: a trace repeats, and minutes of it serve"
        if number == _ESTIMATE_AFTER_LINES and expected > 1.5 * LINES_MAX:
            rule = f"must have at most {LINES_MAX:,} lines, and has about {expected:,.0f}"
            self.stop(0, rule, remedy=remedy)
        if number > LINES_MAX:
            self.stop(number, f"must have at most {LINES_MAX:,} lines", remedy=remedy)

    def fault(self, line: int, rule: str, value: object = None, remedy: str = "") -> None:
        """Note a fault at a line; 0 is the file as a whole."""
        place = f"{self.file}:{line}" if line else str(self.file)
        self.faults.append(Fault(self.key, rule, value, remedy, place))
        if len(self.faults) >= _FAULTS_MAX:
            raise ScenarioError(self.faults)

    def stop(self, line: int, rule: str, value: object = None, remedy: str = "") -> NoReturn:
        """Note a fault after which reading makes no sense.

        Raises
        ------
        ScenarioError
            With all faults so far.
        """
        self.fault(line, rule, value, remedy)
        raise ScenarioError(self.faults)

    def finish(self) -> None:
        """Raise what was noted.

        Raises
        ------
        ScenarioError
            If there are faults.
        """
        if self.faults:
            raise ScenarioError(self.faults)

    def number(self, line: int, text: str, what: str, remedy: str) -> float | None:
        """Read a finite number of at least zero; note a fault and give None if it is none."""
        try:
            value = float(text)
        except ValueError:
            self.fault(line, f"{what} must be a number", text, remedy)
            return None
        if not math.isfinite(value):
            self.fault(line, f"{what} must be finite", text, remedy)
            return None
        if value < 0:
            self.fault(line, f"{what} must be at least 0", text, remedy)
            return None
        return value

    def at_most(self, line: int, value: float, largest: float, what: str, remedy: str) -> bool:
        """Tell whether a value is no larger than it may be; note a fault if it is."""
        if value > largest:
            self.fault(line, f"{what} must be at most {largest:g}", f"{value:g}", remedy)
        return value <= largest
