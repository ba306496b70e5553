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
    def __init__(self, capacity: TokenBucket) -> None:
        self._bucket = capacity
        self._tokens = capacity.burst_bytes
        self._seen_s = 0.0

    def finish_s(self, start_s: float, wire_bytes: float, waited: bool) -> float:
        """Give when the last bit leaves."""
        del waited
        rate, peak = self._bucket.rate_bit_per_s / 8, self._bucket.peak_bit_per_s / 8
        earned = rate * (start_s - self._seen_s)
        tokens = min(self._bucket.burst_bytes, self._tokens + earned)
        # What leaves at the peak is what the tokens, and those that come meanwhile, allow.
        burst = tokens * (1.0 if math.isinf(peak) else peak / (peak - rate))
        if wire_bytes <= burst:
            spent_s = wire_bytes / peak
            self._tokens = max(0.0, tokens - wire_bytes + rate * spent_s)
        else:
            spent_s = burst / peak + (wire_bytes - burst) / rate
            self._tokens = 0.0
        self._seen_s = start_s + spent_s
        return self._seen_s
