"""Moments at which a packet may leave, as in Mahimahi's traces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flexrel_sim.links.capacity import OPPORTUNITIES, CapacityArrays, Floats, Sender

__all__ = ["Opportunities"]


@dataclass(frozen=True, eq=False)
class Opportunities:
    """Moments at which a fixed count of bytes may leave, as in Mahimahi's traces.

    Bytes of an opportunity that nobody waiting can use are lost, a message that needs more goes on
    at the next one, waiting messages share one, and a message that arrives at the very moment of
    an opportunity is too late for it. After the last stamp all start over, counted from it.

    Parameters
    ----------
    stamp_s
        When, shape ``(opportunities,)``; not descending, the first at least and the last above 0.
        Repeated stamps are several opportunities.
    bytes_each
        How much at each.

    Raises
    ------
    ValueError
        If the stamps or the bytes are not as said.

    References
    ----------
    Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015, and the
    manual page of its mm-link.
    """

    stamp_s: Floats
    bytes_each: float = 1504.0

    def __post_init__(self) -> None:
        stamps = self.stamp_s
        if stamps.ndim != 1 or not stamps.size or not np.isfinite(stamps).all():
            raise ValueError("must have at least one stamp, and finite ones only")
        if stamps[0] < 0 or (np.diff(stamps) < 0).any() or stamps[-1] <= 0:
            raise ValueError("must have stamps that never descend, the last of them above zero")
        if not self.bytes_each > 0:
            raise ValueError("must carry more than zero bytes at each")

    @property
    def period_s(self) -> float:
        """The last stamp, where all start over."""
        return float(self.stamp_s[-1])

    @property
    def mean_rate_bit_per_s(self) -> float:
        """Bits of all opportunities over the last stamp."""
        return 8 * self.bytes_each * self.stamp_s.size / self.period_s

    def sender(self) -> Sender:
        """Start a new run."""
        return _OpportunitySender(self)

    def arrays(self) -> CapacityArrays:
        """Describe itself to compiled kernels."""
        stamps = np.ascontiguousarray(self.stamp_s, dtype=np.float64)
        return CapacityArrays(
            OPPORTUNITIES, stamps, np.zeros(1), 0, self.period_s, float(self.bytes_each), math.inf
        )

    def sent_bytes(self, time_s: ArrayLike) -> Floats:
        """Give the bytes of all opportunities up to each time."""
        times = np.asarray(time_s, dtype=np.float64)
        cycle = np.floor(times / self.period_s)
        local_s = times - cycle * self.period_s
        count = cycle * self.stamp_s.size + np.searchsorted(self.stamp_s, local_s, side="right")
        return np.asarray(count * self.bytes_each, dtype=np.float64)


class _OpportunitySender:
    def __init__(self, capacity: Opportunities) -> None:
        self._stamps: list[float] = capacity.stamp_s.tolist()
        self._period_s = capacity.period_s
        self._size = float(capacity.bytes_each)
        self._next = 0
        self._left = 0.0

    def finish_s(self, start_s: float, wire_bytes: float, waited: bool) -> float:
        """Give the moment of the opportunity that takes the message's last byte."""
        need = float(wire_bytes)
        if need <= 0:
            return start_s
        if not waited:
            self._left = 0.0
            # Whole cycles first, or a long idle time would be walked stamp by stamp.
            cycle = math.floor(start_s / self._period_s) - 1
            self._next = max(self._next, cycle * len(self._stamps))
            while self._moment_s(self._next) <= start_s:
                self._next += 1
        while need > self._left:
            need -= self._left
            self._left = self._size
            self._next += 1
        self._left -= need
        return self._moment_s(self._next - 1)

    def _moment_s(self, index: int) -> float:
        cycle, place = divmod(index, len(self._stamps))
        return cycle * self._period_s + self._stamps[place]
