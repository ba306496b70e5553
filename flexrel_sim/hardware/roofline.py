"""Service times: a layer takes what was measured, or what a roofline estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from flexrel_sim.hardware.devices import Device
from flexrel_sim.hardware.profiled import FUSED_KINDS
from flexrel_sim.hardware.sparsity import obeys
from flexrel_sim.hardware.traits import NUMBER_BYTES, NetworkTraits
from flexrel_sim.profile import Layer

__all__ = [
    "LayerTerms",
    "LayerTimes",
    "layer_terms",
    "layer_time_s",
    "layer_times",
    "service_time_s",
]

Label = Literal["profiled", "estimated"]

_DENSE_FLOAT32: Final = NetworkTraits()


@dataclass(frozen=True)
class LayerTerms:
    """The roofline of one layer, taken apart.

    Parameters
    ----------
    compute_s
        Arithmetic of one request.
    weights_s
        Reading the weights, once per batch.
    activations_s
        Reading and writing one request's activations.
    overhead_s
        Starting the layer, once per batch.
    """

    compute_s: float
    weights_s: float
    activations_s: float
    overhead_s: float

    def time_s(self, batch: int) -> float:
        """Give the time of a batch: the slower of arithmetic and memory, and the overhead."""
        memory_s = self.weights_s + batch * self.activations_s
        return max(batch * self.compute_s, memory_s) + self.overhead_s


@dataclass(frozen=True)
class LayerTimes:
    """Times of layers, and where each is from.

    Parameters
    ----------
    times_s
        Seconds of each layer, for one batch.
    labels
        ``profiled`` where it was measured, ``estimated`` where it is the roofline's.
    """

    times_s: tuple[float, ...]
    labels: tuple[Label, ...]

    @property
    def total_s(self) -> float:
        """Their sum; nothing takes no time."""
        return sum(self.times_s)

    @property
    def label(self) -> Label:
        """``profiled`` only if every layer is."""
        return "profiled" if self.labels and set(self.labels) == {"profiled"} else "estimated"


def service_time_s(
    device: Device,
    layers: Sequence[Layer],
    batch: int = 1,
    traits: NetworkTraits = _DENSE_FLOAT32,
) -> float:
    """Give the time that one batch takes on a device: the sum of `layer_times`."""
    return layer_times(device, layers, batch, traits).total_s


def layer_times(
    device: Device,
    layers: Sequence[Layer],
    batch: int = 1,
    traits: NetworkTraits = _DENSE_FLOAT32,
) -> LayerTimes:
    """Give the time of every layer, measured where the device's table has it.

    Parameters
    ----------
    device
        Where they run.
    layers
        What runs.
    batch
        Requests that run together.
    traits
        Which network they are of, its pattern and its numbers.

    Returns
    -------
    LayerTimes
        Seconds and labels, in the layers' order. A table is of one request: larger batches take
        its time scaled as the roofline scales, and are labelled ``estimated``. A layer that is
        fused with the one before takes no time, and has that one's label.
    """
    times_s: list[float] = []
    labels: list[Label] = []
    for layer in layers:
        terms = layer_terms(device, layer, traits)
        measured_s = device.profiled and device.profiled.time_s(layer, traits)
        if isinstance(measured_s, float):
            one_s = terms.time_s(1)
            times_s.append(measured_s * (terms.time_s(batch) / one_s if one_s else 1.0))
            labels.append("profiled" if batch == 1 else "estimated")
        else:
            times_s.append(terms.time_s(batch))
            fused = layer.kind in FUSED_KINDS and bool(labels)
            labels.append(labels[-1] if fused else "estimated")
    return LayerTimes(tuple(times_s), tuple(labels))


def layer_time_s(
    device: Device,
    layer: Layer,
    batch: int = 1,
    traits: NetworkTraits = _DENSE_FLOAT32,
) -> float:
    """Estimate one layer: ``max(FLOPs / (efficiency * rate), bytes / bandwidth) + overhead``.

    Parameters
    ----------
    device
        Where it runs. Zeros in the weights speed it up only by the device's sparse kernels,
        pattern units or table.
    layer
        What runs; one MAC is two FLOPs.
    batch
        Requests that run together; weights are read once for all of them.
    traits
        Which network it is of, its pattern and its numbers.

    Returns
    -------
    float
        Seconds.

    References
    ----------
    Williams, Waterman, Patterson, *Roofline*, CACM 52(4), 2009, section 3.
    """
    return layer_terms(device, layer, traits).time_s(batch)


def layer_terms(device: Device, layer: Layer, traits: NetworkTraits = _DENSE_FLOAT32) -> LayerTerms:
    """Take the roofline of one layer apart; all terms of a fused layer are 0."""
    if layer.kind in FUSED_KINDS:
        return LayerTerms(0.0, 0.0, 0.0, 0.0)
    rate = device.rate(traits.precision)
    compute_s = 2 * layer.macs / (device.efficiency * rate.dense_flop_per_s)
    # The profile counts bytes as float32.
    width = NUMBER_BYTES[traits.precision] / NUMBER_BYTES["float32"]
    byte_s = width / device.memory_bandwidth_byte_per_s
    return LayerTerms(
        compute_s * _compute_share(device, layer, traits),
        layer.weight_bytes * byte_s,
        (layer.input_bytes + layer.output_bytes) * byte_s,
        device.overhead_per_layer_s,
    )


def _compute_share(device: Device, layer: Layer, traits: NetworkTraits) -> float:
    shares = [1.0]
    if device.sparse_kernels is not None:
        shares.append(device.sparse_kernels.compute_share(layer.density))
    if device.sparse_table is not None:
        shares.append(device.sparse_table.compute_share(layer.density))
    units = device.structured_kernels
    rate = device.rate(traits.precision)
    if units is not None and units.pattern == traits.pattern and obeys(layer, units.pattern):
        shares.append(rate.dense_flop_per_s / (rate.sparse_flop_per_s or rate.dense_flop_per_s))
    return min(shares)
