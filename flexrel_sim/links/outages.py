"""Times at which a direction carries nothing, laid over its capacity."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.piecewise import PiecewiseConstant

__all__ = ["random_windows_s", "renewal_windows_s", "with_random_outages", "with_windows"]

Floats = NDArray[np.float64]

# A trace of a long run at every millisecond; more is a slip in a unit.
_PIECES_MAX = 50_000_000


def with_windows(capacity: PiecewiseConstant, windows_s: Floats) -> PiecewiseConstant:
    """Set a capacity to zero in windows that come once.

    Parameters
    ----------
    capacity
        What is there without them; where it repeats, it does so after the windows as before.
    windows_s
        Start and end of each, shape ``(windows, 2)``, ascending and apart.

    Returns
    -------
    PiecewiseConstant
        The capacity with the windows in it.

    Raises
    ------
    ValueError
        If that takes more than 50,000,000 pieces.
    """
    if not windows_s.size:
        return capacity
    if not capacity.repeats:
        return _cut(capacity, windows_s, math.inf, 0.0)
    cycles = max(0, math.ceil((windows_s[-1, 1] - capacity.end_s) / capacity.period_s))
    passed_s = capacity.end_s + cycles * capacity.period_s
    return _cut(capacity, windows_s, passed_s + capacity.period_s, passed_s)


def with_random_outages(
    capacity: PiecewiseConstant,
    means_s: tuple[float, float],
    duration_s: float,
    rng: np.random.Generator,
) -> PiecewiseConstant:
    """Set a capacity to zero in windows drawn from an alternating renewal process.

    Parameters
    ----------
    capacity
        What is there without them.
    means_s
        Means of the exponential times up and down; it starts up.
    duration_s
        How much is drawn at least; capacity and outages repeat together.
    rng
        What they are drawn from.

    Returns
    -------
    PiecewiseConstant
        One realisation.

    Raises
    ------
    ValueError
        If that takes more than 50,000,000 pieces, or nothing is up in all that time.
    """
    if capacity.repeats:
        cycles = math.ceil(max(0.0, duration_s - capacity.repeat_from_s) / capacity.period_s)
        repeat_from_s = capacity.repeat_from_s
        end_s = repeat_from_s + max(1, cycles) * capacity.period_s
    else:
        repeat_from_s = float(capacity.start_s[-1])
        end_s = repeat_from_s + duration_s
    windows_s = random_windows_s(means_s, end_s, rng)
    return _cut(capacity, windows_s, end_s, repeat_from_s)


def random_windows_s(
    means_s: tuple[float, float], end_s: float, rng: np.random.Generator
) -> Floats:
    """Draw windows as `renewal_windows_s` does, the last of them cut at the end."""
    return np.minimum(renewal_windows_s(means_s, end_s, rng), end_s)


def renewal_windows_s(
    means_s: tuple[float, float], until_s: float, rng: np.random.Generator
) -> Floats:
    """Draw windows of an alternating renewal process, up at time zero.

    Parameters
    ----------
    means_s
        Means of the exponential times up and down.
    until_s
        No window starts from then on.
    rng
        What they are drawn from.

    Returns
    -------
    numpy.ndarray
        Start and end of each, shape ``(windows, 2)``.

    Raises
    ------
    ValueError
        If more than 50,000,000 are expected.
    """
    expected = until_s / sum(means_s)
    if expected > _PIECES_MAX:
        raise ValueError(f"must not need more than {_PIECES_MAX:,} outages")
    edges_s = np.empty(0)
    while not edges_s.size or edges_s[-1] < until_s:
        pairs = rng.exponential(size=(int(expected + 6 * math.sqrt(expected)) + 10, 2))
        last_s = edges_s[-1] if edges_s.size else 0.0
        edges_s = np.append(edges_s, last_s + np.cumsum((pairs * means_s).ravel()))
    windows_s = edges_s.reshape(-1, 2)
    return np.asarray(windows_s[windows_s[:, 0] < until_s])


def _cut(
    capacity: PiecewiseConstant, windows_s: Floats, end_s: float, repeat_from_s: float
) -> PiecewiseConstant:
    starts_s, rates = _unrolled(capacity, end_s)
    edges_s = windows_s.ravel()
    breaks_s = np.unique(np.concatenate((starts_s, edges_s, [repeat_from_s])))
    breaks_s = breaks_s[breaks_s < end_s]
    values = rates[np.searchsorted(starts_s, breaks_s, side="right") - 1]
    # After an odd count of edges one is inside a window.
    inside = np.searchsorted(edges_s, breaks_s, side="right") % 2 == 1
    return PiecewiseConstant(breaks_s, np.where(inside, 0.0, values), end_s, repeat_from_s)


def _unrolled(capacity: PiecewiseConstant, end_s: float) -> tuple[Floats, Floats]:
    """Write the cycles up to a time out."""
    if not capacity.repeats:
        return capacity.start_s, capacity.rate_bit_per_s
    cycles = max(0, math.ceil((end_s - capacity.end_s) / capacity.period_s))
    first = int(np.searchsorted(capacity.start_s, capacity.repeat_from_s))
    repeated_s, rates = capacity.start_s[first:], capacity.rate_bit_per_s[first:]
    if capacity.start_s.size + cycles * repeated_s.size > _PIECES_MAX:
        raise ValueError(f"must not need more than {_PIECES_MAX:,} pieces")
    shifts_s = np.arange(1, cycles + 1) * capacity.period_s
    starts_s = np.append(capacity.start_s, (shifts_s[:, None] + repeated_s).ravel())
    return starts_s, np.append(capacity.rate_bit_per_s, np.tile(rates, cycles))
