"""The system that requests go through, as numbers: what both engines are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flexrel_sim.hardware import Radio, list_radios
from flexrel_sim.links import Buffer, Direction
from flexrel_sim.simulation.deliveries import Updates

__all__ = ["Pool", "Stage", "System"]


@dataclass(frozen=True)
class Stage:
    """One place where requests queue.

    Parameters
    ----------
    name
        ``edge``, ``uplink``, ``server`` or ``downlink``; where TCP has a ceiling, also ``uplink
        connection``, ``downlink connection`` and ``weights connection``, each one device's.
    mean_service_time_s
        Mean time that one request occupies it, at its greatest throughput.
    workers
        How many requests it serves at a time.
    setting
        Key of the scenario that makes it faster.
    users
        How many times the workload's rate per device comes here: the devices of a shared stage.
    bounded
        Whether its waiting room is finite, so that overload drops requests and no wait grows.
    other_load
        What other tenants ask of it and failures take away, as a share of its capacity.
    is_connection
        Whether it is a device's connection, which a request passes while it is on the wire.
    """

    name: str
    mean_service_time_s: float
    workers: int
    setting: str
    users: int = 1
    bounded: bool = False
    other_load: float = 0.0
    is_connection: bool = False

    def load(self, rate_per_s: float) -> float:
        """Give ρ, the share of its capacity that this many requests per second and device ask."""
        own = rate_per_s * self.users * self.mean_service_time_s / self.workers
        return own + self.other_load


@dataclass(frozen=True)
class Pool:
    """The server's workers and their rules.

    Parameters
    ----------
    batch_s
        Mean time of a batch by its size; the first entry, of no request, is 0.
    workers
        How many there are.
    timeout_s
        A batch that is not full starts once its oldest request waited this long.
    buffer
        How many may wait while no worker is idle; -1 for any number.
    requeue
        Whether the batch of a failing worker is served again; dropped otherwise.
    held_s
        Worker 0 is busy with the calibration pass until then.
    """

    batch_s: tuple[float, ...]
    workers: int = 1
    timeout_s: float = 0.0
    buffer: int = -1
    requeue: bool = True
    held_s: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether requests are served one by one, with unlimited waiting room."""
        return len(self.batch_s) == 2 and self.buffer < 0 and self.held_s == 0


@dataclass(frozen=True)
class System:
    """Edge devices, link and server of one operating point.

    Parameters
    ----------
    edge_s
        Mean service time of the head on an edge device.
    uplink, downlink
        The link's directions; all devices share their wire, and each has connections of its own.
    pool
        The server.
    answer_bytes
        Bytes of one answer.
    crosses_link
        False where the edge computes everything, and a request ends there.
    edge_power_w, edge_idle_power_w
        Power of an edge device while it computes, and while it waits; None where nobody says.
    radio
        Of every edge device.
    battery_j
        What each holds; None without a battery.
    devices
        How many edge devices there are.
    edge_buffer
        How many requests may wait on one device; -1 for any number.
    medium
        ``full-duplex``: two directions that know nothing of each other; ``half-duplex``: one
        message at a time, whatever its direction; ``shared``: all messages of a direction at
        once, in equal parts of its rate.
    deadline_s
        An answer later than this after creation is late.
    drop_late
        Whether the server discards requests whose deadline is past instead of starting them.
    labels
        Where the service times of edge and server are from: ``given``, ``profiled`` or
        ``estimated``; absent where nothing is computed.
    calibration_s
        Time that the calibration pass takes where it runs; 0 offline.
    calibration_energy_j
        Its energy there.
    calibration_where
        ``edge``, ``server`` or ``offline``.
    other_load
        Share of the server's capacity that other tenants ask for and failures take away.
    updates
        Weights that are sent to the edge during the run.
    """

    edge_s: float
    uplink: Direction
    downlink: Direction
    pool: Pool
    answer_bytes: int
    crosses_link: bool
    edge_power_w: float
    edge_idle_power_w: float | None = None
    radio: Radio = field(default_factory=lambda: list_radios()["none"])
    battery_j: float | None = None
    devices: int = 1
    edge_buffer: int = -1
    medium: Literal["full-duplex", "half-duplex", "shared"] = "full-duplex"
    deadline_s: float = float("inf")
    drop_late: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    calibration_s: float = 0.0
    calibration_energy_j: float = 0.0
    calibration_where: str = "offline"
    other_load: float = 0.0
    updates: Updates | None = None

    @property
    def workers(self) -> int:
        """Workers of the server."""
        return self.pool.workers

    @property
    def server_s(self) -> float:
        """Mean service time of one request alone on a server worker."""
        return self.pool.batch_s[1]

    def stages(self, payload_bytes: float) -> tuple[Stage, ...]:
        """List the stages that a request passes, in order.

        Parameters
        ----------
        payload_bytes
            Mean payload of a request.

        Returns
        -------
        tuple of Stage
            Their mean service times; a batching server's is a full batch's, per request.
        """
        swaps = 0.0 if self.updates is None else self.updates.rate_per_s * self.updates.swap_s
        bounded = self.edge_buffer >= 0
        edge = Stage("edge", self.edge_s, 1, "edge.device", bounded=bounded, other_load=swaps)
        if not self.crosses_link:
            # Weights are all that comes over the link then.
            if self.updates is None:
                return (edge,)
            return (edge, _line_stage("downlink", 0.0, self), *_weights_stage(self))
        up_s = self.uplink.mean_transmission_s(payload_bytes)
        down_s = self.downlink.mean_transmission_s(self.answer_bytes)
        if self.medium == "half-duplex":
            up_s = down_s = up_s + down_s
        largest = len(self.pool.batch_s) - 1
        return (
            edge,
            _line_stage("uplink", up_s, self),
            *_connection_stage(self.uplink, payload_bytes),
            Stage(
                "server",
                self.pool.batch_s[-1] / largest,
                self.pool.workers,
                "server.workers",
                self.devices,
                bounded=self.pool.buffer >= 0,
                other_load=self.other_load,
            ),
            _line_stage("downlink", down_s, self),
            *_connection_stage(self.downlink, self.answer_bytes),
            *_weights_stage(self),
        )


def _connection_stage(line: Direction, payload_bytes: float) -> tuple[Stage, ...]:
    """Give the connection of one device, which no other device uses; none without a ceiling."""
    if line.connection is None:
        return ()
    seconds, setting = line.mean_connection_s(payload_bytes), f"link.{line.name}.loss"
    return (Stage(f"{line.name} connection", seconds, 1, setting, is_connection=True),)


def _weights_stage(system: System) -> tuple[Stage, ...]:
    """Give the connection over which one device, or a broadcast, gets its weights."""
    updates, line = system.updates, system.downlink
    if updates is None or line.connection is None:
        return ()
    load, setting = updates.rate_per_s * line.mean_connection_s(updates.size_bytes), "updates"
    return (Stage("weights connection", 0.0, 1, setting, other_load=load, is_connection=True),)


def _line_stage(name: Literal["uplink", "downlink"], seconds: float, system: System) -> Stage:
    direction: Direction = getattr(system, name)
    bounded = direction.buffer != Buffer()
    updates, weights_load = system.updates, 0.0
    if updates is not None and (name == "downlink" or system.medium == "half-duplex"):
        copies = 1 if updates.broadcast else system.devices
        each_s = system.downlink.mean_transmission_s(updates.size_bytes)
        weights_load = updates.rate_per_s * copies * each_s
    return Stage(name, seconds, 1, f"link.{name}", system.devices, bounded, weights_load)
