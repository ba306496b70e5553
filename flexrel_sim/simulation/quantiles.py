"""A replication's latencies: all of them for as long as they are few, then rounded and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT_MAX", "ROUNDING", "PooledLatencies", "Quantiles"]

EXACT_MAX: Final = 2_000_000
"""More values than this are rounded."""

CHUNKS: Final = 8
"""In how many parts, one after the other, exact values can be looked at."""

_DROPPED_BITS: Final = 40

ROUNDING: Final = 2.0 ** -(52 - _DROPPED_BITS + 1)
"""A value that is rounded is off by at most this share of it."""


class _Counts:
    """Non-negative values with 12 bits of mantissa, and how often each came.

    Bit patterns of non-negative floats are in the order of the floats, so that rounding is a shift
    and the result doesn't depend on the order in which values come.

    References
    ----------
    Tene, *HdrHistogram*, 2012: buckets of equal relative width. Masson, Rim and Lee, "DDSketch",
    VLDB 2019, bounds the error of quantiles of such buckets.
    """

    def __init__(self) -> None:
        self._zeros = 0
        self._first = 0
        self._counts = np.zeros(0, np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values, shape ``(n,)``."""
        half = np.int64(1 << (_DROPPED_BITS - 1))
        # Adding 0.0 makes a negative zero positive.
        places = ((values + 0.0).view(np.int64) + half) >> _DROPPED_BITS
        positive = places[places > 0]
        self._zeros += places.size - positive.size
        if not positive.size:
            return
        self._cover(int(positive.min()), int(positive.max()))
        counted = np.bincount(positive - self._first)
        self._counts[: counted.size] += counted

    def _cover(self, first: int, last: int) -> None:
        if not self._counts.size:
            self._first, self._counts = first, np.zeros(last - first + 1, np.int64)
            return
        before = max(0, self._first - first)
        after = max(0, last - self._first - self._counts.size + 1)
        if before or after:
            self._counts = np.pad(self._counts, (before, after))
            self._first -= before

    def up_to(self, value: float, *, inclusive: bool) -> int:
        """Count values that were rounded to at most this one, or to less."""
        at = _bits(value) >> _DROPPED_BITS
        whole = _bits(value) == at << _DROPPED_BITS
        zeros = self._zeros if inclusive or value > 0 else 0
        stop = at - self._first + (1 if inclusive or not whole else 0)
        return zeros + int(self._counts[: max(0, stop)].sum())

    def extremes(self) -> tuple[float, float]:
        """Return the least and the greatest rounded value; there must be one."""
        places = self._first + np.flatnonzero(self._counts)
        low = 0 if self._zeros else int(places[0])
        high = int(places[-1]) if places.size else 0
        return _float(low << _DROPPED_BITS), _float(high << _DROPPED_BITS)


class Quantiles:
    """Non-negative values that come in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[NDArray[np.float64]] = []
        self._chunks: tuple[NDArray[np.float64], ...] = ()
        self._rounded: _Counts | None = None

    @property
    def exact(self) -> bool:
        """Whether all values are still known."""
        return self._rounded is None

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values, shape ``(n,)``, each at least 0."""
        self.count += values.size
        self._chunks = ()
        if self._rounded is None and self.count <= EXACT_MAX:
            self._parts.append(values)
            return
        if self._rounded is None:
            self._rounded = _Counts()
            for part in self._parts:
                self._rounded.add(part)
            self._parts = []
        self._rounded.add(values)

    def chunks(self) -> tuple[NDArray[np.float64], ...]:
        """Give the exact values in at most `CHUNKS` parts of equal length, each sorted.

        Returns
        -------
        tuple of ndarray
            One after the other as the values came; none if they are rounded.
        """
        if not self._chunks and self._parts:
            # A copy, which may be sorted: what was added is the caller's.
            whole = np.concatenate(self._parts)
            self._parts, self._chunks = [whole], tuple(np.array_split(whole, CHUNKS))
            for chunk in self._chunks:
                chunk.sort()
        return self._chunks

    def count_up_to(self, value: float, *, inclusive: bool = True) -> int:
        """Count the values, or what they were rounded to, that are at most this one, or less."""
        if self.count == 0:
            return 0
        if self._rounded is not None:
            return self._rounded.up_to(value, inclusive=inclusive)
        side: Literal["left", "right"] = "right" if inclusive else "left"
        return sum(int(np.searchsorted(chunk, value, side)) for chunk in self.chunks())

    def extremes(self) -> tuple[float, float]:
        """Give the least and the greatest value; NaN where nothing was added."""
        if self.count == 0:
            return math.nan, math.nan
        if self._rounded is not None:
            return self._rounded.extremes()
        filled = [chunk for chunk in self.chunks() if chunk.size]
        return float(min(c[0] for c in filled)), float(max(c[-1] for c in filled))


class PooledLatencies:
    """The values of several replications together.

    Parameters
    ----------
    replications
        Their values, at least one in all.
    """

    def __init__(self, replications: Sequence[Quantiles]) -> None:
        self.replications = tuple(replications)
        self.count = sum(own.count for own in replications)
        self.exact = all(own.exact for own in replications)
        self._filled = [own for own in replications if own.count]
        self._sorted: NDArray[np.float64] | None = None
        if self.exact and self.count <= EXACT_MAX:
            self._sorted = np.sort(
                np.concatenate([c for own in replications for c in own.chunks()])
            )

    def quantile(self, share: float) -> float:
        """Give a quantile, by linear interpolation between neighbours as `numpy.quantile`.

        Parameters
        ----------
        share
            Which; at most 0 is the least value, and at least 1 the greatest.
        """
        place = (self.count - 1) * min(max(share, 0.0), 1.0)
        below = math.floor(place)
        low = self._ordered(below)
        if place == below:
            return low
        return low + (self._ordered(below + 1) - low) * (place - below)

    def _ordered(self, index: int) -> float:
        """Give the value at a place of the ascending order, from 0."""
        if self._sorted is not None:
            return float(self._sorted[index])
        # Bit patterns of non-negative floats are in the order of the floats: halving them ends, at
        # a value that was added, after at most 63 steps, and no second copy is made of them all.
        low = _bits(min(own.extremes()[0] for own in self._filled))
        high = _bits(max(own.extremes()[1] for own in self._filled))
        while low < high:
            middle = (low + high) // 2
            value = _float(middle)
            if sum(own.count_up_to(value) for own in self._filled) > index:
                high = middle
            else:
                low = middle + 1
        return _float(low)


def _bits(value: float) -> int:
    return int(np.float64(value + 0.0).view(np.int64))


def _float(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
