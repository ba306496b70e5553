"""One pruned network at all its cuts and codecs: heads are run once and shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from flexrel_sim.codec import Codec, weight_bytes
from flexrel_sim.datasets import EvaluationSamples
from flexrel_sim.errors import WorkError
from flexrel_sim.measure.layers import layer_costs
from flexrel_sim.measure.passes import forward_passes
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.networks.build import load_network
from flexrel_sim.partition import EDGE, boundaries, split_network, stages
from flexrel_sim.profile import Calibration, Profile
from flexrel_sim.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["measure_network"]

_BATCH = 250

_BYTES_PER_LOGIT = 4


@dataclass
class _Measured:
    """Payload and outcome of every sample, validation samples first."""

    payload_bytes: NDArray[np.int64]
    correct: NDArray[np.bool_]


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
        If the network gives numbers that can't be encoded (NaN, infinity).
    """
    first = specs[0]
    with one_thread():
        network = load_network(first.card_file)
        samples = samples_of(first)
        images = np.concatenate([samples.validation.images, samples.test.images])
        labels = np.concatenate([samples.validation.labels, samples.test.labels])
        try:
            dense_macs = sum(layer.macs for layer in layer_costs(network, 0, _image(samples)))
            pruned = prune_point(first, network, samples)
            network = pruned.network
            measured = _measure(network, specs, torch.from_numpy(images), labels)
        except ValueError as error:
            raise WorkError(f"{first.card_file.file}: can't be measured: {error}") from None
        # Once for all cuts: compressing the weights of a large network takes seconds.
        sizes = {id(held): weight_bytes(held.detach().numpy()) for held in network.parameters()}
        data = first.scenario.data
        calibration = Calibration(
            data.calibration,
            forward_passes(first.scenario.pruning, data.calibration, data.validation),
            dense_macs,
            pruned.seconds,
            pruned.choice,
        )
        return [
            replace(
                _profile(
                    spec, network, _image(samples), outcome, samples.validation.labels.size, sizes
                ),
                calibration=calibration,
            )
            for spec, outcome in zip(specs, measured, strict=True)
        ]


def _image(samples: EvaluationSamples) -> Tensor:
    return torch.from_numpy(samples.test.images[:1])


def _measure(
    network: nn.Module,
    specs: Sequence[MeasureSpec],
    images: Tensor,
    labels: NDArray[np.int64],
) -> list[_Measured]:
    count = len(labels)
    outcomes = [_Measured(np.zeros(count, np.int64), np.zeros(count, np.bool_)) for _ in specs]
    known, parts = boundaries(network), list(stages(network).values())
    tails = [split_network(network, cut)[1] for cut in known]
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            rows = slice(start, start + _BATCH)
            tensor = images[rows]
            # Walk down the chain once; every cut on the way is served in passing.
            for depth in range(len(parts) + 1):
                cut = known[depth]
                for spec, outcome in zip(specs, outcomes, strict=True):
                    if spec.scenario.split.cut == cut:
                        sizes, predicted = _transmit(spec, tensor, tails[depth])
                        outcome.payload_bytes[rows] = sizes
                        outcome.correct[rows] = predicted == labels[rows]
                if depth < len(parts):
                    tensor = parts[depth](tensor)
    return outcomes


def _transmit(
    spec: MeasureSpec, boundary: Tensor, tail: nn.Sequential
) -> tuple[list[int], NDArray[np.int64]]:
    """Encode a boundary tensor sample by sample, decode it, and let the tail answer."""
    if spec.scenario.split.cut == EDGE:
        if not bool(boundary.isfinite().all()):
            raise ValueError("logits must be finite")
        return [0] * len(boundary), boundary.argmax(1).numpy()
    section = spec.scenario.codec
    codec = Codec(section.dtype, section.compress, section.level)
    shape = tuple(boundary.shape[1:])
    payloads = [codec.encode(sample) for sample in boundary.numpy()]
    received = np.stack([codec.decode(payload, shape) for payload in payloads])
    answers = tail(torch.from_numpy(received)).argmax(1)
    return [len(payload) for payload in payloads], answers.numpy()


def _profile(
    spec: MeasureSpec,
    network: nn.Module,
    example: Tensor,
    outcome: _Measured,
    validation_samples: int,
    sizes: dict[int, int],
) -> Profile:
    cut = spec.scenario.split.cut
    head, tail = split_network(network, cut)
    layers = layer_costs(network, len(stages(head)), example)
    with torch.inference_mode():
        boundary_shape = tuple(head(example).shape[1:])
    return Profile(
        key=spec.key,
        network=spec.card_file.card.name,
        operating_point=spec.operating_point,
        layers=layers,
        boundary_shape=boundary_shape,
        crosses_link=cut != EDGE,
        answer_bytes=_BYTES_PER_LOGIT * layers[-1].output_shape[0],
        head_weight_bytes=_weight_bytes(head, sizes),
        tail_weight_bytes=_weight_bytes(tail, sizes),
        payload_bytes=outcome.payload_bytes[validation_samples:],
        correct=outcome.correct[validation_samples:],
        validation_correct=int(outcome.correct[:validation_samples].sum()),
        validation_samples=validation_samples,
        provenance=spec.provenance,
    )


def _weight_bytes(half: nn.Module, sizes: dict[int, int]) -> int:
    """Sum the shipped bytes of what a half holds, from those of the network's parameters."""
    return sum(sizes[id(parameter)] for parameter in half.parameters())
