"""Closed forms of queueing theory that the simulator is checked against.

Rates are per second, times in seconds; every queue is first come, first served and stable.

References
----------
Kleinrock, *Queueing Systems*, vol. 1, 1975.
"""

from __future__ import annotations

import math

__all__ = [
    "erlang_c",
    "md1_mean_wait_s",
    "mm1_mean_wait_s",
    "mm1_mean_wait_standard_error_s",
    "mm1_sojourn_quantile_s",
    "mmc_mean_wait_s",
]


def mm1_mean_wait_s(arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give the mean wait in an M/M/1 queue: ``ρ·s / (1-ρ)`` (Kleinrock sec. 3.2)."""
    load = _stable_load(arrival_rate_per_s, service_time_s, 1)
    return load * service_time_s / (1 - load)


def mm1_sojourn_quantile_s(share: float, arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give a quantile of the M/M/1 sojourn time, which is exponential (Kleinrock ch. 5)."""
    load = _stable_load(arrival_rate_per_s, service_time_s, 1)
    return -math.log(1 - share) * service_time_s / (1 - load)


def mm1_mean_wait_standard_error_s(
    arrival_rate_per_s: float, service_time_s: float, customers: int
) -> float:
    """Give the standard error of the mean M/M/1 wait over consecutive customers.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate.
    service_time_s
        Mean service time.
    customers
        How many consecutive waits are averaged.

    Returns
    -------
    float
        ``s · √[ρ(2+5ρ-4ρ²+ρ³) / ((1-ρ)⁴ n)]``, which counts the waits' correlation.

    References
    ----------
    Whitt, *Planning queueing simulations*, Management Science 35(11), 1989;
    Daley, *The serial correlation coefficients of waiting times in a stationary single server
    queue*, J. Australian Math. Soc. 8, 1968.
    """
    load = _stable_load(arrival_rate_per_s, service_time_s, 1)
    spread = load * (2 + 5 * load - 4 * load**2 + load**3) / ((1 - load) ** 4 * customers)
    return service_time_s * math.sqrt(spread)


def md1_mean_wait_s(arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give the mean wait in an M/D/1 queue: half of M/M/1's (Kleinrock ch. 5)."""
    return mm1_mean_wait_s(arrival_rate_per_s, service_time_s) / 2


def mmc_mean_wait_s(arrival_rate_per_s: float, service_time_s: float, workers: int) -> float:
    """Give the mean wait in an M/M/c queue: ``C · s / (c - ρc)`` (Kleinrock sec. 3.5)."""
    load = _stable_load(arrival_rate_per_s, service_time_s, workers)
    return erlang_c(workers, load * workers) * service_time_s / (workers * (1 - load))


def erlang_c(workers: int, offered_load: float) -> float:
    """Give the probability that a customer of an M/M/c queue waits.

    Parameters
    ----------
    workers
        Number of servers.
    offered_load
        Arrival rate times mean service time, in erlang; below ``workers``.

    Returns
    -------
    float
        Erlang's C, by the stable recursion of his B.

    References
    ----------
    Kleinrock, section 3.5.
    """
    blocking = 1.0
    for busy in range(1, workers + 1):
        blocking = offered_load * blocking / (busy + offered_load * blocking)
    load = offered_load / workers
    return blocking / (1 - load + load * blocking)


def _stable_load(arrival_rate_per_s: float, service_time_s: float, workers: int) -> float:
    load = arrival_rate_per_s * service_time_s / workers
    if not 0 <= load < 1:
        raise ValueError(f"a stable queue needs 0 <= rho < 1, got rho = {load:.4g}")
    return load
