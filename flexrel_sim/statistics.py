"""Intervals: Student's t over replications, Wilson's for a proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

__all__ = [
    "Estimate",
    "mixed",
    "ratio_values",
    "t_half_width",
    "t_interval",
    "wilson_bounds",
    "wilson_interval",
]


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval, all three in the figure's own unit."""

    value: float
    low: float
    high: float


def t_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Estimate a mean from independent replications.

    Parameters
    ----------
    values
        One value per replication, shape ``(replications,)``.
    level
        Coverage of the interval.

    Returns
    -------
    Estimate
        ``mean ± t(level, n-1) · s / √n``.

    Raises
    ------
    ValueError
        If there are fewer than two replications: one run has no interval.

    References
    ----------
    Law, *Simulation Modeling and Analysis*, 5th ed., section 4.5.
    """
    array = np.asarray(values, dtype=float)
    if array.size < 2:
        raise ValueError(f"an interval needs at least two replications, got {array.size}")
    mean = float(array.mean())
    half = t_half_width(array, level)
    return Estimate(mean, mean - half, mean + half)


def t_half_width(values: ArrayLike, level: float = 0.95) -> float:
    """Give half the width of the t-interval of at least two independent values' mean."""
    array = np.asarray(values, dtype=float)
    spread = array.std(ddof=1) / math.sqrt(array.size)
    return float(stdtrit(array.size - 1, 0.5 + level / 2) * spread)


def ratio_values(totals: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Linearise a mean over all that was counted, so that replications of any size weigh right.

    Parameters
    ----------
    totals
        Sum over what each replication counted, shape ``(replications,)``.
    counts
        How many it counted; some at all.

    Returns
    -------
    ndarray of float64
        One value per replication. Their mean is ``Σ totals / Σ counts``, their spread is that of
        its error, and with equal counts they are the replications' own means.

    References
    ----------
    Cochran, *Sampling Techniques*, 3rd ed., 1977, section 6.3 (the ratio estimate).
    """
    sums, sizes = np.asarray(totals, dtype=float), np.asarray(counts, dtype=float)
    if (sizes == sizes[0]).all():
        return np.asarray(sums / sizes)
    pooled = sums.sum() / sizes.sum()
    return np.asarray(pooled + (sums - pooled * sizes) / sizes.mean())


def mixed(estimates: Sequence[Estimate], shares: Sequence[float]) -> Estimate:
    """Estimate a mean over parts of known shares.

    Parameters
    ----------
    estimates
        One per part.
    shares
        Their shares, which sum to one.

    Returns
    -------
    Estimate
        Value and both bounds, weighted: an interval that is too wide rather than too narrow,
        however the parts are correlated.
    """
    pairs = [pair for pair in zip(estimates, shares, strict=True) if pair[1] > 0]
    # Equal parts have their own value, to the last bit: figures are compared.
    if all(estimate == pairs[0][0] for estimate, _ in pairs):
        return pairs[0][0]
    return Estimate(
        *(
            sum(share * getattr(estimate, name) for estimate, share in pairs)
            for name in ("value", "low", "high")
        )
    )


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Estimate a proportion.

    Parameters
    ----------
    successes
        How many of the trials succeeded.
    trials
        How many there were.
    level
        Coverage of the interval.

    Returns
    -------
    Estimate
        The observed proportion in Wilson's score interval.

    Raises
    ------
    ValueError
        If there is no trial, or not ``0 <= successes <= trials``.

    References
    ----------
    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22, 1927.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"a proportion needs 0 <= successes <= trials, got {successes}/{trials}")
    low, high = wilson_bounds(successes, trials, float(ndtri(0.5 + level / 2)))
    return Estimate(successes / trials, float(low), float(high))


def wilson_bounds(
    successes: ArrayLike, trials: ArrayLike, z: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the bounds of Wilson's score interval, element by element.

    Parameters
    ----------
    successes, trials
        Numbers; trials need not be whole.
    z
        Normal quantile of the coverage.
    """
    trials, z = np.asarray(trials, float), np.asarray(z, float)
    share = np.asarray(successes, float) / trials
    centre = share + z * z / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At 0 and 1 the bound equals the proportion; rounding must not push it past.
    low = np.minimum(share, np.maximum(0.0, (centre - half) / scale))
    return low, np.maximum(share, np.minimum(1.0, (centre + half) / scale))
