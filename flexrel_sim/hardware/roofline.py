"""Service times by roofline: a layer takes what its arithmetic or its memory traffic takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flexrel_sim.hardware.devices import Device
from flexrel_sim.profile import Layer

__all__ = ["FUSED_KINDS", "layer_time_s", "service_time_s"]

FUSED_KINDS: Final = frozenset({"relu", "relu6", "batchnorm2d", "identity", "dropout", "flatten"})
"""Layers that cost nothing: inference runtimes fuse them with the layer before, or only view."""


def service_time_s(device: Device, layers: Iterable[Layer]) -> float:
    """Estimate the time one request takes on a device.

    Parameters
    ----------
    device
        Where it runs.
    layers
        What runs; nothing takes no time.

    Returns
    -------
    float
        Sum of the layers' times, in seconds.
    """
    return sum(layer_time_s(device, layer) for layer in layers)


def layer_time_s(device: Device, layer: Layer) -> float:
    """Estimate one layer: ``max(FLOPs / rate, bytes / bandwidth) + overhead``.

    Parameters
    ----------
    device
        Where it runs. Zeros in the weights speed it up only if it has sparse kernels, and the
        layer's density is low enough for them.
    layer
        What runs; one MAC is two FLOPs, and weights and activations are float32.

    Returns
    -------
    float
        Seconds.

    References
    ----------
    Williams, Waterman, Patterson, *Roofline*, CACM 52(4), 2009, section 3.
    """
    if layer.kind in FUSED_KINDS:
        return 0.0
    compute_s = 2 * layer.macs / (device.efficiency * device.compute_flop_per_s)
    sparse = device.sparse_kernels
    if sparse is not None and layer.density <= sparse.max_density:
        compute_s *= min(1.0, layer.density / sparse.efficiency)
    traffic_bytes = layer.weight_bytes + layer.input_bytes + layer.output_bytes
    memory_s = traffic_bytes / device.memory_bandwidth_byte_per_s
    return max(compute_s, memory_s) + device.overhead_per_layer_s
