"""A token bucket: bursts at one rate, and another in the long run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flexrel_sim.links.capacity import TOKEN_BUCKET, CapacityArrays, Floats, Sender

__all__ = ["TokenBucket"]


@dataclass(frozen=True)
class TokenBucket:
    """A shaper: bursts at the peak rate while tokens last, then at the token rate (as a fluid).

    Parameters
    ----------
    rate_bit_per_s
        Rate at which tokens come.
    burst_bytes
        How many the bucket holds; it is full at time zero.
    peak_bit_per_s
        Rate while there are tokens; may be infinite.

    Raises
    ------
    ValueError
        If a value is not positive, or the peak is not above the rate.

    References
    ----------
    RFC 2697 for the bucket; tc-tbf(8) for rate, burst and peakrate.
    """

    rate_bit_per_s: float
    burst_bytes: float
    peak_bit_per_s: float = math.inf

    def __post_init__(self) -> None:
        if not (0 < self.rate_bit_per_s < self.peak_bit_per_s and self.burst_bytes > 0):
            raise ValueError("must have a positive rate and burst, and a peak above the rate")

    @property
    def mean_rate_bit_per_s(self) -> float:
        """The token rate."""
        return self.rate_bit_per_s

    def sender(self) -> Sender:
        """Start a new run, with a full bucket."""
        return _TokenSender(self)

    def arrays(self) -> CapacityArrays:
        """Describe itself to compiled kernels."""
        rates = np.array([self.rate_bit_per_s])
        return CapacityArrays(
            TOKEN_BUCKET, np.zeros(1), rates, 0, math.inf, self.burst_bytes, self.peak_bit_per_s
        )

    def sent_bytes(self, time_s: ArrayLike) -> Floats:
        """Give what a link busy from time zero has carried: the lower of its two lines."""
        times = np.asarray(time_s, dtype=np.float64)
        sustained = self.burst_bytes + times * self.rate_bit_per_s / 8
        if math.isinf(self.peak_bit_per_s):
            return sustained
        return np.minimum(times * self.peak_bit_per_s / 8, sustained)


class _TokenSender:
    """Counts whole bytes since the bucket was full, so that no rounding adds up.

    What leaves obeys two lines: the peak since the wire fell behind it, and one bucketful and the
    tokens since the bucket was full. A message is done when both allow its last byte.
    """

    def __init__(self, capacity: TokenBucket) -> None:
        self._rate, self._peak = capacity.rate_bit_per_s, capacity.peak_bit_per_s
        self._burst = capacity.burst_bytes
        self._full_s = self._full_bytes = 0.0
        self._peak_s = self._peak_bytes = 0.0

    def finish_s(self, start_s: float, wire_bytes: float, waited: bool) -> float:
        """Give when the last bit leaves."""
        del waited
        if wire_bytes <= 0:
            return start_s
        if self._full_s + 8.0 * self._full_bytes / self._rate < start_s:
            self._full_s, self._full_bytes = start_s, 0.0
        if self._peak_s + 8.0 * self._peak_bytes / self._peak < start_s:
            self._peak_s, self._peak_bytes = start_s, 0.0
        self._full_bytes += wire_bytes
        self._peak_bytes += wire_bytes
        finish_s = self._peak_s + 8.0 * self._peak_bytes / self._peak
        if self._full_bytes > self._burst:
            over = self._full_bytes - self._burst
            finish_s = max(finish_s, self._full_s + 8.0 * over / self._rate)
        return finish_s
