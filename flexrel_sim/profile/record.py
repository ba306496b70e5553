"""What a profile is: all that the simulator needs to know of a pruned, split network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from flexrel_sim.accuracy import Recalls
from flexrel_sim.statistics import Estimate

__all__ = ["PROFILE_VERSION", "SAMPLE_ARRAYS", "Calibration", "CodecCost", "Layer", "Profile"]

PROFILE_VERSION: Final = 5
"""Version of the stored form; a profile of another version is refused."""

SAMPLE_ARRAYS: Final = (
    "payload_bytes",
    "labels",
    "predicted",
    "dense_predicted",
    "validation_labels",
    "validation_predicted",
    "validation_dense_predicted",
)
"""Fields of a profile that are arrays over samples."""

STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""Of all that a stored profile holds."""

COUNT_MAX: Final = 10**15
"""Largest count: sums of them are exact."""

# Types say what a stored profile may hold; `flexrel_sim.profile.schema` refuses all else.

Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
"""Operations, weights or bytes: sums of them are exact."""

Shape = Annotated[tuple[Annotated[int, Field(ge=1, le=10**9)], ...], Field(max_length=10)]
"""Of a tensor, without the batch."""

Name = Annotated[str, Field(min_length=1, max_length=1000)]

Compressor = Literal["none", "zstd", "lz4", "ans", "png", "jpeg", "webp", "webp-lossless"]
"""What compresses a payload."""


@dataclass(frozen=True)
class Layer:
    """What one layer costs for one request.

    Parameters
    ----------
    name
        Its name in the network.
    kind
        What it computes, such as ``conv2d``.
    side
        Which half it belongs to.
    macs
        Multiply-accumulate operations, counted dense.
    weights
        Number of weights and biases that it holds.
    nonzero_weights
        How many of them are not zero.
    input_bytes, output_bytes
        Bytes of its activations as float32.
    output_shape
        Shape of its output, without the batch.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Name
    kind: Name
    side: Literal["head", "tail"]
    macs: Count
    weights: Count
    nonzero_weights: Count
    input_bytes: Count
    output_bytes: Count
    output_shape: Shape

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as dense float32."""
        return 4 * self.weights

    @property
    def density(self) -> float:
        """Share of the weights that are not zero; 1 for a layer without weights."""
        return self.nonzero_weights / self.weights if self.weights else 1.0


@dataclass(frozen=True)
class Calibration:
    """What choosing the weights cost, once, before the first request.

    Parameters
    ----------
    samples
        Calibration samples.
    forward_passes
        What every sample took, counted in forward passes: one to the logits; a backward pass to
        the activations, or to the weights, is one more each.
    dense_macs
        MACs of one forward pass of the network before pruning.
    measured_s
        Time that it took where the profile was measured.
    choice
        What `delta: auto` tried and chose.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    samples: Count = 0
    forward_passes: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    dense_macs: Count = 0
    measured_s: Annotated[float, Field(ge=0, le=1e9)] = field(default=0.0, compare=False)
    choice: dict[str, Any] = field(default_factory=dict)

    @property
    def macs(self) -> float:
        """MACs of the whole pass."""
        return self.samples * self.forward_passes * self.dense_macs


@dataclass(frozen=True)
class CodecCost:
    """What encoding and decoding do for one request.

    Parameters
    ----------
    name
        Name of the codec; empty where nothing is encoded.
    encode_traffic_bytes, decode_traffic_bytes
        Bytes of memory that are read and written.
    content_bytes
        Bytes that the compressor takes in, and its counterpart gives out.
    compressor
        ``none``, ``zstd``, ``lz4``, ``ans``, ``png``, ``jpeg``, ``webp`` or ``webp-lossless``.
    level
        Level of zstd; 0 for others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Annotated[str, Field(max_length=1000)] = ""
    encode_traffic_bytes: Count = 0
    decode_traffic_bytes: Count = 0
    content_bytes: Count = 0
    compressor: Compressor = "none"
    level: Annotated[int, Field(ge=0, le=22)] = 0


@dataclass(frozen=True)
class Profile:
    """An operating point, measured.

    Parameters
    ----------
    key
        Hash of all that it was measured from: scenario sections, files, code and versions.
    network
        Name of the network.
    operating_point
        The model sections of the scenario, resolved.
    layers
        Head first, in the order of execution.
    boundary_shapes
        Shapes of the tensors that cross the link, without the batch; on the edge, the answers'.
    crosses_link
        False where all is computed on the edge.
    answer_bytes
        Bytes of one answer on the downlink.
    head_weight_bytes, tail_weight_bytes
        Bytes of the weights of each half in their smallest shipping format.
    payload_bytes
        Encoded bytes of every test sample, shape ``(test,)``.
    labels, predicted, dense_predicted
        Of every test sample the class that it is of, the one that is answered, and the one that
        the dense network answers (unpruned, in one piece, as float32), shape ``(test,)``.
    validation_labels, validation_predicted, validation_dense_predicted
        The same of every validation sample, shape ``(validation,)``.
    provenance
        Hashes and versions of what was measured.
    calibration
        What choosing the weights cost.
    codec
        What encoding and decoding do.
    """

    key: Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,128}$")]
    network: Name
    operating_point: dict[str, Any]
    layers: Annotated[tuple[Layer, ...], Field(max_length=100_000)]
    boundary_shapes: tuple[Shape, ...]
    crosses_link: bool
    answer_bytes: Count
    head_weight_bytes: Count
    tail_weight_bytes: Count
    payload_bytes: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    dense_predicted: NDArray[np.int64]
    validation_labels: NDArray[np.int64]
    validation_predicted: NDArray[np.int64]
    validation_dense_predicted: NDArray[np.int64]
    provenance: dict[str, str]
    calibration: Calibration = Calibration()
    codec: CodecCost = CodecCost()

    @property
    def head(self) -> tuple[Layer, ...]:
        """Layers on the edge."""
        return tuple(layer for layer in self.layers if layer.side == "head")

    @property
    def tail(self) -> tuple[Layer, ...]:
        """Layers on the server."""
        return tuple(layer for layer in self.layers if layer.side == "tail")

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test sample is answered correctly, shape ``(test,)``."""
        return _agree(self.predicted, self.labels)

    @property
    def validation_correct(self) -> NDArray[np.bool_]:
        """Whether each validation sample is answered correctly, shape ``(validation,)``."""
        return _agree(self.validation_predicted, self.validation_labels)

    @property
    def validation_dense_correct(self) -> NDArray[np.bool_]:
        """Whether the dense network answers each validation sample correctly."""
        return _agree(self.validation_dense_predicted, self.validation_labels)

    @property
    def accuracy(self) -> Estimate:
        """Accuracy on the test samples, in the interval of a stratified sample."""
        return self.recalls.figures["accuracy"]

    @property
    def validation_accuracy(self) -> Estimate:
        """Accuracy on the validation samples, which operating points are chosen on."""
        return self.validation_recalls.figures["accuracy"]

    @cached_property
    def recalls(self) -> Recalls:
        """Right answers by class, of the test samples."""
        return Recalls.of(self.labels, self.predicted)

    @cached_property
    def validation_recalls(self) -> Recalls:
        """Right answers by class, of the validation samples."""
        return Recalls.of(self.validation_labels, self.validation_predicted)

    @cached_property
    def dense_recalls(self) -> Recalls:
        """Right answers of the dense network by class, of the test samples."""
        return Recalls.of(self.labels, self.dense_predicted)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of both halves."""
        return sum(layer.macs for layer in self.layers)

    @property
    def nonzero_weights(self) -> int:
        """Weights and biases left in both halves."""
        return sum(layer.nonzero_weights for layer in self.layers)


def _agree(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    agree: NDArray[np.bool_] = answers == labels
    return agree
