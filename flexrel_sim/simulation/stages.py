"""Edge devices and link lines in SimPy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from flexrel_sim.simulation.clock import DONE, FAILURE, Clock
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, FULL

__all__ = ["DeviceStage", "Window"]

Window = tuple[float, float]

OnStart = Callable[[int, float], None]
OnEnd = Callable[[int, int, float], None]
OnHeld = Callable[[float, float], None]


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
        # Without its weights a device takes requests in, and serves none.
        self.ready = True
        self.holds: deque[tuple[float, OnHeld]] = deque()
        # How much longer a request takes because of what it has to load first.
        self.prepare_s: Callable[[int], float] | None = None
        self.ends_s = 0.0
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
        elif not self.busy and self.ready:
            self._start(request)
        elif 0 <= self.buffer <= len(self.waiting):
            self.on_end(request, FULL, self.clock.now)
        else:
            self.waiting.append(request)

    def idle_from_s(self) -> float:
        """Give when all that it holds now is served, swaps and switches apart."""
        free_s = max(self.clock.now, self.ends_s if self.served >= 0 else 0.0)
        return free_s + sum(self.service_s[request] for request in self.waiting)

    def make_ready(self) -> None:
        """Begin to serve: the weights are there."""
        self.ready = True
        self._go_on()

    def hold(self, length_s: float, on_held: OnHeld) -> None:
        """Serve nothing for a time, once the request that is served is done.

        A crash cuts it short, and it starts over after the restart.

        Parameters
        ----------
        length_s
            How long.
        on_held
            Told its start and its end when it has ended.
        """
        self.holds.append((length_s, on_held))
        self._go_on()

    def _go_on(self) -> None:
        """Take up what is next, unless something is under way."""
        if self.busy or not self.up:
            return
        if self.holds:
            self.busy = True
            now = self.clock.now
            self.clock.at(now + self.holds[0][0], DONE, -1, self._release, self.epoch, now)
        elif self.waiting and self.ready:
            self._start(self.waiting.popleft())

    def _release(self, epoch: int, start_s: float) -> None:
        if epoch == self.epoch:
            self.busy = False
            self.holds.popleft()[1](start_s, self.clock.now)
            self._go_on()

    def _start(self, request: int) -> None:
        now = self.clock.now
        self.busy, self.served = True, request
        self.on_start(request, now)
        end_s = now + self.service_s[request]
        if self.prepare_s is not None:
            end_s += self.prepare_s(request)
        self.ends_s = end_s
        self.clock.at(end_s, DONE, request, self._finish, self.epoch)

    def _finish(self, epoch: int) -> None:
        if epoch != self.epoch:
            return
        request, self.served, self.busy = self.served, -1, False
        self._go_on()
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
        self._go_on()
