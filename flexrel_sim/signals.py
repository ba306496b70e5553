"""Ctrl-C and SIGTERM: one way to stop, and moments in which it has to wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["STOPPING", "Stopped", "held", "stop_on_signals", "stopped_by"]

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run."""

_received: list[int] = []


class Stopped(BaseException):
    """A signal ended the run.

    Parameters
    ----------
    number
        The signal's number.
    """

    # Not a KeyboardInterrupt: click would take it for its own, and say "Aborted!".
    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def stop_on_signals() -> None:
    """Raise `Stopped` in the main thread when one of `STOPPING` comes.

    One that is ignored stays so: a shell's background job ignores Ctrl-C.
    """
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def stopped_by() -> int | None:
    """Give the first signal that came since `stop_on_signals`.

    A library may turn `Stopped` into an error of its own, where it was raised in a call from C.
    """
    return _received[0] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    _received.append(number)
    raise Stopped(number)


@contextmanager
def held() -> Iterator[None]:
    """Let signals that end a run wait until the body is done.

    Handlers run in the main thread only, so that a body elsewhere is not interrupted anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda n, _: waiting.append(n)) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    for received in waiting[:1]:
        signal.raise_signal(received)
