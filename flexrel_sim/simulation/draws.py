"""All randomness of a replication, drawn up front from named generators.

The engine then is a deterministic function of (system, draws), and two designs compared with the
same seed meet the same arrivals and the same samples (common random numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.scenario.schema import WorkloadSection

__all__ = ["Draws", "draw", "generator", "unit_factors"]

Service = Literal["deterministic", "exponential"]
"""Distributions of a service time around its mean."""

_STREAMS: Final = ("arrivals", "samples", "edge service", "server service")


@dataclass(frozen=True)
class Draws:
    """What chance decides about the requests of one replication, each of shape ``(requests,)``.

    Parameters
    ----------
    created_s
        When each request is created, ascending.
    sample
        Index of the test sample that it carries.
    edge_factor, server_factor
        Its service times as multiples of their means.
    """

    created_s: NDArray[np.float64]
    sample: NDArray[np.int64]
    edge_factor: NDArray[np.float64]
    server_factor: NDArray[np.float64]


def generator(seed: int, replication: int, stream: str) -> np.random.Generator:
    """Make the generator of a named stream, independent of all others.

    Parameters
    ----------
    seed
        Seed of the study.
    replication
        Index of the replication.
    stream
        One of the streams' names.

    Returns
    -------
    numpy.random.Generator
        A child of the seed, as `numpy.random.SeedSequence.spawn` would give.
    """
    key = (replication, _STREAMS.index(stream))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw(
    workload: WorkloadSection,
    samples: int,
    services: tuple[Service, Service],
    seed: int,
    replication: int,
) -> Draws:
    """Draw one replication.

    Parameters
    ----------
    workload
        When requests arrive.
    samples
        How many test samples the profile has.
    services
        Distributions of the edge's and the server's service times.
    seed
        Seed of the study.
    replication
        Index of the replication.

    Returns
    -------
    Draws
        The draws; the same arguments always give the same.
    """
    created_s = _arrivals_s(workload, generator(seed, replication, "arrivals"))
    count = created_s.size
    return Draws(
        created_s=created_s,
        sample=generator(seed, replication, "samples").integers(samples, size=count),
        edge_factor=unit_factors(services[0], count, generator(seed, replication, "edge service")),
        server_factor=unit_factors(
            services[1], count, generator(seed, replication, "server service")
        ),
    )


def unit_factors(
    service: Service,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw multiples, of mean 1, of a mean service time."""
    return rng.exponential(size=count) if service == "exponential" else np.ones(count)


def _arrivals_s(workload: WorkloadSection, rng: np.random.Generator) -> NDArray[np.float64]:
    if workload.arrivals == "periodic":
        # Multiples of the period, not a running sum, so that no rounding error builds up.
        count = int(np.ceil(workload.duration * workload.rate)) + 1
        arrivals_s = np.arange(count) / workload.rate
        return arrivals_s[arrivals_s < workload.duration]
    # Unit gaps scaled by the rate: two rates see the same pattern, faster or slower.
    horizon = workload.duration * workload.rate
    gaps = rng.exponential(size=int(horizon + 6 * np.sqrt(horizon)) + 10)
    while gaps.sum() < horizon:
        gaps = np.append(gaps, rng.exponential(size=gaps.size))
    arrivals: NDArray[np.float64] = np.cumsum(gaps)
    return arrivals[arrivals < horizon] / workload.rate
