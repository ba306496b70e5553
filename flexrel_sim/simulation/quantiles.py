"""A replication's latencies: all of them for as long as they are few, then a mergeable sketch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import datasketches
import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT_MAX", "RANK_ERROR", "Pool", "Quantiles"]

EXACT_MAX: Final = 2_000_000
"""More values than this are sketched."""

CHUNKS: Final = 8
"""In how many parts, one after the other, exact values can be looked at."""

_K: Final = 8192

RANK_ERROR: Final = float(datasketches.kll_doubles_sketch.get_normalized_rank_error(_K, False))
"""A sketched quantile's rank is off by at most this share, with 99 % confidence."""


class Quantiles:
    """Non-negative values that come in parts.

    References
    ----------
    Karnin, Lang, Liberty, "Optimal quantile approximation in streams", FOCS 2016 (KLL), as built
    in Apache DataSketches.
    """

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[NDArray[np.float64]] = []
        self._chunks: tuple[NDArray[np.float64], ...] = ()
        self._sketch: datasketches.kll_doubles_sketch | None = None

    @property
    def exact(self) -> bool:
        """Whether all values are still known."""
        return self._sketch is None

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values, shape ``(n,)``, each at least 0."""
        self.count += values.size
        self._chunks = ()
        if self._sketch is None and self.count <= EXACT_MAX:
            self._parts.append(values)
            return
        if self._sketch is None:
            self._sketch = datasketches.kll_doubles_sketch(_K)
            for part in self._parts:
                self._sketch.update(part)
            self._parts = []
        self._sketch.update(np.ascontiguousarray(values))

    def chunks(self) -> tuple[NDArray[np.float64], ...]:
        """Give the exact values in at most `CHUNKS` parts of equal length, each sorted.

        Returns
        -------
        tuple of ndarray
            One after the other as the values came; none if they are sketched.
        """
        if not self._chunks and self._parts:
            # A copy, which may be sorted: what was added is the caller's.
            whole = np.concatenate(self._parts)
            self._parts, self._chunks = [whole], tuple(np.array_split(whole, CHUNKS))
            for chunk in self._chunks:
                chunk.sort()
        return self._chunks

    def count_up_to(self, value: float, *, inclusive: bool = True) -> float:
        """Give how many values are at most this one, or less; of a sketch, an estimate."""
        if self.count == 0:
            return 0.0
        if self._sketch is not None:
            return float(self._sketch.get_rank(value, inclusive)) * self.count
        side: Literal["left", "right"] = "right" if inclusive else "left"
        return float(sum(np.searchsorted(chunk, value, side) for chunk in self.chunks()))

    def extremes(self) -> tuple[float, float]:
        """Give the least and the greatest value; NaN where nothing was added."""
        if self.count == 0:
            return math.nan, math.nan
        if self._sketch is not None:
            return self._sketch.get_min_value(), self._sketch.get_max_value()
        filled = [chunk for chunk in self.chunks() if chunk.size]
        return float(min(c[0] for c in filled)), float(max(c[-1] for c in filled))


class Pool:
    """The values of several replications together; sketches keep apart, and their ranks add up.

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
            if sum(own.count_up_to(value) for own in self._filled) >= index + 0.5:
                high = middle
            else:
                low = middle + 1
        return _float(low)


def _bits(value: float) -> int:
    return int(np.float64(value + 0.0).view(np.int64))


def _float(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
