"""One pruned network at all its cuts and codecs: heads are run once and shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from flexrel_sim.codec import AnyCodec, WeightDtype, codec_of, total_work, weight_bytes
from flexrel_sim.datasets import EvaluationSamples
from flexrel_sim.errors import WorkError
from flexrel_sim.measure.best import choose_cut, mean_payloads
from flexrel_sim.measure.bottleneck import at_bottleneck, put_in
from flexrel_sim.measure.codecs import fitted_codecs
from flexrel_sim.measure.layers import layers_of
from flexrel_sim.measure.passes import forward_passes
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.measure.sending import send
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
from flexrel_sim.profile import Calibration, Profile
from flexrel_sim.threads import one_thread

__all__ = ["Ready", "Traced", "measure_cuts", "measure_network", "ready", "traced"]

_BATCH = 250

_BYTES_PER_LOGIT = 4

# Validation samples that tell the mean payload of every value, to choose a cut by.
_CHOOSING = 50

_Codecs = tuple[AnyCodec, ...]

# By key, the last one only: the pruned networks of a study share it, one after the other.
_DENSE_ANSWERS: dict[str, NDArray[np.int64]] = {}


@dataclass(frozen=True)
class Traced:
    """A network, its operations, and what they cost."""

    graph: Graph
    costs: tuple[Cost, ...]
    table: CutTable
    nonzero: dict[int, int] = field(default_factory=dict)
    encoded_bytes: dict[int, int] = field(default_factory=dict)

    @property
    def answer_bytes(self) -> int:
        """Bytes of one answer on the downlink."""
        return _BYTES_PER_LOGIT * self.table.cuts[-1].boundary[0].shape[0]

    def weight_bytes(self, operations: slice, dtype: WeightDtype) -> int:
        """Count the encoded bytes of the weights that some operations read, each once."""
        held = {id(one): one for cost in self.costs[operations] for one in cost.parameters}
        for key, parameter in held.items():
            # Kept from one cut to the next: compressing a large network takes seconds.
            if key not in self.encoded_bytes:
                array = parameter.detach().numpy()
                self.encoded_bytes[key] = weight_bytes(array, dtype=dtype)
        return sum(self.encoded_bytes[key] for key in held)


@dataclass
class _Measured:
    """Payload and answer of every sample at one cut through its codecs."""

    graph: Graph
    cut: CutPoint
    codecs: _Codecs
    payload_bytes: NDArray[np.int64]
    answers: NDArray[np.int64]

    @cached_property
    def tail(self) -> nn.Module:
        """What runs after the cut; built when it is first needed."""
        return split_graph(self.graph, self.cut)[1]


@dataclass(frozen=True)
class Ready:
    """A pruned network with all that its operating points need to be measured.

    Parameters
    ----------
    whole
        The network, a bottleneck in it where there is one.
    samples
        All samples of the points.
    points
        Every point, the cut that it names or that is best for it, its codecs, and what its profile
        says of the cut.
    calibration
        What choosing the weights cost.
    """

    whole: Traced
    samples: EvaluationSamples
    points: tuple[tuple[MeasureSpec, str, _Codecs, dict[str, Any]], ...]
    calibration: Calibration


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
    with one_thread():
        try:
            found = ready(specs)
            parts = found.samples.validation.images, found.samples.test.images
            images = torch.from_numpy(np.concatenate(parts))
            asked = [(cut, codecs) for _, cut, codecs, _ in found.points]
            measured = measure_cuts(found.whole.graph, asked, images)
            dense = _dense_answers(specs[0], images)
            return [
                replace(
                    _profile(spec, found, outcome, dense),
                    operating_point=spec.operating_point | {"split": split},
                )
                for (spec, _, _, split), outcome in zip(found.points, measured, strict=True)
            ]
        except ValueError as error:
            raise WorkError(f"{specs[0].card_file.file}: can't be measured: {error}") from None


def ready(specs: Sequence[MeasureSpec]) -> Ready:
    """Prune a network, put in a bottleneck, choose cuts and fit codecs.

    Parameters
    ----------
    specs
        Operating points that share model, data and pruning.

    Returns
    -------
    Ready
        What is measured, and what is exported.

    Raises
    ------
    ValueError
        If the network can't be pruned or traced.
    """
    first = specs[0]
    network, samples, data = load_network(first.card_file), samples_of(first), first.scenario.data
    images = torch.from_numpy(samples.validation.images)
    dense_macs = sum(cost.macs for cost in count(trace(network), images[:1]))
    has_batch_norms = any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    pruned = prune_point(first, network, samples)
    whole = traced(put_in(first, pruned.network), images[:2])
    points = _chosen([at_bottleneck(spec) for spec in specs], whole, images)
    passes = forward_passes(
        first.scenario.pruning, data.calibration, data.validation, batch_norms=has_batch_norms
    )
    return Ready(
        whole,
        samples,
        tuple(
            (spec, cut, _codecs(spec, cut, whole.graph, samples), split)
            for spec, cut, split in points
        ),
        Calibration(data.calibration, passes, dense_macs, pruned.seconds, pruned.choice),
    )


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
    graph: Graph, asked: Sequence[tuple[str, _Codecs]], images: Tensor
) -> list[_Measured]:
    """Send images through cuts and codecs; the network is walked once for all of them.

    Parameters
    ----------
    graph
        The network.
    asked
        Names of cuts, and a codec for each tensor that crosses there; none at ``edge``.
    images
        Images ``(samples, channels, height, width)``.

    Returns
    -------
    list of _Measured
        One per question. Codecs that gave back the very bits which they were given change no
        answer: their tail is the rest of the walk, and is not run a second time.
    """
    wanted: dict[tuple[int, _Codecs], _Measured] = {}
    found: list[_Measured] = []
    for name, codecs in asked:
        cut = graph.cut(name)
        if (cut.position, codecs) not in wanted:
            zeros = np.zeros(len(images), np.int64)
            wanted[cut.position, codecs] = _Measured(graph, cut, codecs, zeros, zeros.copy())
        found.append(wanted[cut.position, codecs])
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
            if not measured.codecs:
                if not all(bool(tensor.isfinite().all()) for tensor in boundary):
                    raise ValueError("logits must be finite")
                exact.append(measured)
                continue
            sent = send(measured.codecs, boundary)
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
    specs: Sequence[MeasureSpec], whole: Traced, images: Tensor
) -> list[tuple[MeasureSpec, str, dict[str, Any]]]:
    """Give every point the cut that it names, or the best, and what its profile says of it."""
    payloads: dict[AnyCodec, dict[fx.Node, float]] = {}
    found: list[tuple[MeasureSpec, str, dict[str, Any]]] = []
    for spec in specs:
        cut, split = spec.scenario.split.cut, spec.operating_point["split"]
        if spec.seeks_best:
            codec = codec_of(spec.scenario.codec)
            if codec not in payloads:
                payloads[codec] = mean_payloads(whole.graph, codec, images[:_CHOOSING])
            known = payloads[codec]
            best = choose_cut(spec, whole.graph, whole.costs, known, whole.answer_bytes)
            cut, split = best.cut, {"cut": best.cut, "best": best.estimate}
        found.append((spec, cut, split))
    return found


def _codecs(spec: MeasureSpec, cut: str, graph: Graph, samples: EvaluationSamples) -> _Codecs:
    images, labels = samples.calibration.images, samples.calibration.labels
    tensors = torch.from_numpy(images), torch.from_numpy(labels)
    return fitted_codecs(spec.scenario.codec, graph, graph.cut(cut), *tensors)


def _dense_answers(spec: MeasureSpec, images: Tensor) -> NDArray[np.int64]:
    """Answer as the dense network does, in the batches that a cut's answers are measured in."""
    key = spec.dense_key
    if key not in _DENSE_ANSWERS:
        (measured,) = measure_cuts(trace(load_network(spec.card_file)), [(EDGE, ())], images)
        _DENSE_ANSWERS.clear()
        _DENSE_ANSWERS[key] = measured.answers
    return _DENSE_ANSWERS[key]


def _profile(
    spec: MeasureSpec, found: Ready, measured: _Measured, dense: NDArray[np.int64]
) -> Profile:
    whole, samples, dtype = found.whole, found.samples, spec.scenario.weights.dtype
    validation = samples.validation.labels.size
    cut = next(cut for cut in whole.table.cuts if cut.name == measured.cut.name)
    shapes = tuple(tensor.shape for tensor in cut.boundary)
    return Profile(
        key=spec.key,
        network=spec.card_file.card.name,
        operating_point=spec.operating_point,
        layers=layers_of(whole.graph, cut.name, whole.costs, whole.nonzero),
        boundary_shapes=shapes,
        crosses_link=cut.crosses_link,
        answer_bytes=whole.answer_bytes,
        head_weight_bytes=whole.weight_bytes(slice(cut.operations), dtype),
        tail_weight_bytes=whole.weight_bytes(slice(cut.operations, None), dtype),
        payload_bytes=measured.payload_bytes[validation:],
        labels=samples.test.labels,
        predicted=measured.answers[validation:],
        dense_predicted=dense[validation:],
        validation_labels=samples.validation.labels,
        validation_predicted=measured.answers[:validation],
        validation_dense_predicted=dense[:validation],
        provenance=spec.provenance,
        calibration=found.calibration,
        codec=total_work(measured.codecs, shapes if cut.crosses_link else ()),
    )
