"""Closed workloads: requests that wait for the one before them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.scenario.schema import WorkloadSection
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.workload import Arrivals

__all__ = ["Loop", "closed_arrivals", "closed_rate_per_s"]

_DRAWN_AT_ONCE: Final = 1 << 18


class Loop(NamedTuple):
    """Who waits for what; arrays of shape ``(requests,)``.

    Parameters
    ----------
    think_s
        Time from the end of the request before it, or from time zero, to a request's creation.
    follows
        Index of the same client's request before it; -1 for its first.
    until_s
        No request is created at this time or later.
    """

    think_s: NDArray[np.float64]
    follows: NDArray[np.int64]
    until_s: float


def closed_arrivals(
    workload: WorkloadSection, devices: int, streams: Streams
) -> tuple[Arrivals, Loop]:
    """Draw all requests that closed clients could come to.

    A client can't create more requests than it would if every answer came at once: those are drawn,
    with their think times, and in that order. How many of them are created, and when, is what the
    simulation finds.

    Parameters
    ----------
    workload
        ``closed``, with clients and a mean think time above zero.
    devices
        How many edge devices have so many clients.
    streams
        Generators by name.

    Returns
    -------
    arrivals
        The requests, each at the earliest time at which it could be created.
    loop
        Their think times and order.
    """
    clients = devices * (workload.clients or 0)
    rounds = max(1, _DRAWN_AT_ONCE // clients)
    earliest, thought = [np.zeros((1, clients))], []
    while bool((earliest[-1][-1] < workload.duration).any()):
        # Round after round of all clients: how many rounds are drawn at once does not show.
        think_s = streams["think"].exponential(workload.think_time or 0.0, size=(rounds, clients))
        thought.append(think_s)
        earliest.append(np.cumsum(np.vstack([earliest[-1][-1:], think_s]), axis=0)[1:])
    earliest_s, think_s = np.concatenate(earliest[1:]), np.concatenate(thought)
    step, client = np.nonzero(earliest_s < workload.duration)
    order = np.argsort(earliest_s[step, client], kind="stable")
    step, client = step[order], client[order]
    place = np.full((earliest_s.shape[0] + 1, clients), -1, np.int64)
    place[step + 1, client] = np.arange(step.size)
    device = (client // (workload.clients or 1)).astype(np.int32)
    loop = Loop(think_s[step, client], place[step, client], workload.duration)
    return Arrivals(earliest_s[step, client], device), loop


def closed_rate_per_s(workload: WorkloadSection, system: System, payload_bytes: float) -> float:
    """Bound the rate at which closed clients can be answered.

    Parameters
    ----------
    workload
        ``closed``.
    system
        Where they ask.
    payload_bytes
        Mean payload of a request.

    Returns
    -------
    float
        Requests per second and device: at most what the slowest stage does, and at most what
        clients that never wait would ask.

    References
    ----------
    Lazowska et al., *Quantitative System Performance*, 1984, sec. 5.2: asymptotic bounds.
    """
    stages = {stage.name: stage for stage in system.stages(payload_bytes)}
    # What passes through a device's connection is on the wire as well: it adds what it holds up.
    alone_s = sum(stage.mean_service_time_s for stage in stages.values() if not stage.is_connection)
    if system.medium == "half-duplex" and system.crosses_link:
        # Both directions' stages hold the time of both.
        alone_s -= stages["uplink"].mean_service_time_s
    if system.crosses_link:
        alone_s += system.uplink.delay_s + system.downlink.delay_s
        alone_s += system.uplink.pacing_s(payload_bytes)
        alone_s += system.downlink.pacing_s(system.answer_bytes)
    bounds = [(workload.clients or 0) / (alone_s + (workload.think_time or 0.0))]
    bounds += [
        max(0.0, 1 - stage.other_load) * stage.workers / (stage.users * stage.mean_service_time_s)
        for stage in stages.values()
        if stage.mean_service_time_s > 0
    ]
    return min(bounds)
