"""Quantiles of all replications together, with intervals that were measured to cover.

The interval is Woodruff's: how far the share of requests beyond the quantile varies between
replications says between which *ranks* the true quantile lies, and the latencies of those ranks are
the bounds. `docs/statistics.md` has its measured coverage beside that of sections, jackknifed
sections and means of quantiles, which it was chosen over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.quantiles import RANK_ERROR, Pool
from flexrel_sim.statistics import Estimate, ratio_values, t_half_width

__all__ = ["PooledQuantile", "inflation", "quantile_interval"]


@dataclass(frozen=True)
class PooledQuantile:
    """A quantile of all replications' latencies.

    Parameters
    ----------
    share
        Which one.
    estimate
        It, and its interval.
    values
        One per replication, to compare points by: their mean is the quantile, and their t-interval
        is as wide as its own.
    bounded
        Whether both bounds lie within what was seen; where not, the least or greatest latency
        stands for the bound, and more may lie beyond it.
    """

    share: float
    estimate: Estimate
    values: tuple[float, ...]
    bounded: bool


def quantile_interval(pool: Pool, share: float, level: float = 0.95) -> PooledQuantile:
    """Estimate a quantile from independent replications.

    Parameters
    ----------
    pool
        Their latencies; at least two replications.
    share
        Which quantile, between 0 and 1.
    level
        Coverage of the interval.

    Returns
    -------
    PooledQuantile
        The pooled sample's quantile. Its bounds are the pooled quantiles of the ranks
        ``share ± (t(level, n-1) · s/√n + e)``; s is the spread of the replications' shares beyond
        the quantile, and e the sketch's rank error, or 0 where every latency is known.

    References
    ----------
    Woodruff, *Confidence intervals for medians and other position measures*, JASA 47, 1952, with
    the replications as clusters.
    """
    value = pool.quantile(share)
    # Where many latencies are equal, those at the quantile may vary more than those beyond it.
    shares = [_shares_above(pool, value, inclusive=inclusive) for inclusive in (True, False)]
    varied = max(shares, key=lambda own: t_half_width(own, level))
    half = t_half_width(varied, level)
    reach = half + (0.0 if pool.exact else RANK_ERROR)
    low, high = pool.quantile(share - reach), pool.quantile(share + reach)
    # One latency that nothing ever changed is known, however few there are.
    bounded = low == high or (share - reach > 0 and share + reach < 1)
    slope = (high - low) / (2 * half) if half > 0 else 0.0
    values = value + (varied - varied.mean()) * slope
    return PooledQuantile(share, Estimate(value, low, high), tuple(values.tolist()), bounded)


def _shares_above(pool: Pool, value: float, *, inclusive: bool) -> NDArray[np.float64]:
    """Give a value per replication that varies as the share of latencies above does."""
    above = [own.count - own.count_up_to(value, inclusive=inclusive) for own in pool.replications]
    return ratio_values(above, [own.count for own in pool.replications])


def inflation(pool: Pool, value: float) -> float:
    """Give how many requests tell as much of the share beyond a value as one would by itself.

    Parameters
    ----------
    pool
        The latencies of all replications.
    value
        Beyond what.

    Returns
    -------
    float
        Variance of the shares of consecutive parts, over that of as many independent requests; the
        greatest over halves, quarters and eighths of the replications, and at least 1. It is 1
        where no latency is beyond, and where order is lost in a sketch.

    References
    ----------
    Law, *Simulation Modeling and Analysis*, 5th ed., section 9.5.3 (batch means).
    """
    chunks = [own.chunks() for own in pool.replications]
    if not all(chunks):
        return 1.0
    sizes = np.array([[chunk.size for chunk in own] for own in chunks], dtype=float)
    above = sizes - [[np.searchsorted(chunk, value, "right") for chunk in own] for own in chunks]
    found = 1.0
    while sizes.shape[1] > 1:
        found = max(found, _between(above, sizes))
        above, sizes = (part[:, ::2] + part[:, 1::2] for part in (above, sizes))
    return found


def _between(above: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    share = above.sum() / sizes.sum()
    if not 0 < share < 1:
        return 1.0
    left = above - share * sizes
    variance = float((left**2).sum()) / (left.size - 1)
    return variance / (share * (1 - share) * float(sizes.mean())) if sizes.mean() else math.inf
