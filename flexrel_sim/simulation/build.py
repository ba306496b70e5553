"""Scenario and profile in, system out."""

from __future__ import annotations

from pathlib import Path

from flexrel_sim.hardware import Device, find_device, service_time_s
from flexrel_sim.links.resolve import ResolvedLink
from flexrel_sim.profile import Layer, Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.scenario.schema import BatchSection
from flexrel_sim.simulation.system import Pool, System

__all__ = ["build_system"]


def build_system(
    scenario: SystemScenario,
    profile: Profile,
    folder: Path,
    link: ResolvedLink,
) -> System:
    """Put a profile on the scenario's devices and link.

    Parameters
    ----------
    scenario
        Devices, link and workload.
    profile
        The operating point.
    folder
        Where a relative path of a device file starts.
    link
        Uplink and downlink, resolved.

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
    workload, other = scenario.workload, scenario.server.background
    return System(
        edge_s=_half_s(given["edge"], edge_device, profile.head),
        uplink=link.uplink,
        downlink=link.downlink,
        pool=_pool(scenario, server_device, profile, calibration_s),
        answer_bytes=profile.answer_bytes,
        crosses_link=profile.crosses_link,
        edge_power_w=edge_device.active_power_w,
        devices=scenario.edge.count,
        edge_buffer=-1 if scenario.edge.buffer is None else scenario.edge.buffer,
        medium=scenario.link.medium,
        deadline_s=float("inf") if workload.deadline is None else workload.deadline,
        drop_late=workload.late == "drop",
        estimated=tuple(name for name, half in halves.items() if half and given[name] is None),
        calibration_s=calibration_s,
        calibration_energy_j=0.0 if device is None else device.active_power_w * calibration_s,
        calibration_where=where,
        other_load=(
            0.0 if other is None else other.rate * other.service_time / scenario.server.workers
        ),
    )


def _pool(scenario: SystemScenario, device: Device, profile: Profile, calibration_s: float) -> Pool:
    server, batch = scenario.server, scenario.server.batch
    batch_s = _batch_s(batch, server.service_time, device, profile.tail)
    timeout_s = 0.0 if batch is None else batch.timeout
    if batch is not None and batch.answer_within is not None:
        timeout_s = max(0.0, batch.answer_within - batch_s[-1])
    return Pool(
        batch_s=batch_s,
        workers=server.workers,
        timeout_s=timeout_s,
        buffer=-1 if server.buffer is None else server.buffer,
        requeue=server.on_failure == "retry",
        held_s=calibration_s if scenario.calibration.where == "server" else 0.0,
    )


def _batch_s(
    batch: BatchSection | None, given_s: float | None, device: Device, tail: tuple[Layer, ...]
) -> tuple[float, ...]:
    """Give the times of batches of every size, from none on."""
    if batch is None or not tail:
        size = 1 if batch is None else batch.size
        return (0.0, *(_half_s(given_s, device, tail) for _ in range(size)))
    sizes = range(1, batch.size + 1)
    if batch.table:
        return (0.0, *batch.table)
    if batch.each is not None:
        return (0.0, *((batch.fixed or 0.0) + batch.each * size for size in sizes))
    return (0.0, *(service_time_s(device, tail, batch=size) for size in sizes))


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
