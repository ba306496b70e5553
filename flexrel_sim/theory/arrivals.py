"""Arrivals that come in bursts."""

from __future__ import annotations

import math

__all__ = ["mmpp_dispersion"]


def mmpp_dispersion(
    rates_per_s: tuple[float, float], mean_stays_s: tuple[float, float], time_s: float
) -> float:
    """Give the index of dispersion of counts of a two-state Markov-modulated Poisson process.

    Parameters
    ----------
    rates_per_s
        Arrival rate in either state.
    mean_stays_s
        Mean of the exponential stays in them.
    time_s
        Length of the interval in which arrivals are counted, in equilibrium.

    Returns
    -------
    float
        Variance over mean; 1 is a Poisson process.

    References
    ----------
    Fischer and Meier-Hellstern, *The Markov-modulated Poisson process (MMPP) cookbook*,
    Performance Evaluation 18(2), 1993, section 5.
    """
    leave = (1 / mean_stays_s[0], 1 / mean_stays_s[1])
    total = sum(leave)
    weighted = rates_per_s[0] * leave[1] + rates_per_s[1] * leave[0]
    spread = 2 * leave[0] * leave[1] * (rates_per_s[0] - rates_per_s[1]) ** 2
    fading = 1 - (1 - math.exp(-total * time_s)) / (total * time_s)
    return 1 + spread / (total**2 * weighted) * fading
