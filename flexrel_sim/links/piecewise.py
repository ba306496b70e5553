"""A rate that is constant by pieces: schedules, traces of rates, Markov chains, outages."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexrel_sim.links.capacity import CONSTANT, PIECEWISE, ROUNDING, CapacityArrays, Floats, Sender

__all__ = ["PiecewiseConstant", "constant"]


@dataclass(frozen=True, eq=False)
class PiecewiseConstant:
    """A rate that holds for a while, then another.

    Parameters
    ----------
    start_s
        When each piece starts, shape ``(pieces,)``; the first at 0, ascending.
    rate_bit_per_s
        Its rate; zero is an outage.
    end_s
        Where the last piece ends and the pieces repeat; infinite where it holds for ever.
    repeat_from_s
        Start of the first piece that is repeated; those before it are passed once.

    Raises
    ------
    ValueError
        If the shapes differ, the starts are not as said, a rate is negative or not finite, or the
        capacity is zero for ever from some time on.
    """

    start_s: Floats
    rate_bit_per_s: Floats
    end_s: float = math.inf
    repeat_from_s: float = 0.0

    def __post_init__(self) -> None:
        start_s, rates = self.start_s, self.rate_bit_per_s
        if start_s.ndim != 1 or start_s.shape != rates.shape or not start_s.size:
            raise ValueError("must have one rate per start, and at least one")
        if start_s[0] != 0 or not (np.diff(start_s) > 0).all() or not start_s[-1] < self.end_s:
            raise ValueError("must start at 0, with ascending times that end before the end")
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError("must have finite rates of at least zero")
        if self.repeat_from_s not in start_s:
            raise ValueError("must repeat from the start of a piece")
        if not self._repeated_rates.any():
            raise ValueError("must not be zero for ever")

    @cached_property
    def _ends_s(self) -> Floats:
        return np.append(self.start_s[1:], self.end_s)

    @cached_property
    def _first(self) -> int:
        return int(np.searchsorted(self.start_s, self.repeat_from_s))

    @property
    def _repeated_rates(self) -> Floats:
        return self.rate_bit_per_s[self._first :] if self.repeats else self.rate_bit_per_s[-1:]

    @cached_property
    def _cumulative_bytes(self) -> Floats:
        """C at the start of each piece and, where it is finite, at the end of the last."""
        lengths_s = np.diff(np.append(self.start_s, self.end_s if self.repeats else []))
        steps = self.rate_bit_per_s[: lengths_s.size] * lengths_s / 8
        return np.concatenate(([0.0], np.cumsum(steps)))

    @property
    def repeats(self) -> bool:
        """Whether the pieces start over."""
        return math.isfinite(self.end_s)

    @property
    def period_s(self) -> float:
        """Length of what repeats; infinite where nothing does."""
        return self.end_s - self.repeat_from_s

    @property
    def is_constant(self) -> bool:
        """Whether one rate holds for ever."""
        return self.start_s.size == 1 and not self.repeats

    @property
    def mean_rate_bit_per_s(self) -> float:
        """Mean over what repeats, or the rate that holds for ever."""
        if not self.repeats:
            return float(self.rate_bit_per_s[-1])
        carried_bytes = self._cumulative_bytes[-1] - self._cumulative_bytes[self._first]
        return float(8 * carried_bytes / self.period_s)

    def sender(self) -> Sender:
        """Start a new run."""
        return _PiecewiseSender(self)

    def arrays(self) -> CapacityArrays:
        """Describe itself to compiled kernels."""
        kind = CONSTANT if self.is_constant else PIECEWISE
        ends_s = np.ascontiguousarray(self._ends_s, dtype=np.float64)
        rates = np.ascontiguousarray(self.rate_bit_per_s, dtype=np.float64)
        return CapacityArrays(kind, ends_s, rates, self._first, self.period_s, 0.0, math.inf)

    def rate_at(self, time_s: ArrayLike) -> Floats:
        """Give the rate at each time, in bit/s."""
        _, local_s = self._cycle_and_local(np.asarray(time_s, dtype=np.float64))
        rates: Floats = self.rate_bit_per_s[self._piece(local_s)]
        return rates

    def sent_bytes(self, time_s: ArrayLike) -> Floats:
        """Give C(t) = ∫ rate / 8 from time zero, in bytes, at each time."""
        cycle, local_s = self._cycle_and_local(np.asarray(time_s, dtype=np.float64))
        piece = self._piece(local_s)
        within = self.rate_bit_per_s[piece] * (local_s - self.start_s[piece]) / 8
        result: Floats = cycle * self._cycle_bytes + self._cumulative_bytes[piece] + within
        return result

    def time_of(self, sent_bytes: ArrayLike) -> Floats:
        """Give the first time at which C(t) reaches each count of bytes, in seconds."""
        wanted = np.asarray(sent_bytes, dtype=np.float64)
        cycle = np.zeros_like(wanted)
        if self.repeats:
            before = self._cumulative_bytes[self._first]
            # A count that a cycle's end reaches exactly belongs to that cycle.
            cycle = np.maximum(np.ceil((wanted - before) / self._cycle_bytes) - 1, 0)
        local = wanted - cycle * self._cycle_bytes
        last = self.start_s.size - 1
        piece = np.clip(np.searchsorted(self._cumulative_bytes, local) - 1, 0, last)
        left = local - self._cumulative_bytes[piece]
        rate = self.rate_bit_per_s[piece]
        with np.errstate(divide="ignore", invalid="ignore"):
            within_s = np.where(left > 0, 8 * left / rate, 0.0)
        period_s = self.period_s if self.repeats else 0.0
        result: Floats = cycle * period_s + self.start_s[piece] + within_s
        return result

    @property
    def _cycle_bytes(self) -> float:
        if not self.repeats:
            return 0.0
        return float(self._cumulative_bytes[-1] - self._cumulative_bytes[self._first])

    def _cycle_and_local(self, time_s: Floats) -> tuple[Floats, Floats]:
        if not self.repeats:
            return np.zeros_like(time_s), time_s
        cycle = np.maximum(np.floor((time_s - self.repeat_from_s) / self.period_s), 0.0)
        return cycle, np.clip(time_s - cycle * self.period_s, 0.0, self.end_s)

    def _piece(self, local_s: Floats) -> NDArray[np.int64]:
        found = np.searchsorted(self.start_s, local_s, side="right") - 1
        return np.asarray(np.maximum(found, 0), dtype=np.int64)


def constant(rate_bit_per_s: float) -> PiecewiseConstant:
    """Make a rate that holds for ever."""
    return PiecewiseConstant(np.zeros(1), np.array([rate_bit_per_s], dtype=np.float64))


class _PiecewiseSender:
    def __init__(self, capacity: PiecewiseConstant) -> None:
        self._starts: list[float] = capacity.start_s.tolist()
        self._ends: list[float] = capacity._ends_s.tolist()
        self._rates: list[float] = capacity.rate_bit_per_s.tolist()
        self._first = capacity._first
        self._period_s = capacity.period_s
        self._repeats = capacity.repeats
        self._constant = capacity.is_constant

    def finish_s(self, start_s: float, wire_bytes: float, waited: bool) -> float:
        """Give when the last bit leaves."""
        del waited
        if self._constant:
            return start_s + 8 * wire_bytes / self._rates[0]
        bits = 8.0 * wire_bytes
        if bits <= 0:
            return start_s
        time_s = start_s
        cycle, piece = self._locate(start_s)
        while True:
            shift_s = cycle * self._period_s if cycle else 0.0
            rate, end_s = self._rates[piece], shift_s + self._ends[piece]
            if rate > 0:
                finish_s = time_s + bits / rate
                if finish_s <= end_s:
                    return finish_s
                bits -= rate * (end_s - time_s)
                if bits <= rate * ROUNDING * end_s:
                    return end_s
            time_s = end_s
            piece += 1
            if piece == len(self._rates):
                piece, cycle = self._first, cycle + 1

    def _locate(self, time_s: float) -> tuple[int, int]:
        """Find the cycle and the piece that a time is in."""
        if not self._repeats:
            return 0, bisect_right(self._starts, time_s) - 1
        cycle = max(0, math.floor((time_s - self._starts[self._first]) / self._period_s))
        # The division may round across a boundary; the ends decide.
        while cycle and time_s < (cycle - 1) * self._period_s + self._ends[-1]:
            cycle -= 1
        while time_s >= cycle * self._period_s + self._ends[-1]:
            cycle += 1
        piece = self._first if cycle else 0
        return cycle, bisect_right(
            self._ends, time_s, lo=piece, key=lambda end_s: cycle * self._period_s + end_s
        )
