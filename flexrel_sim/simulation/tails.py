"""Quantiles of all replications together, with intervals that were measured to cover.

The interval is Woodruff's: how far the share of requests beyond the quantile varies between
replications says between which *ranks* the true quantile lies, and the latencies of those ranks are
the bounds. `docs/statistics.md` has its measured coverage beside that of sections, jackknifed
sections and means of quantiles, which it was chosen over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.quantiles import ROUNDING, PooledLatencies
from flexrel_sim.statistics import Estimate, ratio_values, t_half_width

__all__ = ["SAME", "PooledQuantile", "chunk_inflation", "inflation", "quantile_interval"]

SAME: Final = 1e-9
"""Latencies that differ by less, as a share of them, differ by rounding."""


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


def quantile_interval(pool: PooledLatencies, share: float, level: float = 0.95) -> PooledQuantile:
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
        ``share ± t(level, n-1) · s/√n``; s is the spread of the replications' shares beyond the
        quantile. They are a rounding further apart where latencies were rounded.

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
    low, high = pool.quantile(share - half), pool.quantile(share + half)
    # One latency that nothing ever changed is known, however few there are.
    known = high - low <= SAME * value
    bounded = known or (share - half > 0 and share + half < 1)
    slope = (high - low) / (2 * half) if half > 0 else 0.0
    values = value + (varied - varied.mean()) * slope
    if not pool.exact:
        low, high = low * (1 - ROUNDING), high * (1 + ROUNDING)
    return PooledQuantile(share, Estimate(value, low, high), tuple(values.tolist()), bounded)


def _shares_above(pool: PooledLatencies, value: float, *, inclusive: bool) -> NDArray[np.float64]:
    """Give a value per replication that varies as the share of latencies above does."""
    above = [own.count - own.count_up_to(value, inclusive=inclusive) for own in pool.replications]
    return ratio_values(above, [own.count for own in pool.replications])


def inflation(pool: PooledLatencies, value: float) -> float:
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
        As `chunk_inflation`; 1 where no latency is beyond, and where they were rounded and counted,
        which loses their order.
    """
    chunks = [own.chunks() for own in pool.replications]
    if not all(chunks):
        return 1.0
    sizes = np.array([[chunk.size for chunk in own] for own in chunks], dtype=float)
    above = sizes - [[np.searchsorted(chunk, value, "right") for chunk in own] for own in chunks]
    share = float(above.sum() / sizes.sum())
    return chunk_inflation(above - share * sizes, sizes, share * (1 - share))


def chunk_inflation(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], variance: float
) -> float:
    """Give how much more the sums of consecutive requests vary than those of independent ones.

    Parameters
    ----------
    sums
        Of deviations from the mean, shape ``(replications, chunks)``.
    sizes
        How many requests are in each.
    variance
        Of one request.

    Returns
    -------
    float
        The greatest over halves, quarters and eighths of the replications, and at least 1. What all
        replications do alike at the same time, such as a link's schedule, is no chance.

    References
    ----------
    Law, *Simulation Modeling and Analysis*, 5th ed., section 9.5.3 (batch means).
    """
    found = 1.0
    while sums.shape[1] > 1 and variance > 0:
        left = sums - sums.mean(axis=0)
        spread = float((left**2).sum()) / ((left.shape[0] - 1) * left.shape[1])
        found = max(found, spread / float(sizes.mean()) / variance)
        sums, sizes = (part[:, ::2] + part[:, 1::2] for part in (sums, sizes))
    return found
