"""A capacity seen over time: mean rates of equal windows, and how long to look."""

from __future__ import annotations

import math

import numpy as np

from flexrel_sim.links.capacity import Capacity, Floats
from flexrel_sim.links.piecewise import PiecewiseConstant

__all__ = ["duration_of", "window_rates", "window_s"]

_LONGEST_S = 3600.0
_SHORTEST_S = 10.0


def duration_of(capacity: Capacity) -> float:
    """Choose how long to look at a capacity.

    Parameters
    ----------
    capacity
        What to look at.

    Returns
    -------
    float
        All that it passes through, between 10 s and an hour.
    """
    length_s = 0.0
    if isinstance(capacity, PiecewiseConstant):
        last_s = float(capacity.start_s[-1])
        # What holds for ever is given a quarter of the picture.
        length_s = capacity.end_s if capacity.repeats else 4 / 3 * last_s
    else:
        length_s = getattr(capacity, "period_s", 0.0)
    return min(max(length_s, _SHORTEST_S), _LONGEST_S)


def window_s(duration_s: float) -> float:
    """Choose a window: a second, or less where there would be fewer than a hundred."""
    return min(1.0, duration_s / 100)


def window_rates(capacity: Capacity, duration_s: float) -> tuple[Floats, Floats]:
    """Give mean rates of equal windows.

    Parameters
    ----------
    capacity
        What can be carried.
    duration_s
        Until when, from time zero.

    Returns
    -------
    edges_s, rate_bit_per_s
        Edges of the windows, shape ``(windows + 1,)``, and what a busy link carries in each, shape
        ``(windows,)``.
    """
    count = max(1, math.floor(duration_s / window_s(duration_s) + 1e-9))
    edges_s = np.linspace(0.0, duration_s, count + 1)
    rates = 8 * np.diff(capacity.sent_bytes(edges_s)) / np.diff(edges_s)
    return edges_s, np.asarray(rates, dtype=np.float64)
