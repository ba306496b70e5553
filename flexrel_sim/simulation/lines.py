"""The link's directions, told in SimPy: one message after the other, or all at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush

from flexrel_sim.links import Direction, PiecewiseConstant
from flexrel_sim.simulation.clock import DONE, Clock
from flexrel_sim.simulation.outcomes import FULL, SERVED

__all__ = ["FifoMedium", "SharedMedium"]

OnStart = Callable[[str, int, float], None]
OnEnd = Callable[[str, int, int, float], None]


class FifoMedium:
    """A medium that carries one message at a time, first come first served.

    Parameters
    ----------
    clock
        The environment.
    lines
        The directions that take turns on it: one, or both where the link is half-duplex.
    wire_bytes
        Size of every message in each direction.
    on_start, on_end
        Told the direction, the message, the outcome (`on_end`), and the time.
    """

    def __init__(
        self,
        clock: Clock,
        lines: Mapping[str, Direction],
        wire_bytes: Mapping[str, Sequence[float]],
        on_start: OnStart,
        on_end: OnEnd,
    ) -> None:
        self.clock, self.lines, self.wire_bytes = clock, lines, wire_bytes
        self.on_start, self.on_end = on_start, on_end
        self.senders = {name: line.capacity.sender() for name, line in lines.items()}
        self.waiting: deque[tuple[str, int]] = deque()
        self.queued = dict.fromkeys(lines, 0)
        self.queued_bytes = dict.fromkeys(lines, 0.0)
        self.busy = False

    def arrive(self, name: str, message: int) -> None:
        """Take a message in, or turn it away."""
        if not self.busy:
            self._start(name, message, waited=False)
            return
        buffer, size = self.lines[name].buffer, self.wire_bytes[name][message]
        full = self.queued[name] + 1 > buffer.messages
        if full or self.queued_bytes[name] + size > buffer.size_bytes:
            self.on_end(name, message, FULL, self.clock.now)
            return
        self.waiting.append((name, message))
        self.queued[name] += 1
        self.queued_bytes[name] += size

    def _start(self, name: str, message: int, *, waited: bool) -> None:
        now = self.clock.now
        self.busy = True
        self.on_start(name, message, now)
        end_s = self.senders[name].finish_s(now, self.wire_bytes[name][message], waited)
        self.clock.at(end_s, DONE, message, self._finish, name, message)

    def _finish(self, name: str, message: int) -> None:
        self.busy = False
        if self.waiting:
            following = self.waiting.popleft()
            self.queued[following[0]] -= 1
            self.queued_bytes[following[0]] -= self.wire_bytes[following[0]][following[1]]
            self._start(*following, waited=True)
        self.on_end(name, message, SERVED, self.clock.now)


class SharedMedium:
    """A direction that carries all its messages at once, in equal parts of its capacity.

    Every message under way has received as many bytes as every other since it came, so that one
    count of bytes per message tells when each is done (egalitarian processor sharing).

    Parameters
    ----------
    clock, lines, wire_bytes, on_start, on_end
        As in `FifoMedium`, for one direction.
    """

    def __init__(
        self,
        clock: Clock,
        lines: Mapping[str, Direction],
        wire_bytes: Mapping[str, Sequence[float]],
        on_start: OnStart,
        on_end: OnEnd,
    ) -> None:
        self.clock, self.on_start, self.on_end = clock, on_start, on_end
        ((self.name, line),) = lines.items()
        if not isinstance(line.capacity, PiecewiseConstant):
            raise TypeError("a shared medium needs a rate over time")
        self.capacity, self.wire_bytes = line.capacity, wire_bytes[self.name]
        self.under_way: list[tuple[float, int]] = []
        self.each_bytes = 0.0
        self.sent_bytes = 0.0
        self.epoch = 0

    def arrive(self, name: str, message: int) -> None:
        """Take a message in; there is always room."""
        self._advance()
        self.on_start(name, message, self.clock.now)
        heappush(self.under_way, (self.each_bytes + self.wire_bytes[message], message))
        self._watch()

    def _advance(self) -> None:
        sent_bytes = float(self.capacity.sent_bytes(self.clock.now))
        if self.under_way:
            self.each_bytes += (sent_bytes - self.sent_bytes) / len(self.under_way)
        self.sent_bytes = sent_bytes

    def _watch(self) -> None:
        """Come back when the next message is done, if none comes before."""
        self.epoch += 1
        if not self.under_way:
            return
        until, message = self.under_way[0]
        left_bytes = max(0.0, until - self.each_bytes) * len(self.under_way)
        done_s = max(self.clock.now, float(self.capacity.time_of(self.sent_bytes + left_bytes)))
        self.clock.at(done_s, DONE, message, self._finish, self.epoch)

    def _finish(self, epoch: int) -> None:
        if epoch != self.epoch:
            return
        self._advance()
        until, message = heappop(self.under_way)
        self.each_bytes = until
        self._watch()
        self.on_end(self.name, message, SERVED, self.clock.now)
