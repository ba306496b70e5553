"""Queues that turn customers away or lose them."""

from __future__ import annotations

import math

__all__ = ["erlang_b", "mm1_crashing_answered_share", "mmck_blocking"]


def erlang_b(workers: int, offered_load: float) -> float:
    """Give the share of customers that find all workers busy where nobody may wait (M/M/c/c).

    It hangs on the service time's mean only, not on its distribution.

    Parameters
    ----------
    workers
        Number of servers.
    offered_load
        Arrival rate times mean service time, in erlang.

    Returns
    -------
    float
        Erlang's B, by recursion over workers.

    References
    ----------
    Kleinrock, section 3.6; Sevastyanov, *An ergodic theorem for Markov processes and its
    application to telephone systems with refusals*, 1957 (insensitivity).
    """
    blocking = 1.0
    for busy in range(1, workers + 1):
        blocking = offered_load * blocking / (busy + offered_load * blocking)
    return blocking


def mmck_blocking(
    arrival_rate_per_s: float, service_time_s: float, workers: int, places: int
) -> float:
    """Give the share of customers that an M/M/c/K queue turns away.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate.
    service_time_s
        Mean service time.
    workers
        Number of servers, c.
    places
        Customers that fit, those in service included: K, at least c.

    Returns
    -------
    float
        Chance of the full state, which arrivals see (PASTA).

    References
    ----------
    Kleinrock, sections 3.4 to 3.6: a birth-death process.
    """
    full = erlang_b(workers, arrival_rate_per_s * service_time_s)
    load = arrival_rate_per_s * service_time_s / workers
    # A state more at a time: the chance of the last one is a share of what it was before.
    for _ in range(places - workers):
        full = load * full / (1 + load * full)
    return full


def mm1_crashing_answered_share(
    arrival_rate_per_s: float, service_time_s: float, mean_up_s: float, mean_down_s: float
) -> float:
    """Give the share of customers that are served by a server whose crashes empty its queue.

    Times between crashes and of repairs are exponential, busy or not; who comes during a repair is
    turned away.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate; any, since crashes keep the queue finite.
    service_time_s
        Mean of the exponential service time.
    mean_up_s, mean_down_s
        Mean time to a crash, and to its repair.

    Returns
    -------
    float
        ``r μ/λ`` of the customers that find it up; ``rⁿ(1-r)`` is the chance of n there, with
        ``μ r² - (λ+μ+α) r + λ = 0``.

    References
    ----------
    Towsley and Tripathi, *A single server priority queue with server failures and queue
    flushing*, Operations Research Letters 10(6), 1991. The test of this function solves the chain
    itself.
    """
    rate, crash = 1 / service_time_s, 1 / mean_up_s
    total = arrival_rate_per_s + rate + crash
    root = (total - math.sqrt(total**2 - 4 * rate * arrival_rate_per_s)) / (2 * rate)
    return root * rate / arrival_rate_per_s * mean_up_s / (mean_up_s + mean_down_s)
