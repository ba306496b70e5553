"""One pruned network at all its cuts and codecs: heads are run once and shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from flexrel_sim.codec import Codec, shipped_bytes
from flexrel_sim.errors import WorkError
from flexrel_sim.measure.best import choose_cut, mean_payloads
from flexrel_sim.measure.layers import layers_of
from flexrel_sim.measure.passes import forward_passes
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.measure.sending import make_codec, send
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.networks.build import load_network
from flexrel_sim.partition import (
    EDGE,
    Cost,
    CutPoint,
    Graph,
    count,
    cut_table,
    split_graph,
    trace,
    walk,
)
from flexrel_sim.placement import CutTable
from flexrel_sim.profile import Calibration, Layer, Profile
from flexrel_sim.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Traced", "measure_cuts", "measure_network", "traced"]

_BATCH = 250

_BYTES_PER_LOGIT = 4

# Validation samples that tell the mean payload of every value, to choose a cut by.
_CHOOSING = 50


@dataclass(frozen=True)
class Traced:
    """A network, its operations, and what they cost."""

    graph: Graph
    costs: tuple[Cost, ...]
    table: CutTable
    nonzero: dict[int, int] = field(default_factory=dict)

    @property
    def answer_bytes(self) -> int:
        """Bytes of one answer on the downlink."""
        return _BYTES_PER_LOGIT * self.table.cuts[-1].boundary[0].shape[0]


@dataclass
class _Measured:
    """Payload and answer of every sample at one cut through one codec."""

    graph: Graph
    cut: CutPoint
    codec: Codec | None
    payload_bytes: NDArray[np.int64]
    answers: NDArray[np.int64]

    @cached_property
    def tail(self) -> nn.Module:
        """What runs after the cut; built when it is first needed."""
        return split_graph(self.graph, self.cut)[1]


def measure_network(specs: Sequence[MeasureSpec]) -> list[Profile]:
    """Measure all operating points of one pruned network.

    Parameters
    ----------
    specs
        Operating points that share model, data and pruning.

    Returns
    -------
    list of Profile
        One per spec. Accuracy is that of head → encode → decode → tail on every sample.

    Raises
    ------
    WorkError
        If the network gives numbers that can't be encoded (NaN, infinity), or does work whose cost
        is not known.
    """
    first = specs[0]
    data = first.scenario.data
    with one_thread():
        network = load_network(first.card_file)
        samples = samples_of(first)
        images = np.concatenate([samples.validation.images, samples.test.images])
        labels = np.concatenate([samples.validation.labels, samples.test.labels])
        try:
            example = torch.from_numpy(samples.test.images[:1])
            dense_macs = sum(cost.macs for cost in count(trace(network), example))
            pruned = prune_point(first, network, samples)
            whole = traced(pruned.network, torch.from_numpy(images[:2]))
            tensors = torch.from_numpy(images)
            points = _chosen(specs, whole, tensors[: data.validation])
            asked = [(point["cut"], _codec(spec, point["cut"])) for spec, point in points]
            found = measure_cuts(whole.graph, asked, tensors)
            calibration = Calibration(
                data.calibration,
                forward_passes(first.scenario.pruning, data.calibration, data.validation),
                dense_macs,
                pruned.seconds,
                pruned.choice,
            )
            return [
                replace(
                    _profile(spec, whole, measured, labels, calibration),
                    operating_point=spec.operating_point | {"split": point},
                )
                for (spec, point), measured in zip(points, found, strict=True)
            ]
        except ValueError as error:
            raise WorkError(f"{first.card_file.file}: can't be measured: {error}") from None


def traced(network: nn.Module, images: Tensor) -> Traced:
    """Trace a network, and make sure that its operations answer as it does.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        A few, to try.

    Returns
    -------
    Traced
        Its operations and what they cost.

    Raises
    ------
    ValueError
        If they answer otherwise.
    """
    graph = trace(network)
    with torch.inference_mode():
        if not torch.equal(graph.module(images), network(images)):
            raise ValueError(
                "its operations, traced, answer otherwise than the network: its forward must not"
                " decide by the values or the type of its input"
            )
    costs = count(graph, images)
    return Traced(graph, costs, cut_table(graph, images, costs))


def measure_cuts(
    graph: Graph, asked: Sequence[tuple[str, Codec | None]], images: Tensor
) -> list[_Measured]:
    """Send images through cuts and codecs; the network is walked once for all of them.

    Parameters
    ----------
    graph
        The network.
    asked
        Names of cuts, and the codec at each; None at ``edge``.
    images
        Images ``(samples, channels, height, width)``.

    Returns
    -------
    list of _Measured
        One per question. A codec that gave back the very bits which it was given changes no
        answer: its tail is the rest of the walk, and is not run a second time.
    """
    wanted: dict[tuple[int, Codec | None], _Measured] = {}
    found: list[_Measured] = []
    for name, codec in asked:
        cut = graph.cut(name)
        if (cut.position, codec) not in wanted:
            zeros = np.zeros(len(images), np.int64)
            wanted[cut.position, codec] = _Measured(graph, cut, codec, zeros, zeros.copy())
        found.append(wanted[cut.position, codec])
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            _measure_batch(graph, list(wanted.values()), images, slice(start, start + _BATCH))
    return found


def _measure_batch(graph: Graph, wanted: list[_Measured], images: Tensor, rows: slice) -> None:
    exact: list[_Measured] = []
    for position, values in walk(graph, images[rows]):
        for measured in wanted:
            if measured.cut.position != position:
                continue
            boundary = [values[value] for value in measured.cut.values]
            if measured.codec is None:
                if not all(bool(tensor.isfinite().all()) for tensor in boundary):
                    raise ValueError("logits must be finite")
                exact.append(measured)
                continue
            sent = send(measured.codec, boundary)
            measured.payload_bytes[rows] = sent.payload_bytes
            if sent.received is None:
                exact.append(measured)
            else:
                received = (torch.from_numpy(array) for array in sent.received)
                measured.answers[rows] = measured.tail(*received).argmax(1).numpy()
        answer = values
    for measured in exact:
        measured.answers[rows] = answer[graph.output.all_input_nodes[0]].argmax(1).numpy()


def _chosen(
    specs: Sequence[MeasureSpec], whole: Traced, validation: Tensor
) -> list[tuple[MeasureSpec, dict[str, Any]]]:
    """Give every point the cut that it names, or the best for its devices and link."""
    payloads: dict[Codec, dict[fx.Node, float]] = {}
    found: list[tuple[MeasureSpec, dict[str, Any]]] = []
    for spec in specs:
        point: dict[str, Any] = spec.operating_point["split"]
        if spec.seeks_best:
            codec = make_codec(spec.scenario.codec)
            if codec not in payloads:
                payloads[codec] = mean_payloads(whole.graph, codec, validation[:_CHOOSING])
            best = choose_cut(spec, whole.graph, whole.costs, payloads[codec], whole.answer_bytes)
            point = {"cut": best.cut, "best": best.estimate}
        found.append((spec, point))
    return found


def _codec(spec: MeasureSpec, cut: str) -> Codec | None:
    return None if cut == EDGE else make_codec(spec.scenario.codec)


def _profile(
    spec: MeasureSpec,
    whole: Traced,
    measured: _Measured,
    labels: NDArray[np.int64],
    calibration: Calibration,
) -> Profile:
    validation = spec.scenario.data.validation
    layers = layers_of(whole.graph, measured.cut.name, whole.costs, whole.nonzero)
    cut = next(cut for cut in whole.table.cuts if cut.name == measured.cut.name)
    correct = measured.answers == labels
    return Profile(
        key=spec.key,
        network=spec.card_file.card.name,
        operating_point=spec.operating_point,
        layers=layers,
        boundary_shapes=tuple(tensor.shape for tensor in cut.boundary),
        crosses_link=cut.crosses_link,
        answer_bytes=whole.answer_bytes,
        head_weight_bytes=_weight_bytes(layers, "head"),
        tail_weight_bytes=_weight_bytes(layers, "tail"),
        payload_bytes=measured.payload_bytes[validation:],
        correct=correct[validation:],
        validation_correct=int(correct[:validation].sum()),
        validation_samples=validation,
        provenance=spec.provenance,
        calibration=calibration,
    )


def _weight_bytes(layers: Sequence[Layer], side: str) -> int:
    return sum(
        shipped_bytes(layer.weights, layer.nonzero_weights)
        for layer in layers
        if layer.side == side
    )
