"""All randomness of a replication, drawn up front from named generators.

Engines then are deterministic functions of (system, draws), and two designs compared with the
same seed meet the same arrivals and the same samples (common random numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links import Transfers
from flexrel_sim.links.outages import renewal_windows_s
from flexrel_sim.scenario.schema import (
    BackgroundSection,
    FailureSection,
    SystemScenario,
    WorkloadSection,
)
from flexrel_sim.simulation.deliveries import Deliveries, deliveries
from flexrel_sim.simulation.loop import Loop, closed_arrivals
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.workload import Arrivals, arrivals

__all__ = ["Background", "Draws", "Windows", "disturbed", "draw", "unit_factors"]

Service = Literal["deterministic", "exponential"]
"""Distributions of a service time around its mean."""


class Windows(NamedTuple):
    """When each of several devices or workers is down.

    Parameters
    ----------
    first
        Device ``d`` has windows ``first[d]`` to ``first[d + 1]``; shape ``(devices + 1,)``.
    down_s, up_s
        Start and end of each window, ascending and apart for each device.
    """

    first: NDArray[np.int64]
    down_s: NDArray[np.float64]
    up_s: NDArray[np.float64]

    @property
    def any(self) -> bool:
        """Whether there is a window at all."""
        return bool(self.down_s.size)

    def of(self, device: int) -> list[tuple[float, float]]:
        """Give the windows of one device."""
        part = slice(self.first[device], self.first[device + 1])
        return list(zip(self.down_s[part].tolist(), self.up_s[part].tolist(), strict=True))


def no_windows(devices: int) -> Windows:
    """Give windows of devices that are never down."""
    return Windows(np.zeros(devices + 1, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Background:
    """Other tenants' jobs on the server, each of shape ``(jobs,)``.

    Parameters
    ----------
    arrival_s
        When each comes, ascending.
    service_s
        Its service time.
    tier
        Priority of all of them.
    """

    arrival_s: NDArray[np.float64]
    service_s: NDArray[np.float64]
    tier: int


@dataclass(frozen=True)
class Draws:
    """What chance decides in one replication; arrays are of shape ``(requests,)``.

    Parameters
    ----------
    created_s
        When each request is created, ascending.
    sample
        Index of the test sample that it carries.
    edge_factor, server_factor
        Its service times as multiples of their means.
    device
        Which edge device creates it; device 0 where absent.
    tier
        Its priority at the server; 0 goes first, and is everybody's where absent.
    uplink, downlink
        What the link does to it; nothing beyond its own bytes where absent.
    background
        Other tenants' jobs.
    edge_down, server_down
        When devices and workers are down; never where absent.
    loop
        Which request waits for which, where the workload is closed; `created_s` then is the
        earliest time at which each could be created.
    deliveries
        What the downlink does to weights; none where absent.
    """

    created_s: NDArray[np.float64]
    sample: NDArray[np.int64]
    edge_factor: NDArray[np.float64]
    server_factor: NDArray[np.float64]
    device: NDArray[np.int32] | None = None
    tier: NDArray[np.int64] | None = None
    uplink: Transfers | None = None
    downlink: Transfers | None = None
    background: Background | None = None
    edge_down: Windows | None = field(default=None)
    server_down: Windows | None = field(default=None)
    loop: Loop | None = None
    deliveries: Deliveries | None = None


def draw(  # noqa: PLR0913, PLR0917 - all that chance hangs on
    workload: WorkloadSection,
    samples: int,
    services: tuple[Service, Service],
    seed: int,
    replication: int,
    devices: int = 1,
    folder: Path = Path(),
) -> Draws:
    """Draw the requests of one replication.

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
    devices
        How many edge devices create requests.
    folder
        Where a relative path of a replay file starts.

    Returns
    -------
    Draws
        The draws; the same arguments always give the same.

    Raises
    ------
    ScenarioError
        If a replay file is wrong.
    """
    streams = Streams(seed, replication)
    if workload.arrivals == "closed":
        came, loop = closed_arrivals(workload, devices, streams)
        return replace(requests_of(came, workload, samples, services, streams), loop=loop)
    came = arrivals(workload, devices, streams, folder)
    return requests_of(came, workload, samples, services, streams)


def requests_of(
    came: Arrivals,
    workload: WorkloadSection,
    samples: int,
    services: tuple[Service, Service],
    streams: Streams,
) -> Draws:
    """Draw what requests carry; requests that come in parts draw the same as all at once."""
    count = came.created_s.size
    sample = came.sample
    if sample is None:
        sample = streams["samples"].integers(samples, size=count)
    tier = None
    if workload.urgent_share > 0:
        tier = (streams["tiers"].random(count) >= workload.urgent_share).astype(np.int64)
    return Draws(
        created_s=came.created_s,
        sample=sample % samples,
        edge_factor=unit_factors(services[0], count, streams["edge service"]),
        server_factor=unit_factors(services[1], count, streams["server service"]),
        device=came.device,
        tier=tier,
    )


def disturbed(draws: Draws, scenario: SystemScenario, seed: int, replication: int) -> Draws:
    """Add failures and other tenants to a replication's requests.

    Parameters
    ----------
    draws
        The requests.
    scenario
        Who fails, and who else uses the server, until the workload ends.
    seed, replication
        As in `draw`.

    Returns
    -------
    Draws
        The same requests among them.
    """
    streams = Streams(seed, replication)
    until_s = scenario.workload.duration
    edge, server = scenario.edge, scenario.server
    return replace(
        draws,
        background=_background(server.background, until_s, streams),
        edge_down=_windows(edge.failures, edge.count, until_s, streams["edge failures"]),
        server_down=_windows(server.failures, server.workers, until_s, streams["server failures"]),
    )


class ChannelState(dict[str, NDArray[np.int64]]):
    """State of each direction's loss process, carried from one part of a run to the next."""


def transferred(
    draws: Draws,
    system: System,
    payload_bytes: NDArray[np.int64],
    streams: Streams,
    channel: ChannelState,
) -> Draws:
    """Draw what the link does to every request: headers, retransmissions, losses and jitter.

    Parameters
    ----------
    draws
        The requests.
    system
        Whose link it is.
    payload_bytes
        Payload of every test sample, shape ``(samples,)``.
    streams
        Generators by name.
    channel
        State of the loss processes; changed.

    Returns
    -------
    Draws
        The same requests with their transfers.
    """
    if system.updates is not None:
        sent_weights = deliveries(system.updates, system.devices, system.downlink, streams)
        draws = replace(draws, deliveries=sent_weights)
    if not system.crosses_link:
        return draws
    # Here, not at the top: numba is a third of a second that `--help` need not wait for.
    from flexrel_sim.links.transfers import new_channel, transfers  # noqa: PLC0415

    sent = {}
    for name, sizes in (
        ("uplink", payload_bytes[draws.sample]),
        ("downlink", np.full(draws.sample.size, system.answer_bytes)),
    ):
        state = channel.setdefault(name, new_channel())
        sent[name] = transfers(getattr(system, name), sizes, streams[name], state)
    return replace(draws, uplink=sent["uplink"], downlink=sent["downlink"])


def unit_factors(
    service: Service,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw multiples, of mean 1, of a mean service time."""
    return rng.exponential(size=count) if service == "exponential" else np.ones(count)


def _background(
    section: BackgroundSection | None, until_s: float, streams: Streams
) -> Background | None:
    if section is None:
        return None
    workload = WorkloadSection.model_construct(
        arrivals="poisson", rate=section.rate, duration=until_s
    )
    own = Streams(streams.seed, streams.replication)
    own["arrivals"] = streams["background"]
    arrival_s = arrivals(workload, 1, own, Path()).created_s
    factors = unit_factors(section.service, arrival_s.size, streams["background service"])
    return Background(arrival_s, section.service_time * factors, section.tier)


def _windows(
    section: FailureSection | None, count: int, until_s: float, rng: np.random.Generator
) -> Windows | None:
    if section is None:
        return None
    if section.mean_up is None or section.mean_down is None:
        ends = np.array(section.windows, dtype=np.float64).reshape(-1, 2)
        return _joined([ends] * count)
    means_s = (section.mean_up, section.mean_down)
    return _joined([renewal_windows_s(means_s, until_s, rng) for _ in range(count)])


def _joined(windows: Sequence[NDArray[np.float64]]) -> Windows:
    first = np.concatenate([[0], np.cumsum([len(own) for own in windows])]).astype(np.int64)
    together = np.concatenate(windows) if windows else np.empty((0, 2))
    return Windows(
        first, np.ascontiguousarray(together[:, 0]), np.ascontiguousarray(together[:, 1])
    )
