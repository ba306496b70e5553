"""Queues whose customers are served together."""

from __future__ import annotations

import math
from collections.abc import Callable

from flexrel_sim.theory.loads import stable_load

__all__ = ["full_batches_mean_wait_s", "mm1_bulk_mean_wait_s", "timed_batches"]


def mm1_bulk_mean_wait_s(arrival_rate_per_s: float, batch_s: float, size: int) -> float:
    """Give the mean wait where an idle server takes whoever waits, up to a batch's size.

    Times of batches are exponential and don't hang on their size; nobody joins a batch that has
    started (the general bulk service rule with 1 and b).

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate; below ``size / batch_s``.
    batch_s
        Mean time of a batch.
    size
        Largest batch, b.

    Returns
    -------
    float
        With ``n`` waiting behind a busy server as likely as ``rⁿ``, ``r`` the root below 1 of
        ``μ r^(b+1) - (λ+μ) r + λ = 0``.

    References
    ----------
    Neuts, *A general class of bulk queues with Poisson input*, Annals of Mathematical Statistics
    38(3), 1967; Chaudhry and Templeton, *A First Course in Bulk Queues*, 1983, chapter 4. The test
    of this function solves the chain itself.
    """
    stable_load(arrival_rate_per_s, batch_s, size)
    rate = 1 / batch_s
    # λ = μ(r + … + r^b): the polynomial without its root at 1.
    root = _root(
        lambda r: rate * sum(r**n for n in range(1, size + 1)) - arrival_rate_per_s, 0.0, 1.0
    )
    nobody_waits = 1 / (1 / (1 - root) + rate / arrival_rate_per_s)
    return nobody_waits * root / (1 - root) ** 2 / arrival_rate_per_s


def full_batches_mean_wait_s(arrival_rate_per_s: float, batch_s: float, size: int) -> float:
    """Give the mean wait where a server only takes full batches, of exponential times.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate; below ``size / batch_s``.
    batch_s
        Mean time of a batch.
    size
        Of every batch.

    Returns
    -------
    float
        The mean time until a customer's batch is full, ``(b-1) / 2λ``, and the batch's own wait:
        batches come as a renewal process of Erlang gaps, so theirs is an E_b/M/1 queue.

    References
    ----------
    Kleinrock, section 6.4 (G/M/1): ``σ s / (1-σ)``, with ``σ = (λ / (λ + μ(1-σ)))^b``.
    """
    stable_load(arrival_rate_per_s, batch_s, size)
    filling_s = (size - 1) / (2 * arrival_rate_per_s)

    def too_high(sigma: float) -> float:
        share = arrival_rate_per_s / (arrival_rate_per_s + (1 - sigma) / batch_s)
        return sigma - share**size

    # One is a root too; the other lies below it, and between them the function is positive.
    slack = 1e-9 * (1 - arrival_rate_per_s * batch_s / size)
    sigma = _root(too_high, 0.0, 1 - slack)
    return filling_s + sigma * batch_s / (1 - sigma)


def timed_batches(arrival_rate_per_s: float, timeout_s: float, size: int) -> tuple[float, float]:
    """Give the mean batch and the mean wait for company where some worker is always idle.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate of a Poisson process.
    timeout_s
        A batch starts once its first customer has waited this long.
    size
        Or once it is this large, at least 2.

    Returns
    -------
    mean_batch
        ``1 + E min(b-1, N)``, with N arrivals during the timeout.
    mean_wait_s
        ``Σ (j+1) P(N > j) / λ`` over ``j ≤ b-2`` per batch, over the customers of a batch.

    References
    ----------
    Ross, *Introduction to Probability Models*, section 7.4 (renewal reward): batches are cycles,
    because the next one begins with the first arrival after the last one's start.
    """
    expected = arrival_rate_per_s * timeout_s
    chance = math.exp(-expected)
    more, left = [], 1.0
    for j in range(size - 1):
        left -= chance
        more.append(left)
        chance *= expected / (j + 1)
    mean_batch = 1 + sum(more)
    waits_s = sum((j + 1) * later for j, later in enumerate(more)) / arrival_rate_per_s
    return mean_batch, waits_s / mean_batch


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Give the place where a function that grows from below zero to above it crosses zero."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return middle
