"""What all closed forms ask of a queue."""

from __future__ import annotations

__all__ = ["stable_load"]


def stable_load(arrival_rate_per_s: float, service_time_s: float, workers: int) -> float:
    """Give ρ.

    Parameters
    ----------
    arrival_rate_per_s
        Arrival rate.
    service_time_s
        Mean service time.
    workers
        Number of servers.

    Returns
    -------
    float
        ``λ s / c``.

    Raises
    ------
    ValueError
        If it is not at least 0 and below 1.
    """
    load = arrival_rate_per_s * service_time_s / workers
    if not 0 <= load < 1:
        raise ValueError(f"a stable queue needs 0 <= rho < 1, got rho = {load:.4g}")
    return load
