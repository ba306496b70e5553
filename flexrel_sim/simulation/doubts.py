"""Which figures' intervals are not to be relied on, why, and what would mend them.

A rule here is a number that coverage was measured at: where no rule objects, intervals of 95 %
covered the truth of M/M/1 queues in 92 to 98 % of the runs, but for two cells of the table in
`docs/statistics.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from flexrel_sim.simulation.figures import Window
from flexrel_sim.simulation.quantiles import PooledLatencies
from flexrel_sim.simulation.system import Stage
from flexrel_sim.simulation.tails import SAME, PooledQuantile, chunk_inflation, inflation
from flexrel_sim.theory import mm1_mean_wait_s, mm1_relaxation_time_s

__all__ = ["BEYOND_MIN", "MEAN_MIN", "Doubt", "Queue", "doubts_of", "queues_of"]

BEYOND_MIN: Final = 10.0
"""So many requests must lie beyond a quantile, those that are correlated counted as one."""

MEAN_MIN: Final = 400.0
"""So many must be behind the mean of latencies in a queue, those that are correlated as one."""

_COCHRAN: Final = 25.0
_EXPONENTIAL: Final = 2.0
_OVERRULES: Final = 3.0
"""What is estimated counts beside theory where it says clearly more: bursts, fading links."""

_WAIT_SHARE_MIN: Final = 0.1
"""A queue that takes less of the latency moves none of its figures."""


@dataclass(frozen=True)
class Doubt:
    """Why a figure's interval is not to be relied on.

    Parameters
    ----------
    cause
        ``few``: too few requests; ``unbounded``: its interval reaches past all that was seen;
        ``start``: queues start empty, and too much of that is counted.
    reason
        A clause about the figure.
    longer
        How many times as many requests would do, at least.
    warmup_s
        Warm-up that would do; 0 where that is not what it lacks.
    """

    cause: Literal["few", "unbounded", "start"]
    reason: str
    longer: float = 1.0
    warmup_s: float = 0.0


@dataclass(frozen=True)
class Queue:
    """How long a stage's queue remembers, were it M/M/1.

    Parameters
    ----------
    name
        Of the stage.
    relaxation_s
        Its relaxation time: what is left of any disturbance falls to 1/e within it.
    requests
        How many requests come to one queue in that time.
    wait_s
        Its mean wait.
    """

    name: str
    relaxation_s: float
    requests: float
    wait_s: float


def queues_of(stages: Iterable[Stage], loads: dict[str, float]) -> tuple[Queue, ...]:
    """List the queues of unlimited room that have a memory, longest first.

    Parameters
    ----------
    stages
        The stages.
    loads
        ρ of each.

    Returns
    -------
    tuple of Queue
        Several workers count as one that is as many times as fast.
    """
    found = []
    for stage in stages:
        load, service_s = loads[stage.name], stage.mean_service_time_s / stage.workers
        if 0 < load < 1 and not stage.bounded and service_s > 0:
            relaxation_s = mm1_relaxation_time_s(load / service_s, service_s)
            wait_s = mm1_mean_wait_s(load / service_s, service_s)
            requests = load * relaxation_s / service_s
            found.append(Queue(stage.name, relaxation_s, requests, wait_s))
    return tuple(sorted(found, key=lambda queue: -queue.relaxation_s))


def doubts_of(
    pool: PooledLatencies,
    mean_s: float,
    tails: Mapping[str, PooledQuantile],
    queues: Sequence[Queue],
    window: Window,
) -> dict[str, Doubt]:
    """Say which latencies' intervals are not to be relied on.

    Parameters
    ----------
    pool
        The latencies of all replications.
    mean_s
        Their mean.
    tails
        Quantiles of them, by metric.
    queues
        What the requests waited in, where arrivals are by chance; none where they are not.
    window
        What was counted.

    Returns
    -------
    dict of str to Doubt
        By metric; empty where all cover what they say.
    """
    queues = [queue for queue in queues if queue.wait_s >= _WAIT_SHARE_MIN * mean_s]
    start = _start_doubt(queues, len(pool.replications), window)
    found = {name: _tail_doubt(pool, tail, queues) or start for name, tail in tails.items()}
    found["latency_mean_s"] = _mean_doubt(pool, queues) or start
    return {name: doubt for name, doubt in found.items() if doubt is not None}


def _tail_doubt(
    pool: PooledLatencies, tail: PooledQuantile, queues: Sequence[Queue]
) -> Doubt | None:
    """Say whether a quantile has enough requests beyond it."""
    beyond = (1 - tail.share) * pool.count
    estimate = tail.estimate
    together = inflation(pool, estimate.value)
    if estimate.high - estimate.low <= SAME * estimate.value:
        together = beyond / BEYOND_MIN  # one latency that nothing ever changed is known
    doubt = _few(beyond, together, BEYOND_MIN, "lie beyond it", queues)
    if doubt is None and not tail.bounded:
        doubt = Doubt("unbounded", "its interval reaches past all that was seen", 2.0)
    return doubt


def _mean_doubt(pool: PooledLatencies, queues: Sequence[Queue]) -> Doubt | None:
    """Say whether a mean has enough requests behind it for its skewness.

    Without a queue to know of, 25 times the square of the skewness (Cochran, *Sampling Techniques*,
    3rd ed., 1977, section 2.15).
    """
    together, skewness = _moments(pool)
    needed = MEAN_MIN if queues else _COCHRAN * skewness**2
    return _few(pool.count, together, needed, "count", queues)


def _start_doubt(queues: Sequence[Queue], replications: int, window: Window) -> Doubt | None:
    """Say whether the empty start of the queues shows in the figures.

    What the start takes from a mean is about ``τ/4 · e^(-w/τ) / T`` of it, after a warm-up w and
    over a window T; its standard error is ``√(τ / rT)`` of it, with r replications, each of which
    starts anew. Both are those of reflected Brownian motion, which a queue near saturation is like.
    The start may take an eighth of the standard error.

    References
    ----------
    Abate and Whitt, *Transient behavior of regulated Brownian motion, I*, Advances in Applied
    Probability 19, 1987; Whitt, *Planning queueing simulations*, Management Science 35, 1989.
    """
    for queue in queues:
        tau_s = queue.relaxation_s
        asked = 4 * replications * tau_s / window.length_s
        if asked * math.exp(-2 * window.start_s / tau_s) > 1:
            forgets = f"{_count(tau_s, 3)} s to forget it"
            reason = f"queues start empty, and the {queue.name}'s takes {forgets}"
            return Doubt("start", reason, warmup_s=0.5 * tau_s * math.log(asked))
    return None


def _few(
    count: float, together: float, needed: float, does: str, queues: Sequence[Queue]
) -> Doubt | None:
    """Doubt a figure of too few requests; `together` of them are as informative as one alone."""
    memory = max(queues, key=lambda queue: queue.requests, default=None)
    if memory is not None and together < _OVERRULES * memory.requests:
        # An estimate would clear the very runs whose spread is small by luck, and so miss most.
        together = max(1.0, memory.requests)
    effective = count / together
    if effective >= needed:
        return None
    shown = f"{count:,.0f}" if count >= 100 else _count(count, 3)
    reason = f"{shown} requests {does}"
    if together > 1:
        reason += f", as informative as {_count(effective, 2)} independent ones"
    reason += f"; {_count(needed, 3)} are needed"
    return Doubt("few", reason, float(needed / effective))


def _count(value: float, digits: int) -> str:
    """Write a count to that many significant digits, and without an exponent.

    >>> _count(26_312.0, 3), _count(1000.0, 2), _count(9.6, 3), _count(0.12, 2)
    ('26,300', '1,000', '9.6', '0.12')
    """
    rounded = float(f"{value:.{digits}g}")
    if rounded >= 10 ** (digits - 1):
        return f"{rounded:,.0f}"
    return np.format_float_positional(rounded, trim="-")


def _moments(pool: PooledLatencies) -> tuple[float, float]:
    """Give how many requests are as informative of the mean as one alone, and the skewness."""
    chunks = [own.chunks() for own in pool.replications]
    if not all(chunks):
        return 1.0, _EXPONENTIAL
    values = np.concatenate([chunk for own in chunks for chunk in own])
    variance = float(values.var())
    if variance <= (SAME * float(values.mean())) ** 2:
        return 1.0, 0.0
    apart = values - values.mean()
    skewness = float((apart * apart * apart).mean()) / variance**1.5
    sizes = np.array([[chunk.size for chunk in own] for own in chunks], dtype=float)
    sums = np.array([[chunk.sum() for chunk in own] for own in chunks]) - values.mean() * sizes
    return chunk_inflation(sums, sizes, variance), skewness
