"""The link's directions in SimPy: one message after the other, or all at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from heapq import heappop, heappush

from flexrel_sim.links import Direction, PiecewiseConstant
from flexrel_sim.simulation.clock import DONE, FAILURE, Clock
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
        self.waiting: deque[tuple[str, int, bool]] = deque()
        self.queued = dict.fromkeys(lines, 0)
        self.queued_bytes = dict.fromkeys(lines, 0.0)
        self.busy = False
        self.ends_s = 0.0
        self.last = ""

    def arrive(self, name: str, message: int, bounded: bool = True) -> None:
        """Take a message in, or turn it away; one that is not bounded waits beside the buffer."""
        if not self.busy:
            self._start(name, message, waited=False)
            return
        buffer, size = self.lines[name].buffer, self.wire_bytes[name][message]
        full = self.queued[name] + 1 > buffer.messages
        if bounded and (full or self.queued_bytes[name] + size > buffer.size_bytes):
            self.on_end(name, message, FULL, self.clock.now)
            return
        self.waiting.append((name, message, bounded))
        if bounded:
            self.queued[name] += 1
            self.queued_bytes[name] += size

    def would_finish_s(self, name: str, from_s: float, wire_bytes: float) -> float:
        """Give when a message that came at a time would be done, behind all that is here now."""
        senders = {line: copy(sender) for line, sender in self.senders.items()}
        free_s, last = (self.ends_s if self.busy else from_s), self.last
        for line, message, _ in self.waiting:
            size = self.wire_bytes[line][message]
            free_s = senders[line].finish_s(free_s, size, waited=line == last)
            last = line if size > 0 else last
        waited = free_s > from_s and name == last
        return senders[name].finish_s(max(free_s, from_s), wire_bytes, waited)

    def _start(self, name: str, message: int, *, waited: bool) -> None:
        now = self.clock.now
        self.busy = True
        self.on_start(name, message, now)
        # What a trace's opportunity has left is for the same direction's next message only: one
        # that waited for the other direction finds an opportunity long gone.
        size, waited = self.wire_bytes[name][message], waited and name == self.last
        if size > 0:
            self.last = name
        end_s = self.senders[name].finish_s(now, size, waited)
        self.ends_s = end_s
        self.clock.at(end_s, DONE, message, self._finish, name, message)

    def _finish(self, name: str, message: int) -> None:
        self.busy = False
        if self.waiting:
            line, following, bounded = self.waiting.popleft()
            if bounded:
                self.queued[line] -= 1
                self.queued_bytes[line] -= self.wire_bytes[line][following]
            self._start(line, following, waited=True)
        self.on_end(name, message, SERVED, self.clock.now)


class SharedMedium:
    """A direction that carries all its messages at once, in equal parts of its rate.

    Every message under way has been given as many bits as every other since it came: one count
    of bits per message tells when each is done (egalitarian processor sharing in virtual time).

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
        self.capacity = line.capacity
        self.link, self.wire_bytes = line.capacity.arrays(), wire_bytes[self.name]
        self.ends_s: list[float] = self.link.time_s.tolist()
        self.rates: list[float] = self.link.rate_bit_per_s.tolist()
        self.piece = self.cycle = 0
        self.now_s = self.given_bits = 0.0
        self.under_way: list[tuple[float, int, int]] = []
        self.arrived = self.epoch = 0

    def arrive(self, name: str, message: int, bounded: bool = True) -> None:
        """Take a message in; there is always room, bounded or not."""
        del bounded
        now = self.clock.now
        if self.under_way:
            self._give(now)
        else:
            self.now_s, self.given_bits = now, 0.0
            while now >= self._piece_end_s():
                self._next_piece()
        self.on_start(name, message, now)
        done_bits = self.given_bits + 8.0 * self.wire_bytes[message]
        heappush(self.under_way, (done_bits, self.arrived, message))
        self.arrived += 1
        self._watch()

    def would_finish_s(self, name: str, from_s: float, wire_bytes: float) -> float:
        """Give when a message that came at a time would be done, were all others sent first."""
        del name
        sender, now = self.capacity.sender(), self.clock.now
        free_s = now
        if self.under_way:
            given = self.rates[self.piece] * (now - self.now_s) / len(self.under_way)
            left_bits = sum(done - self.given_bits - given for done, _, _ in self.under_way)
            free_s = sender.finish_s(now, max(0.0, left_bits) / 8, waited=False)
        return sender.finish_s(max(free_s, from_s), wire_bytes, waited=False)

    def _give(self, now: float) -> None:
        share = self.rates[self.piece] * (now - self.now_s) / len(self.under_way)
        self.given_bits += share
        self.now_s = now

    def _piece_end_s(self) -> float:
        end_s = self.ends_s[self.piece]
        return end_s + self.cycle * self.link.period_s if self.cycle else end_s

    def _next_piece(self) -> None:
        self.piece += 1
        if self.piece == len(self.ends_s):
            self.piece, self.cycle = self.link.first, self.cycle + 1

    def _watch(self) -> None:
        """Come back when the next message is done, or when the rate changes."""
        self.epoch += 1
        if not self.under_way:
            return
        left_bits = self.under_way[0][0] - self.given_bits
        rate, done_s = self.rates[self.piece], float("inf")
        if left_bits <= 0:
            done_s = self.now_s
        elif rate > 0:
            done_s = self.now_s + left_bits * len(self.under_way) / rate
        changes_s = self._piece_end_s()
        if done_s <= changes_s:
            self.clock.at(done_s, DONE, self.under_way[0][2], self._finish, self.epoch)
        else:
            self.clock.at(changes_s, FAILURE, 0, self._change, self.epoch)

    def _change(self, epoch: int) -> None:
        if epoch == self.epoch:
            self._give(self.clock.now)
            self._next_piece()
            self._watch()

    def _finish(self, epoch: int) -> None:
        if epoch != self.epoch:
            return
        done_bits, _, message = heappop(self.under_way)
        self.now_s, self.given_bits = self.clock.now, max(self.given_bits, done_bits)
        self._watch()
        self.on_end(self.name, message, SERVED, self.clock.now)
