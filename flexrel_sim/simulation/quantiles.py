"""Quantiles of a stream: exact for as long as it is short, then from a mergeable sketch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import datasketches
import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT_MAX", "RANK_ERROR", "Quantiles"]

EXACT_MAX: Final = 2_000_000
"""More values than this are sketched."""

_K: Final = 8192

RANK_ERROR: Final = float(datasketches.kll_doubles_sketch.get_normalized_rank_error(_K, False))
"""A sketched quantile's rank is off by at most this share, with 99 % confidence."""


class Quantiles:
    """Values that come in parts.

    References
    ----------
    Karnin, Lang, Liberty, "Optimal quantile approximation in streams", FOCS 2016 (KLL), as built
    in Apache DataSketches.
    """

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[NDArray[np.float64]] = []
        self._sketch: datasketches.kll_doubles_sketch | None = None

    @property
    def exact(self) -> bool:
        """Whether all values are still known."""
        return self._sketch is None

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values, shape ``(n,)``."""
        self.count += values.size
        if self._sketch is None and self.count <= EXACT_MAX:
            self._parts.append(values)
            return
        if self._sketch is None:
            self._sketch = datasketches.kll_doubles_sketch(_K)
            for part in self._parts:
                self._sketch.update(part)
            self._parts = []
        self._sketch.update(np.ascontiguousarray(values))

    def at(self, shares: Iterable[float]) -> list[float]:
        """Give quantiles.

        Parameters
        ----------
        shares
            Which, from 0 to 1.

        Returns
        -------
        list of float
            NaN where nothing was added.
        """
        wanted = list(shares)
        if self.count == 0:
            return [float("nan")] * len(wanted)
        if self._sketch is not None:
            return [float(value) for value in self._sketch.get_quantiles(wanted)]
        return [float(v) for v in np.quantile(np.concatenate(self._parts), wanted)]
