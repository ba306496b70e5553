"""SimPy's environment with absolute times, and with ties told apart by rule.

Events at one instant are handled by phase: services that end, then failures and repairs, then
arrivals, then batches whose time is up. Within a phase the lower sequence number goes first: a
request's place of creation, or a worker's number.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, Final

import simpy

__all__ = ["ARRIVAL", "DONE", "FAILURE", "TIMEOUT", "Clock"]

DONE: Final = 0
FAILURE: Final = 1
ARRIVAL: Final = 2
TIMEOUT: Final = 3

# More requests than this fit in no memory.
_SEQUENCES = 1 << 40


class _Call(simpy.Event):
    """An event whose value is known already, as that of `simpy.Timeout`, and that nobody waits for.

    It is made for every step of every request: what is alike for all of them is the class's.
    """

    _value: Any = None
    _ok = True

    def __init__(self, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.callbacks: Any = _CALL
        self.action, self.arguments = action, arguments


def _call(event: Any) -> None:
    event.action(*event.arguments)


_CALL: Final = (_call,)


class Clock(simpy.Environment):
    """An environment that calls functions at given times."""

    def at(
        self,
        time_s: float,
        phase: int,
        sequence: int,
        action: Callable[..., None],
        *arguments: Any,
    ) -> None:
        """Call a function at a time, not a delay: a difference added back may round.

        Parameters
        ----------
        time_s
            When, not before now; infinity is never.
        phase, sequence
            Its place among what happens at the same time.
        action, arguments
            What to call, and with what.
        """
        if time_s == float("inf"):
            return
        event = _Call(action, arguments)
        entry: Any = (time_s, phase * _SEQUENCES + sequence, next(self._eid), event)
        heappush(self._queue, entry)

    def pass_on(self, sequence: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call a function as an arrival of this instant: at once, if nothing comes before it."""
        if self._queue and self._queue[0][0] <= self._now:
            self.at(self._now, ARRIVAL, sequence, action, *arguments)
        else:
            action(*arguments)
