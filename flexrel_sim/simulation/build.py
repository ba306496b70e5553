"""Scenario and profile in, system out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexrel_sim.hardware import (
    Device,
    NetworkTraits,
    batch_time,
    decode_time_s,
    encode_time_s,
    find_device,
    find_radio,
    layer_times,
    roofline_batch_time,
    service_time_s,
)
from flexrel_sim.links.resolve import ResolvedLink
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.scenario.device_sections import BatchTimeSection
from flexrel_sim.scenario.schema import EdgeSection, ServerSection
from flexrel_sim.simulation.deliveries import Updates
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
        If a device or radio is unknown.
    ScenarioError
        If a device or radio file is wrong.
    """
    edge_device = find_device(scenario.edge.device, folder, profile, "head")
    server_device = find_device(scenario.server.device, folder, profile, "tail")
    where = scenario.calibration.where
    device = {"edge": edge_device, "server": server_device}.get(where)
    calibration_s = 0.0 if device is None else _calibration_s(device, profile)
    workload = scenario.workload
    labels: dict[str, str] = {}
    edge_s = _head_s(scenario.edge, edge_device, profile, labels)
    return System(
        edge_s=edge_s,
        uplink=link.uplink,
        downlink=link.downlink,
        pool=_pool(scenario, server_device, profile, calibration_s, labels),
        answer_bytes=profile.answer_bytes,
        crosses_link=profile.crosses_link,
        edge_power_w=edge_device.active_power_w,
        edge_idle_power_w=edge_device.idle_power_w,
        radio=find_radio(scenario.edge.radio, folder),
        battery_j=scenario.edge.battery,
        devices=scenario.edge.count,
        edge_buffer=-1 if scenario.edge.buffer is None else scenario.edge.buffer,
        medium=scenario.link.medium,
        deadline_s=float("inf") if workload.deadline is None else workload.deadline,
        drop_late=workload.late == "drop",
        labels=labels,
        calibration_s=calibration_s,
        calibration_energy_j=0.0 if device is None else device.active_power_w * calibration_s,
        calibration_where=where,
        other_load=_other_load(scenario),
        updates=(
            None
            if scenario.updates is None
            else Updates.of(scenario.updates, profile.head_weight_bytes, workload.duration)
        ),
    )


def _other_load(scenario: SystemScenario) -> float:
    """Give the share of the server that other tenants ask for and failures take away."""
    other, failures = scenario.server.background, scenario.server.failures
    share = 0.0
    if other is not None:
        share += other.rate * other.service_time / scenario.server.workers
    if failures is None:
        return share
    if failures.mean_up is not None and failures.mean_down is not None:
        return share + failures.mean_down / (failures.mean_up + failures.mean_down)
    until_s = scenario.workload.duration
    down_s = sum(max(0.0, min(end, until_s) - start) for start, end in failures.windows)
    return share + down_s / until_s


def _head_s(edge: EdgeSection, device: Device, profile: Profile, labels: dict[str, str]) -> float:
    """Give the time of head and encoder on the edge."""
    half_s = 0.0
    if profile.head:
        traits = NetworkTraits.of(profile, edge.precision)
        times = layer_times(device, profile.head, traits=traits)
        half_s = times.total_s if edge.service_time is None else edge.service_time
        labels["edge"] = times.label if edge.service_time is None else "given"
    if not profile.crosses_link:
        return half_s
    if edge.codec_time is not None:
        return half_s + edge.codec_time
    return half_s + encode_time_s(device, profile.codec)


def _pool(
    scenario: SystemScenario,
    device: Device,
    profile: Profile,
    calibration_s: float,
    labels: dict[str, str],
) -> Pool:
    server, batch = scenario.server, scenario.server.batch
    batch_s = _batch_s(server, device, profile, labels)
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
    server: ServerSection, device: Device, profile: Profile, labels: dict[str, str]
) -> tuple[float, ...]:
    """Give the times of decoder and tail for batches of every size, from none on."""
    sizes = np.arange(1, (1 if server.batch is None else server.batch.size) + 1)
    decode_s = server.codec_time
    if decode_s is None:
        decode_s = decode_time_s(device, profile.codec) if profile.crosses_link else 0.0
    tail_s = np.zeros(sizes.size)
    if profile.tail:
        traits = NetworkTraits.of(profile, server.precision)
        estimate = roofline_batch_time(device, profile.tail, traits)
        section = BatchTimeSection() if server.batch is None else server.batch.time
        times = batch_time(section, estimate, server.service_time)
        tail_s, labels["server"] = times.time_s(sizes), times.label
        if server.service_time is not None and section.model == "roofline":
            # Stretched to meet it, up to a rounding.
            tail_s[0] = server.service_time
    return (0.0, *(tail_s + decode_s * sizes).tolist())


def _calibration_s(device: Device, profile: Profile) -> float:
    """Estimate the calibration pass: its forward passes, in float32 and the dense network's size.

    Relevance needs gradients, which no inference in another format gives.
    """
    calibration = profile.calibration
    if profile.macs == 0 or calibration.macs == 0:
        return 0.0
    # The profile's layers are the pruned network's; the pass is made before anything is removed.
    forward_s = service_time_s(device, profile.layers) * calibration.dense_macs / profile.macs
    return calibration.samples * calibration.forward_passes * forward_s
