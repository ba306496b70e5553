"""The reference engine: the life of a request, told in SimPy.

A request is computed on the edge, serialised onto the uplink, propagates, is computed by a server
worker, and its answer takes the downlink back. Every stage is first come, first served with
unlimited waiting room. Propagation delays a request and occupies nothing. Ties in time are
resolved in the order in which events were scheduled. A calibration pass, where the scenario has
one, occupies its stage from time zero, before any request.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from flexrel_sim.simulation.draws import Draws
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import Trace

__all__ = ["simulate"]

_EDGE_STAMPS = ("edge_start_s", "edge_end_s")
_LINK_STAMPS = (
    "uplink_start_s",
    "uplink_end_s",
    "delivered_s",
    "server_start_s",
    "server_end_s",
    "downlink_start_s",
    "downlink_end_s",
)

Events = Generator[simpy.Event, Any, None]


class _Life:
    """Resources, service times and timestamps that all requests of one replication share."""

    def __init__(
        self, env: simpy.Environment, system: System, draws: Draws, payload_bytes: NDArray[np.int64]
    ) -> None:
        self.env = env
        self.system = system
        # Python floats: SimPy handles them twice as fast as NumPy scalars.
        self.created_s: list[float] = draws.created_s.tolist()
        self.edge_s: list[float] = (system.edge_s * draws.edge_factor).tolist()
        self.uplink_s: list[float] = (8 * payload_bytes / system.uplink_bit_per_s).tolist()
        self.server_s: list[float] = (system.server_s * draws.server_factor).tolist()
        self.downlink_s = 8 * system.answer_bytes / system.downlink_bit_per_s
        self.edge = simpy.Resource(env)
        self.uplink = simpy.Resource(env)
        self.server = simpy.Resource(env, system.workers)
        self.downlink = simpy.Resource(env)
        count = len(self.created_s)
        self.stamps = {
            name: [float("nan")] * count for name in (*_EDGE_STAMPS, *_LINK_STAMPS, "answered_s")
        }

    def request(self, index: int) -> Events:
        stamps, env, delay_s = self.stamps, self.env, self.system.delay_s
        # From time zero, and not from the arrival before: a difference added back may round, and
        # a request must not be served before it was created.
        yield env.timeout(self.created_s[index])
        yield from self.stage("edge", self.edge, index, self.edge_s[index])
        if self.system.crosses_link:
            yield from self.stage("uplink", self.uplink, index, self.uplink_s[index])
            yield env.timeout(delay_s)
            stamps["delivered_s"][index] = env.now
            yield from self.stage("server", self.server, index, self.server_s[index])
            yield from self.stage("downlink", self.downlink, index, self.downlink_s)
            yield env.timeout(delay_s)
        stamps["answered_s"][index] = env.now

    def calibration(self) -> Events:
        """Occupy the edge, or one server worker, before any request does."""
        resource = self.edge if self.system.calibration_where == "edge" else self.server
        with resource.request() as turn:
            yield turn
            yield self.env.timeout(self.system.calibration_s)

    def stage(
        self, name: str, resource: simpy.Resource, index: int, service_time_s: float
    ) -> Events:
        with resource.request() as turn:
            yield turn
            self.stamps[f"{name}_start_s"][index] = self.env.now
            yield self.env.timeout(service_time_s)
            self.stamps[f"{name}_end_s"][index] = self.env.now


def simulate(
    system: System,
    draws: Draws,
    payload_bytes: NDArray[np.int64],
    correct: NDArray[np.bool_],
) -> Trace:
    """Simulate one replication until every request is answered.

    Parameters
    ----------
    system
        Mean times of every stage.
    draws
        Arrivals, samples and service factors.
    payload_bytes, correct
        Payload and outcome of every test sample, shape ``(samples,)``.

    Returns
    -------
    Trace
        One record per request, in order of creation.
    """
    request_bytes = payload_bytes[draws.sample]
    if not system.crosses_link:
        request_bytes = np.zeros_like(request_bytes)
    env = simpy.Environment()
    life = _Life(env, system, draws, request_bytes)
    if system.calibration_s > 0:
        env.process(life.calibration())
    for index in range(draws.created_s.size):
        env.process(life.request(index))
    env.run()
    return Trace(
        created_s=draws.created_s,
        payload_bytes=request_bytes,
        sample=draws.sample,
        correct=correct[draws.sample],
        **{name: np.array(values) for name, values in life.stamps.items()},
    )
