"""Comparisons of what met the same chance: the same samples, or the same draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import bdtrc, ndtri, stdtrit

from flexrel_sim.statistics import Estimate

__all__ = [
    "difference_interval",
    "difference_statistic",
    "surely_worse",
    "surely_worse_apart",
    "surely_worse_by_samples",
]

_ROUNDING: Final = 1e-9
"""Part of a figure below which a difference is none."""


def difference_statistic(gained: int, lost: int, samples: int, difference: float) -> float:
    """Compare a difference of two proportions on the same samples with a supposed one.

    Parameters
    ----------
    gained, lost
        How many samples only the first network answers correctly, and only the second.
    samples
        How many there are.
    difference
        What the first proportion less the second is supposed to be, between -1 and 1.

    Returns
    -------
    float
        Tango's score statistic, standard normal if the supposition holds: positive where the
        observed difference is greater. At a difference of 0 it is McNemar's. Infinite where the
        supposition leaves no room for what was observed, and 0 where it is exactly that.

    References
    ----------
    Tango, *Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design*, Statistics in Medicine 17, 1998, section 3.
    """
    margin = -difference
    a = 2.0 * samples
    b = -gained - lost - (2.0 * samples - gained + lost) * margin
    c = lost * margin * (margin + 1.0)
    likely_lost = (math.sqrt(max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a)
    variance = samples * (2.0 * likely_lost - margin * (margin + 1.0))
    excess = gained - lost + samples * margin
    if variance <= 1e-12 * samples:
        return math.copysign(math.inf, excess) if abs(excess) > 1e-9 * samples else 0.0
    return excess / math.sqrt(variance)


@lru_cache(maxsize=65536)
def difference_interval(gained: int, lost: int, samples: int, level: float = 0.95) -> Estimate:
    """Estimate a difference of two proportions on the same samples.

    Parameters
    ----------
    gained, lost, samples
        As in `difference_statistic`.
    level
        Coverage of the interval.

    Returns
    -------
    Estimate
        The observed difference, and those that Tango's score test does not reject.

    Raises
    ------
    ValueError
        If there is no sample, or more differ than there are.

    References
    ----------
    Tango (1998), section 4.
    """
    if samples < 1 or min(gained, lost) < 0 or gained + lost > samples:
        raise ValueError(
            f"a paired difference needs 0 <= gained + lost <= samples, got {gained} + {lost} of"
            f" {samples}"
        )
    z = float(ndtri(0.5 + level / 2))
    value = (gained - lost) / samples

    def excess(difference: float, bound: float) -> float:
        return difference_statistic(gained, lost, samples, difference) - bound

    # The statistic falls with the supposed difference.
    edge = 1.0 - 1e-12
    low = high = value
    if value > -edge:
        low = brentq(excess, -edge, value, args=(z,)) if excess(-edge, z) > 0 else -1.0
    if value < edge:
        high = brentq(excess, value, edge, args=(-z,)) if excess(edge, -z) < 0 else 1.0
    return Estimate(value, min(low, value), max(high, value))


def surely_worse(
    costs: NDArray[np.float64], best: int, comparisons: int, level: float = 0.95
) -> NDArray[np.bool_]:
    """Tell which systems are worse than the one that looks best, so that all others may be best.

    Parameters
    ----------
    costs
        Shape ``(systems, replications)``, smaller is better; a replication's values come from the
        same draws, in whatever way they are correlated.
    best
        The system that looks best.
    comparisons
        How many different systems the truly best could be held against: all but itself.
    level
        Probability that the truly best system is not called worse.

    Returns
    -------
    numpy.ndarray
        Shape ``(systems,)``.

    Notes
    -----
    A system is worse if its mean paired difference to the best-looking one exceeds
    ``t(1 - α/comparisons, n-1) · s/√n``. The truly best is called worse only if one of its
    differences to others, none of them positive in the mean, exceeds its bound: by Bonferroni's
    inequality with probability α at most, however the systems are correlated.

    References
    ----------
    Nelson, Swann, Goldsman and Song, *Simple procedures for selecting the best simulated system
    when the number of alternatives is large*, Operations Research 49, 2001: screening, here by
    paired differences of systems that met common random numbers.
    """
    replications = costs.shape[1]
    differences = costs - costs[best]
    mean = differences.mean(1)
    error = differences.std(1, ddof=1) / math.sqrt(replications)
    bound = float(stdtrit(replications - 1, 1.0 - (1.0 - level) / max(comparisons, 1)))
    # What only rounding tells apart is the same.
    worse: NDArray[np.bool_] = mean > bound * error + _ROUNDING * abs(float(costs[best].mean()))
    return worse


def surely_worse_by_samples(
    correct: NDArray[np.bool_], best: int, comparisons: int, level: float = 0.95
) -> NDArray[np.bool_]:
    """Tell which networks are worse than the one that looks best, on the same samples.

    Parameters
    ----------
    correct
        Whether each network answers each sample correctly, shape ``(networks, samples)``.
    best
        The network that looks best.
    comparisons, level
        As in `surely_worse`.

    Returns
    -------
    numpy.ndarray
        Shape ``(networks,)``: by McNemar's exact test, one-sided, each at Bonferroni's share of
        what the level leaves.
    """
    lost = (correct[best] & ~correct).sum(1)
    gained = (~correct[best] & correct).sum(1)
    # Probability of as many losses or more, if a coin decides each sample that tells them apart.
    by_chance = bdtrc(np.maximum(lost - 1, 0), np.maximum(lost + gained, 1), 0.5)
    worse: NDArray[np.bool_] = (lost > 0) & (by_chance <= (1.0 - level) / max(comparisons, 1))
    return worse


def surely_worse_apart(
    costs: Sequence[Estimate], best: int, comparisons: int, level: float = 0.95
) -> NDArray[np.bool_]:
    """Tell which systems are worse than the one that looks best, where nothing is shared.

    Parameters
    ----------
    costs
        Estimates with 95 % intervals, smaller is better.
    best, comparisons, level
        As in `surely_worse`.

    Returns
    -------
    numpy.ndarray
        Shape ``(systems,)``: by the normal approximation, with errors that half the intervals'
        widths stand for. Estimates that share their samples have smaller differences than that.
    """
    values = np.array([cost.value for cost in costs])
    errors = np.array([cost.high - cost.low for cost in costs]) / (2 * float(ndtri(0.975)))
    bound = float(ndtri(1.0 - (1.0 - level) / max(comparisons, 1)))
    error = np.hypot(errors, errors[best])
    worse: NDArray[np.bool_] = values - values[best] > bound * error + _ROUNDING * abs(values[best])
    return worse
