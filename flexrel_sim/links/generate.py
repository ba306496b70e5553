"""Synthetic capacities: Markov chains, and traces that move the way mobile networks' do.

The presets are models, not measurements. `lte` has the shape of Sprout's model of a cellular link:
a rate that wanders, and stalls that stick (Winstein, Sivaraman, Balakrishnan, *Stochastic forecasts
achieve high throughput and low delay over cellular networks*, NSDI 2013, section 3); its parameters
were fitted to the two Verizon LTE traces that Mahimahi ships (Netravali et al., USENIX ATC 2015).
Those of `5g` and `wifi` are our assumptions: no source states them, and no measured trace was
fitted. All are there to try a design on a rate that varies; for a claim about a network, use a
trace measured in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from flexrel_sim.links.outages import random_windows_s
from flexrel_sim.links.piecewise import PiecewiseConstant

__all__ = ["GENERATORS", "TraceModel", "generated", "markov"]

_JUMPS_MAX = 20_000_000


@dataclass(frozen=True)
class TraceModel:
    """A rate with memory, and dips.

    A stationary Gaussian process, the sum of a slow and a fast first-order autoregression, says at
    which quantile of its distribution the rate is. In a dip the rate is multiplied. Dips come and
    go with exponential times.

    Parameters
    ----------
    mean_bit_per_s
        Mean rate where the user gives none.
    step_s
        How long each value holds.
    log_std
        Standard deviation of the rate's logarithm, where that is normal: slow fading, load of the
        cell.
    memory_s
        Time after which the slow part's correlation is 1/e.
    dip_factor
        What the rate is multiplied by in a dip.
    dip_every_s, dip_lasts_s
        Mean time between dips, and mean length of one.
    what_dips
        What the dips stand for.
    weibull_shape
        Of the rate's distribution where it is Weibull's, which is as often near zero as measured
        ones; `log_std` has no effect then.
    fast_share, fast_memory_s
        Share of the variance that the fast part has, and its memory: the scheduler.
    """

    mean_bit_per_s: float
    step_s: float
    log_std: float
    memory_s: float
    dip_factor: float
    dip_every_s: float
    dip_lasts_s: float
    what_dips: str
    weibull_shape: float | None = None
    fast_share: float = 0.0
    fast_memory_s: float = 1.0

    def rates(self, normal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give rates, in no unit, from standard normal values."""
        if self.weibull_shape is None:
            return np.asarray(np.exp(self.log_std * normal))
        return np.asarray((-log_ndtr(-normal)) ** (1 / self.weibull_shape))


GENERATORS: Final = MappingProxyType(
    {
        "lte": TraceModel(5.5e6, 0.1, 0.0, 4.5, 0.0, 12.0, 0.3, "stalls", 1.65, 0.2, 0.2),
        "5g": TraceModel(150e6, 0.1, 0.7, 3.0, 0.05, 20.0, 1.0, "blockage of the line of sight"),
        "wifi": TraceModel(40e6, 0.02, 0.3, 1.0, 0.2, 5.0, 0.1, "others on the channel"),
    }
)
"""Synthetic networks by name; the parameters of `lte` are fitted, all others are assumptions."""


def generated(
    kind: str, mean_bit_per_s: float | None, duration_s: float, rng: np.random.Generator
) -> PiecewiseConstant:
    """Draw a synthetic trace, which repeats.

    Parameters
    ----------
    kind
        A name in `GENERATORS`.
    mean_bit_per_s
        Its mean, which the realisation has exactly; the model's when None.
    duration_s
        Its length, rounded up to whole steps.
    rng
        What it is drawn from.

    Returns
    -------
    PiecewiseConstant
        One realisation.

    Raises
    ------
    ValueError
        If it would have more than 20,000,000 steps, or carry nothing.
    """
    model = GENERATORS[kind]
    steps = max(1, math.ceil(duration_s / model.step_s))
    if steps > _JUMPS_MAX:
        raise ValueError(f"must have at most {_JUMPS_MAX:,} steps of {model.step_s:g} s")
    slow = _autoregression(steps, model.memory_s / model.step_s, rng)
    if model.fast_share > 0:
        fast = _autoregression(steps, model.fast_memory_s / model.step_s, rng)
        slow = math.sqrt(1 - model.fast_share) * slow + math.sqrt(model.fast_share) * fast
    rates = model.rates(slow)
    starts_s = model.step_s * np.arange(steps, dtype=np.float64)
    means_s = (model.dip_every_s, model.dip_lasts_s)
    dips_s = random_windows_s(means_s, steps * model.step_s, rng)
    rates *= 1 - (1 - model.dip_factor) * _covered(dips_s, starts_s, model.step_s)
    if not rates.any():
        raise ValueError("must carry something, and this realisation is one long dip")
    rates *= (model.mean_bit_per_s if mean_bit_per_s is None else mean_bit_per_s) / rates.mean()
    return PiecewiseConstant(starts_s, rates, steps * model.step_s)


def _autoregression(
    steps: int, memory_steps: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw standard normal values whose correlation falls to 1/e within the memory."""
    # scipy.signal takes long to import, and nothing else here needs it.
    from scipy.signal import lfilter  # noqa: PLC0415

    keep = math.exp(-1 / memory_steps)
    noise = rng.normal(size=steps) * math.sqrt(1 - keep**2)
    # The first value is stationary: nothing has to settle.
    noise[0] /= math.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


def markov(
    rates_bit_per_s: Sequence[float],
    dwell_s: Sequence[float],
    transitions: Sequence[Sequence[float]] | None,
    duration_s: float,
    rng: np.random.Generator,
) -> PiecewiseConstant:
    """Draw a rate that jumps between states, which repeats.

    Parameters
    ----------
    rates_bit_per_s
        Rate of each state.
    dwell_s
        Mean of the exponential time in each.
    transitions
        Probabilities of the next state, a row per state; the neighbours in the list with equal
        probability when None.
    duration_s
        Length of the realisation.
    rng
        What it is drawn from; the first state is stationary.

    Returns
    -------
    PiecewiseConstant
        One realisation.

    Raises
    ------
    ValueError
        If more than 20,000,000 jumps are expected, or the realisation carries nothing.
    """
    if duration_s / min(dwell_s) > _JUMPS_MAX:
        raise ValueError(f"must not expect more than {_JUMPS_MAX:,} jumps")
    matrix = _neighbours(len(rates_bit_per_s)) if transitions is None else np.array(transitions)
    cumulative = np.cumsum(matrix, axis=1)
    shares = _stationary(matrix, np.array(dwell_s))
    state = int(rng.choice(len(dwell_s), p=shares))
    starts_s, states, time_s = [], [], 0.0
    while time_s < duration_s:
        starts_s.append(time_s)
        states.append(state)
        time_s += rng.exponential(dwell_s[state])
        state = min(
            int(np.searchsorted(cumulative[state], rng.random(), side="right")), len(dwell_s) - 1
        )
    rates = np.array(rates_bit_per_s, dtype=np.float64)[states]
    return PiecewiseConstant(np.array(starts_s), rates, duration_s)


def _covered(
    windows_s: NDArray[np.float64], starts_s: NDArray[np.float64], step_s: float
) -> NDArray[np.float64]:
    """Give the share of each step that windows cover."""
    edges_s = np.append(starts_s, starts_s[-1] + step_s)
    lengths_s = np.cumsum(np.append(0.0, windows_s[:, 1] - windows_s[:, 0]))
    index = np.searchsorted(windows_s[:, 0], edges_s, side="right")
    # What windows have covered until an edge: whole ones, less what the last has yet to cover.
    last_end_s = np.append(-np.inf, windows_s[:, 1])[index]
    until_s = lengths_s[index] - np.maximum(last_end_s - edges_s, 0.0)
    # To nine digits: a step that is all dip must not keep a rounding's share.
    return np.asarray(np.round(np.clip(np.diff(until_s) / step_s, 0.0, 1.0), 9))


def _neighbours(states: int) -> NDArray[np.float64]:
    matrix = np.eye(states, k=1) + np.eye(states, k=-1)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def _stationary(matrix: NDArray[np.float64], dwell_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the share of time in each state, by least squares so that any chain has one."""
    states = len(dwell_s)
    equations = np.vstack((matrix.T - np.eye(states), np.ones(states)))
    visits = np.linalg.lstsq(equations, np.append(np.zeros(states), 1.0), rcond=None)[0]
    weights = np.maximum(visits, 0.0) * dwell_s
    return np.asarray(weights / weights.sum())
