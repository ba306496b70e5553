"""Waits of queues where everybody is served: Erlang, Pollaczek and Khinchine, Cobham."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from flexrel_sim.theory.loads import stable_load
from flexrel_sim.theory.losses import erlang_b

__all__ = [
    "erlang_c",
    "md1_mean_wait_s",
    "mg1_mean_wait_s",
    "mg1_priority_mean_waits_s",
    "mm1_mean_wait_s",
    "mm1_mean_wait_standard_error_s",
    "mm1_relaxation_time_s",
    "mm1_sojourn_quantile_s",
    "mmc_mean_wait_s",
    "sharing_mean_sojourn_s",
]


def mm1_mean_wait_s(arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give the mean wait in an M/M/1 queue: ``ρ·s / (1-ρ)`` (Kleinrock sec. 3.2)."""
    load = stable_load(arrival_rate_per_s, service_time_s, 1)
    return load * service_time_s / (1 - load)


def mm1_sojourn_quantile_s(share: float, arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give a quantile of the M/M/1 sojourn time, which is exponential (Kleinrock ch. 5)."""
    load = stable_load(arrival_rate_per_s, service_time_s, 1)
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
    load = stable_load(arrival_rate_per_s, service_time_s, 1)
    spread = load * (2 + 5 * load - 4 * load**2 + load**3) / ((1 - load) ** 4 * customers)
    return service_time_s * math.sqrt(spread)


def mm1_relaxation_time_s(arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give the relaxation time of an M/M/1 queue: what is left of its start decays by it.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate.
    service_time_s
        Mean service time.

    Returns
    -------
    float
        ``s / (1-√ρ)²``.

    References
    ----------
    Cohen, *The Single Server Queue*, 2nd ed., 1982, section II.2.1; Abate and Whitt, *Transient
    behavior of the M/M/1 queue: starting at the origin*, Queueing Systems 2, 1987.
    """
    load = stable_load(arrival_rate_per_s, service_time_s, 1)
    return service_time_s / (1 - math.sqrt(load)) ** 2


def md1_mean_wait_s(arrival_rate_per_s: float, service_time_s: float) -> float:
    """Give the mean wait in an M/D/1 queue: half of M/M/1's (Kleinrock ch. 5)."""
    return mm1_mean_wait_s(arrival_rate_per_s, service_time_s) / 2


def mmc_mean_wait_s(arrival_rate_per_s: float, service_time_s: float, workers: int) -> float:
    """Give the mean wait in an M/M/c queue: ``C · s / (c - ρc)`` (Kleinrock sec. 3.5)."""
    load = stable_load(arrival_rate_per_s, service_time_s, workers)
    return erlang_c(workers, load * workers) * service_time_s / (workers * (1 - load))


def mg1_mean_wait_s(classes: Sequence[tuple[float, float, float]]) -> float:
    """Give the mean wait where several Poisson streams share one queue.

    Parameters
    ----------
    classes
        Arrival rate, mean and second moment (in s²) of the service time of each stream.

    Returns
    -------
    float
        ``λ E[S²] / 2(1-ρ)``, the same for all streams (Pollaczek and Khinchine).

    References
    ----------
    Kleinrock, section 5.6.
    """
    load = sum(stable_load(rate, mean_s, 1) for rate, mean_s, _ in classes)
    return _residual_s(classes) / (1 - stable_load(load, 1.0, 1))


def mg1_priority_mean_waits_s(
    classes: Sequence[tuple[float, float, float]], workers: int = 1
) -> list[float]:
    """Give the mean waits by class where the most urgent goes first and none is interrupted.

    Parameters
    ----------
    classes
        Arrival rate, mean and second moment (in s²) of the service time, most urgent first.
    workers
        With more than one, service times must be exponential with one mean.

    Returns
    -------
    list of float
        ``W₀ / ((1-σₖ₋₁)(1-σₖ))``; σ are the loads down to a class, and W₀ is the mean time to the
        first end of a service where all workers are busy, and 0 where one is not.

    References
    ----------
    Cobham, *Priority assignment in waiting line problems*, Operations Research 2(1), 1954;
    Kleinrock, vol. 2, section 3.6.
    """
    loads = [rate * mean_s / workers for rate, mean_s, _ in classes]
    stable_load(sum(loads), 1.0, 1)
    residual_s = _residual_s(classes)
    if workers > 1:
        offered = sum(loads) * workers
        residual_s = erlang_c(workers, offered) * classes[0][1] / workers
    below = [0.0]
    for load in loads:
        below.append(below[-1] + load)
    return [residual_s / ((1 - less) * (1 - more)) for less, more in pairwise(below)]


def sharing_mean_sojourn_s(
    arrival_rate_per_s: float, mean_service_s: float, service_s: float
) -> float:
    """Give the mean sojourn time of a customer of known size in an M/G/1 processor-sharing queue.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate.
    mean_service_s
        Mean time that a customer would take alone.
    service_s
        Time that this one would take alone.

    Returns
    -------
    float
        ``x / (1-ρ)``, whatever the distribution.

    References
    ----------
    Kleinrock, vol. 2, section 4.4, equation 4.17; Sakata, Noguchi and Oizumi, *An analysis of the
    M/G/1 queue under round-robin scheduling*, Operations Research 19(2), 1971.
    """
    return service_s / (1 - stable_load(arrival_rate_per_s, mean_service_s, 1))


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
    blocking = erlang_b(workers, offered_load)
    load = offered_load / workers
    return blocking / (1 - load + load * blocking)


def _residual_s(classes: Sequence[tuple[float, float, float]]) -> float:
    """Give what is left on average of the service that an arrival finds, and 0 if it finds none."""
    return sum(rate * square for rate, _, square in classes) / 2
