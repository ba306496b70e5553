"""The system that requests go through, as mean times; scenario and profile in, seconds out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.hardware import Device, find_device, service_time_s
from flexrel_sim.profile import Layer, Profile
from flexrel_sim.scenario import SystemScenario

__all__ = ["Stage", "System", "build_system"]


@dataclass(frozen=True)
class Stage:
    """One place where requests queue.

    Parameters
    ----------
    name
        ``edge``, ``uplink``, ``server`` or ``downlink``.
    mean_service_time_s
        Mean time that one request occupies it.
    workers
        How many requests it serves at a time.
    setting
        Key of the scenario that makes it faster.
    """

    name: str
    mean_service_time_s: float
    workers: int
    setting: str

    def load(self, rate_per_s: float) -> float:
        """Give ρ, the share of its capacity that this many requests per second ask for."""
        return rate_per_s * self.mean_service_time_s / self.workers


@dataclass(frozen=True)
class System:
    """Edge, link and server of one operating point.

    Parameters
    ----------
    edge_s, server_s
        Mean service time of the head on the edge, and of the tail on a server worker.
    workers
        Workers of the server.
    uplink_bit_per_s, downlink_bit_per_s
        Rates of serialisation.
    delay_s
        Propagation delay of each direction.
    answer_bytes
        Bytes of one answer.
    crosses_link
        False where the edge computes everything, and a request ends there.
    edge_power_w
        Power of the edge while it computes.
    calibration_s
        Time that the calibration pass takes where it runs; 0 offline.
    calibration_energy_j
        Its energy there.
    calibration_where
        ``edge``, ``server`` or ``offline``.
    estimated
        Stages whose service time is a roofline estimate rather than the user's measurement.
    """

    edge_s: float
    server_s: float
    workers: int
    uplink_bit_per_s: float
    downlink_bit_per_s: float
    delay_s: float
    answer_bytes: int
    crosses_link: bool
    edge_power_w: float
    estimated: tuple[str, ...] = ()
    calibration_s: float = 0.0
    calibration_energy_j: float = 0.0
    calibration_where: str = "offline"

    def stages(self, mean_payload_bytes: float) -> tuple[Stage, ...]:
        """List the stages that a request passes, in order."""
        edge = Stage("edge", self.edge_s, 1, "edge.device")
        if not self.crosses_link:
            return (edge,)
        uplink_s = 8 * mean_payload_bytes / self.uplink_bit_per_s
        downlink_s = 8 * self.answer_bytes / self.downlink_bit_per_s
        return (
            edge,
            Stage("uplink", uplink_s, 1, "link.uplink"),
            Stage("server", self.server_s, self.workers, "server.workers"),
            Stage("downlink", downlink_s, 1, "link.downlink"),
        )


def build_system(scenario: SystemScenario, profile: Profile, folder: Path) -> System:
    """Put a profile on the scenario's devices and link.

    Parameters
    ----------
    scenario
        Devices, link and workload.
    profile
        The operating point.
    folder
        Where a relative path of a device file starts.

    Returns
    -------
    System
        Mean times of every stage; a half without layers takes no time.

    Raises
    ------
    LookupError
        If a device is unknown.
    ScenarioError
        If a device file is wrong.
    """
    edge_device = find_device(scenario.edge.device, folder)
    server_device = find_device(scenario.server.device, folder)
    where = scenario.calibration.where
    device = {"edge": edge_device, "server": server_device}.get(where)
    calibration_s = 0.0 if device is None else _calibration_s(device, profile)
    halves = {"edge": profile.head, "server": profile.tail}
    given = {"edge": scenario.edge.service_time, "server": scenario.server.service_time}
    return System(
        edge_s=_half_s(given["edge"], edge_device, profile.head),
        server_s=_half_s(given["server"], server_device, profile.tail),
        workers=scenario.server.workers,
        uplink_bit_per_s=scenario.link.uplink,
        downlink_bit_per_s=scenario.link.downlink,
        delay_s=scenario.link.delay,
        answer_bytes=profile.answer_bytes,
        crosses_link=profile.crosses_link,
        edge_power_w=edge_device.active_power_w,
        estimated=tuple(name for name, half in halves.items() if half and given[name] is None),
        calibration_s=calibration_s,
        calibration_energy_j=0.0 if device is None else device.active_power_w * calibration_s,
        calibration_where=where,
    )


def _calibration_s(device: Device, profile: Profile) -> float:
    """Estimate the calibration pass: its forward passes, in the dense network's size."""
    calibration = profile.calibration
    if profile.macs == 0 or calibration.macs == 0:
        return 0.0
    # The profile's layers are the pruned network's; the pass is made before anything is removed.
    forward_s = service_time_s(device, profile.layers) * calibration.dense_macs / profile.macs
    return calibration.samples * calibration.forward_passes * forward_s


def _half_s(given_s: float | None, device: Device, half: tuple[Layer, ...]) -> float:
    if not half:
        return 0.0
    return service_time_s(device, half) if given_s is None else given_s
