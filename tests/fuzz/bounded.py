"""The property of all fuzzers: a result or an error of ours, soon, and in little memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from flexrel_sim.errors import FlexRelError, ScenarioError

__all__ = ["bounded", "result_or_refusal"]

T = TypeVar("T")

_SECONDS = 60
_BYTES = 2 << 30


@contextmanager
def bounded() -> Iterator[None]:
    """Fail if what is inside takes a minute; give it no more than 2 GiB beyond what there is."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        used = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + _BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def result_or_refusal(call: Callable[[], T], *names: str) -> T | None:
    """Call, and give the result, or None if it was refused as it must be.

    Parameters
    ----------
    call
        What reads something hostile; any exception but ours escapes, and fails the test.
    names
        What a refusal may name as its place: files and options.
    """
    try:
        with bounded():
            return call()
    except FlexRelError as error:
        lines = str(error).splitlines()
        assert lines
        if isinstance(error, ScenarioError):
            assert len(lines) == len(error.faults)
        for line in lines:
            assert line.isprintable(), line
            assert any(name in line for name in names), line
            assert "; " in line, f"no remedy: {line}"
            assert len(line) < 5000, line
        return None


def _too_long(number: int, frame: FrameType | None) -> None:
    del number, frame
    # No Exception: nothing on the way may take it for an input's fault.
    raise KeyboardInterrupt(f"took more than {_SECONDS} s")
