"""How long a server worker takes for a batch, as a function of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexrel_sim.hardware.devices import Device
from flexrel_sim.hardware.roofline import layer_terms, layer_times
from flexrel_sim.hardware.traits import NetworkTraits
from flexrel_sim.profile import Layer
from flexrel_sim.scenario.device_sections import BatchTimeSection

__all__ = [
    "BatchTime",
    "RooflineBatchTime",
    "TableBatchTime",
    "batch_time",
    "linear_batch_time",
    "roofline_batch_time",
]

Floats = NDArray[np.float64]


class BatchTime(Protocol):
    """Service time of a batch."""

    @property
    def label(self) -> str:
        """``given``, ``profiled`` or ``estimated``."""

    def time_s(self, batch: ArrayLike) -> Floats:
        """Give the time of batches of these sizes, each at least 1, in their shape."""


@dataclass(frozen=True)
class RooflineBatchTime:
    """Sum over layers of ``max(b * compute, weights + b * activations) + overhead``, scaled.

    Weights are read once per batch; arithmetic and activations grow with it. One layer with
    compute α and overhead β is α·b + β.

    Parameters
    ----------
    compute_s, weights_s, activations_s
        Terms of the layers, of one shape.
    overhead_s
        Time per batch.
    label
        Where the times are from.
    """

    compute_s: Floats
    weights_s: Floats
    activations_s: Floats
    overhead_s: float
    label: str = "estimated"

    def time_s(self, batch: ArrayLike) -> Floats:
        """Give the time of batches of these sizes."""
        sizes = _sizes(batch)[..., np.newaxis]
        memory_s = self.weights_s + sizes * self.activations_s
        return np.asarray(
            np.maximum(sizes * self.compute_s, memory_s).sum(axis=-1) + self.overhead_s
        )

    def scaled(self, factor: float, label: str) -> RooflineBatchTime:
        """Give the same curve, stretched."""
        return RooflineBatchTime(
            self.compute_s * factor,
            self.weights_s * factor,
            self.activations_s * factor,
            self.overhead_s * factor,
            label,
        )


@dataclass(frozen=True)
class TableBatchTime:
    """Measured times, with straight lines between sizes and past the last two.

    Parameters
    ----------
    sizes
        Batch sizes, increasing from 1.
    times_s
        Time of each, not decreasing.
    label
        Where the times are from.
    """

    sizes: Floats
    times_s: Floats
    label: str = "given"

    def time_s(self, batch: ArrayLike) -> Floats:
        """Give the time of batches of these sizes."""
        sizes = _sizes(batch)
        slope_s = 0.0
        if self.sizes.size > 1:
            slope_s = np.diff(self.times_s[-2:])[0] / np.diff(self.sizes[-2:])[0]
        beyond = np.maximum(sizes - self.sizes[-1], 0.0)
        return np.asarray(np.interp(sizes, self.sizes, self.times_s) + slope_s * beyond)


def linear_batch_time(per_request_s: float, per_batch_s: float) -> RooflineBatchTime:
    """Give α·b + β as a batch time, α per request and β per batch."""
    none = np.zeros(1)
    return RooflineBatchTime(np.array([per_request_s]), none, none, per_batch_s, "given")


def roofline_batch_time(
    device: Device, layers: Sequence[Layer], traits: NetworkTraits
) -> RooflineBatchTime:
    """Give the batch time of a half of a network, equal to `service_time_s` at every size.

    Parameters
    ----------
    device, layers, traits
        As in `layer_times`. Layers that were measured keep their time at size 1 and the roofline's
        shape.

    Returns
    -------
    RooflineBatchTime
        Labelled ``estimated``, since no size but 1 was measured.
    """
    measured = layer_times(device, layers, 1, traits)
    rows = []
    overhead_s = 0.0
    for layer, time_s, label in zip(layers, measured.times_s, measured.labels, strict=True):
        terms = layer_terms(device, layer, traits)
        one_s = terms.time_s(1)
        if one_s == 0:
            overhead_s += time_s
            continue
        factor = time_s / one_s if label == "profiled" else 1.0
        overhead_s += factor * terms.overhead_s
        rows.append([factor * s for s in (terms.compute_s, terms.weights_s, terms.activations_s)])
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3).T
    return RooflineBatchTime(columns[0], columns[1], columns[2], overhead_s)


def batch_time(
    section: BatchTimeSection, estimate: RooflineBatchTime, service_time_s: float | None = None
) -> BatchTime:
    """Give the batch time that a scenario asks for.

    Parameters
    ----------
    section
        What the scenario says.
    estimate
        The roofline's, for `model: roofline`.
    service_time_s
        The measured time of one request, where the scenario gives it: the roofline is then
        stretched to meet it at size 1.

    Returns
    -------
    BatchTime
        Labelled ``given`` where the user gave all of it, or its time at size 1.
    """
    if section.model == "linear" and section.per_request is not None:
        return linear_batch_time(section.per_request, section.per_batch)
    if section.model == "table":
        return TableBatchTime(np.array(section.sizes, dtype=np.float64), np.array(section.times))
    if service_time_s is None:
        return estimate
    one_s = float(estimate.time_s(1))
    if one_s == 0:
        return linear_batch_time(0.0, service_time_s)
    return estimate.scaled(service_time_s / one_s, "given")


def _sizes(batch: ArrayLike) -> Floats:
    sizes = np.asarray(batch, dtype=np.float64)
    if not np.all(sizes >= 1):
        raise ValueError("a batch must have at least one request")
    return sizes
