"""The joint between the halves: all that the simulator needs to know of a pruned, split network.

A profile is plain data. It is stored as a folder of ``profile.json`` and ``samples.npz``, named by
the key of everything it was measured from, and read without torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.bounds import JSON_MAX_BYTES, file_too_large, npz_bytes, too_large
from flexrel_sim.errors import ProfileError
from flexrel_sim.statistics import Estimate, wilson_interval

__all__ = [
    "PROFILE_VERSION",
    "Calibration",
    "CodecCost",
    "Layer",
    "Profile",
    "load_profile",
    "save_profile",
]

PROFILE_VERSION: Final = 4
"""Version of the stored form; a profile of another version is refused."""

_JSON_NAME = "profile.json"
_ARRAYS_NAME = "samples.npz"


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

    name: str
    kind: str
    side: Literal["head", "tail"]
    macs: int
    weights: int
    nonzero_weights: int
    input_bytes: int
    output_bytes: int
    output_shape: tuple[int, ...]

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

    samples: int = 0
    forward_passes: float = 0.0
    dense_macs: int = 0
    measured_s: float = field(default=0.0, compare=False)
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

    name: str = ""
    encode_traffic_bytes: int = 0
    decode_traffic_bytes: int = 0
    content_bytes: int = 0
    compressor: str = "none"
    level: int = 0


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
    correct
        Whether each test sample is answered correctly, shape ``(test,)``.
    validation_correct, validation_samples
        The same for the validation samples, as counts.
    provenance
        Hashes and versions of what was measured.
    calibration
        What choosing the weights cost.
    codec
        What encoding and decoding do.
    """

    key: str
    network: str
    operating_point: dict[str, Any]
    layers: tuple[Layer, ...]
    boundary_shapes: tuple[tuple[int, ...], ...]
    crosses_link: bool
    answer_bytes: int
    head_weight_bytes: int
    tail_weight_bytes: int
    payload_bytes: NDArray[np.int64]
    correct: NDArray[np.bool_]
    validation_correct: int
    validation_samples: int
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
    def accuracy(self) -> Estimate:
        """Accuracy on the test samples, in Wilson's interval."""
        return wilson_interval(int(self.correct.sum()), self.correct.size)

    @property
    def validation_accuracy(self) -> Estimate:
        """Accuracy on the validation samples, which operating points are chosen on."""
        return wilson_interval(self.validation_correct, self.validation_samples)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of both halves."""
        return sum(layer.macs for layer in self.layers)

    @property
    def nonzero_weights(self) -> int:
        """Weights and biases left in both halves."""
        return sum(layer.nonzero_weights for layer in self.layers)


def save_profile(profile: Profile, folder: Path) -> None:
    """Write a profile as a folder, all of it or nothing.

    Parameters
    ----------
    profile
        What to write.
    folder
        Where; an existing profile there is kept, since its name says its content.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, payload_bytes=profile.payload_bytes, correct=profile.correct)
    arrays = buffer.getvalue()
    data = {
        key: value
        for key, value in asdict(profile).items()
        if key not in ("payload_bytes", "correct")
    }
    data["version"] = PROFILE_VERSION
    data["samples_sha256"] = hashlib.sha256(arrays).hexdigest()
    data["content_sha256"] = _content_digest(data)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name[:16]}-", dir=folder.parent))
    try:
        (partial / _ARRAYS_NAME).write_bytes(arrays)
        (partial / _JSON_NAME).write_text(json.dumps(data, indent=1), encoding="utf-8")
        partial.chmod(0o755)
        try:
            partial.rename(folder)
        except OSError:
            # Another worker may have been first with the same content.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_profile(folder: Path) -> Profile:
    """Read a profile.

    Parameters
    ----------
    folder
        The folder that `save_profile` wrote.

    Returns
    -------
    Profile
        The same profile.

    Raises
    ------
    ProfileError
        If the folder or one of its files is missing, truncated, changed, or of another version.
    """
    remedy = "measure it again with 'flexrel-sim run'"
    for name, most in ((_JSON_NAME, JSON_MAX_BYTES), (_ARRAYS_NAME, None)):
        if rule := file_too_large(folder / name, most):
            raise ProfileError(f"{folder / name}: {rule}")
    try:
        data = json.loads((folder / _JSON_NAME).read_text(encoding="utf-8"))
        arrays = (folder / _ARRAYS_NAME).read_bytes()
    except OSError as error:
        raise ProfileError(f"{error.filename}: can't be read: {error.strerror}; {remedy}") from None
    except (ValueError, RecursionError):
        raise ProfileError(f"{folder / _JSON_NAME}: is not complete JSON; {remedy}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != PROFILE_VERSION:
        raise ProfileError(
            f"{folder}: must be of version {PROFILE_VERSION}, got {version!r}; {remedy}"
        )
    if _content_digest(data) != data.pop("content_sha256", None):
        raise ProfileError(f"{folder / _JSON_NAME}: was changed after it was measured; {remedy}")
    if hashlib.sha256(arrays).hexdigest() != data.pop("samples_sha256", None):
        raise ProfileError(f"{folder / _ARRAYS_NAME}: is truncated or changed; {remedy}")
    del data["version"]
    try:
        return _from_data(data, arrays)
    except (TypeError, KeyError, AttributeError, ValueError, zipfile.BadZipFile) as error:
        raise ProfileError(f"{folder}: holds no profile ({error}); {remedy}") from None


def _content_digest(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key != "content_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _from_data(data: dict[str, Any], arrays: bytes) -> Profile:
    with zipfile.ZipFile(io.BytesIO(arrays)) as archive:
        if rule := too_large(npz_bytes(archive)):
            raise ValueError(rule)
    with np.load(io.BytesIO(arrays), allow_pickle=False) as samples:
        data["payload_bytes"] = samples["payload_bytes"]
        data["correct"] = samples["correct"]
    data["layers"] = tuple(
        Layer(**{**layer, "output_shape": tuple(layer["output_shape"])}) for layer in data["layers"]
    )
    data["boundary_shapes"] = tuple(tuple(shape) for shape in data["boundary_shapes"])
    data["calibration"] = Calibration(**data["calibration"])
    data["codec"] = CodecCost(**data["codec"])
    return Profile(**data)
