"""Edge devices and link lines, told in SimPy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from flexrel_sim.simulation.clock import DONE, FAILURE, Clock
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, FULL

__all__ = ["DeviceStage", "Window"]

Window = tuple[float, float]

OnStart = Callable[[int, float], None]
OnEnd = Callable[[int, int, float], None]


class DeviceStage:
    """One edge device: a request at a time, first come first served.

    A crash loses what is served and what waits; while it is down, requests are refused.

    Parameters
    ----------
    clock
        The environment.
    service_s
        Service time of every request.
    buffer
        How many may wait; -1 for any number.
    crashes
        When it is down, ascending and apart.
    held_s
        Busy with the calibration pass until then.
    on_start, on_end
        Told the request, the outcome (`on_end`), and the time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a stage is its rules
        self,
        clock: Clock,
        service_s: Sequence[float],
        buffer: int,
        crashes: Sequence[Window],
        held_s: float,
        on_start: OnStart,
        on_end: OnEnd,
    ) -> None:
        self.clock, self.service_s, self.buffer = clock, service_s, buffer
        self.on_start, self.on_end = on_start, on_end
        self.waiting: deque[int] = deque()
        self.up = True
        self.busy = held_s > 0
        self.served = -1
        # A service that a crash ended must not end again.
        self.epoch = 0
        if self.busy:
            clock.at(held_s, DONE, -1, self._finish, 0)
        for down_s, up_s in crashes:
            clock.at(down_s, FAILURE, 0, self._crash)
            clock.at(up_s, FAILURE, 0, self._restart)

    def arrive(self, request: int) -> None:
        """Take a request in, or turn it away."""
        if not self.up:
            self.on_end(request, DOWN, self.clock.now)
        elif not self.busy:
            self._start(request)
        elif 0 <= self.buffer <= len(self.waiting):
            self.on_end(request, FULL, self.clock.now)
        else:
            self.waiting.append(request)

    def _start(self, request: int) -> None:
        now = self.clock.now
        self.busy, self.served = True, request
        self.on_start(request, now)
        end_s = now + self.service_s[request]
        self.clock.at(end_s, DONE, request, self._finish, self.epoch)

    def _finish(self, epoch: int) -> None:
        if epoch != self.epoch:
            return
        request, self.served, self.busy = self.served, -1, False
        if self.waiting:
            self._start(self.waiting.popleft())
        if request >= 0:
            self.on_end(request, 0, self.clock.now)

    def _crash(self) -> None:
        lost = [self.served] if self.served >= 0 else []
        lost += self.waiting
        self.waiting.clear()
        self.up, self.busy, self.served = False, False, -1
        self.epoch += 1
        for request in lost:
            self.on_end(request, CRASHED, self.clock.now)

    def _restart(self) -> None:
        self.up = True
