"""A profile whose hashes are right, and whose content no measuring gives, is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.errors import ProfileError
from flexrel_sim.profile import Calibration, CodecCost, load_profile, save_profile
from flexrel_sim.profile.storing import _content_digest
from tests.builders import OPERATING_POINT, make_layer, make_profile

CHOICE = {
    "delta": 0.3,
    "normalise": "layer",
    "form": None,
    "reached": True,
    "tried": [{"accuracies": [0.5]}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_profile(make_profile(), tmp_path / "p")
    return tmp_path / "p"


def rehash(folder: Path, data: dict[str, Any] | None = None, **arrays: Any) -> None:
    """Store other values as an attacker would: with hashes that are right."""
    file = folder / "profile.json"
    data = json.loads(file.read_text()) if data is None else data
    if arrays:
        with np.load(folder / "samples.npz") as held:
            np.savez(folder / "samples.npz", **(dict(held) | arrays))
        content = (folder / "samples.npz").read_bytes()
        data["samples_sha256"] = hashlib.sha256(content).hexdigest()
    data["content_sha256"] = _content_digest(data)
    file.write_text(json.dumps(data))


def told(folder: Path) -> str:
    with pytest.raises(ProfileError, match="; measure it again with 'flexrel-sim run'") as caught:
        load_profile(folder)
    return (
        str(caught.value)
        .replace(str(folder), "P")
        .replace("; measure it again with 'flexrel-sim run'", "")
    )


def changed(folder: Path, path: str, value: object) -> str:
    data = json.loads((folder / "profile.json").read_text())
    *sections, key = path.split(".")
    place: Any = data
    for section in sections:
        place = place[int(section) if section.isdigit() else section]
    place[int(key) if key.isdigit() else key] = value
    rehash(folder, data)
    return told(folder)


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("layers.0.macs", -1, "layers[0].macs: must be greater than or equal to 0, got -1"),
        ("layers.0.macs", 1.5, "layers[0].macs: must be a valid integer, got 1.5"),
        ("layers.0.macs", "7", "layers[0].macs: must be a valid integer, got '7'"),
        ("layers.0.macs", True, "layers[0].macs: must be a valid integer, got True"),
        ("layers.1.weights", 10**15 + 1, "layers[1].weights: must be less than or equal to 10"),
        ("layers.0.nonzero_weights", 1001, "layers[0].nonzero_weights: must be at most the 1,000"),
        ("layers.0.side", "middle", "layers[0].side: must be 'head' or 'tail', got 'middle'"),
        ("layers.0.output_shape", [3, 0], "layers[0].output_shape[1]: must be greater than or"),
        ("layers.0.extra", 1, "layers[0].extra: is unknown, got 1"),
        ("boundary_shapes", [], "boundary_shapes: must tell what crosses the link"),
        ("boundary_shapes.0", [-3], "boundary_shapes[0][0]: must be greater than or equal to 1"),
        ("answer_bytes", -25, "answer_bytes: must be greater than or equal to 0, got -25"),
        ("crosses_link", 1, "crosses_link: must be a valid boolean, got 1"),
        ("crosses_link", False, "layers: must have no tail where nothing crosses the link"),
        ("key", "../../elsewhere", "key: must match pattern"),
        ("codec.compressor", "gzip", "codec.compressor: must be 'none', 'zstd', 'lz4'"),
        ("codec.level", 99, "codec.level: must be less than or equal to 22, got 99"),
        ("calibration.forward_passes", -1.0, "calibration.forward_passes: must be greater than"),
        ("calibration.choice", {"delta": 2}, "calibration.choice.delta: must be less than or equ"),
        ("operating_point", {}, "operating_point.model: is required"),
        ("operating_point.pruning.ratio", "x", "operating_point.pruning.ratio: must be a valid"),
        ("operating_point.pruning.pattern", "3:9", "operating_point.pruning.pattern: must be"),
        ("operating_point.codec.compress", "gzip", "operating_point.codec.compress: must be"),
        ("operating_point.codec.ratio", 0.5, "operating_point.codec.ratio: is unknown"),
        ("operating_point.split.cut", 3, "operating_point.split.cut: must be a valid string"),
        ("provenance.torch", 3, "provenance.torch: must be a valid string, got 3"),
    ],
)  # fmt: skip
def test_a_field_that_can_not_be_is_refused_by_name(
    folder: Path, path: str, value: object, rule: str
) -> None:
    assert f"P/profile.json: {rule}" in changed(folder, path, value)


def test_layers_of_the_tail_before_the_head_are_refused(tmp_path: Path) -> None:
    layers = (make_layer(side="tail"), make_layer(side="head"))
    save_profile(make_profile(layers=layers), tmp_path / "p")
    assert (
        told(tmp_path / "p") == "P/profile.json: layers: must have all of the head before the tail"
    )


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(folder: Path, value: str) -> None:
    file = folder / "profile.json"
    data = json.loads(file.read_text())
    data["calibration"]["measured_s"] = float(value)
    rehash(folder, data)
    assert "must hold finite numbers only" in told(folder)


@pytest.mark.parametrize(
    ("name", "array", "rule"),
    [
        ("payload_bytes", [125, -77, 125, 125], "payload_bytes[1]: must be from 0 to 1,000,000,"),
        ("payload_bytes", [125, 125], "labels: must be of as many samples as 'payload_bytes', 2"),
        ("payload_bytes", [10**18] * 4, "payload_bytes[0]: must be from 0 to 1,000,000,000,000,0"),
        ("payload_bytes", [0.5] * 4, "payload_bytes: must be whole numbers (int64), one for each"),
        ("payload_bytes", [[1, 2, 3, 4]], "must be whole numbers (int64), one for each"),
        ("predicted", [0, 1, 6, 0], "predicted[2]: must be from 0 to 5, got 6"),
        ("labels", [0, -1, 0, 0], "labels[1]: must be from 0 to 5, got -1"),
        ("validation_labels", [0] * 3, "validation_predicted: must be of as many samples as 'val"),
        ("dense_predicted", [True] * 4, "dense_predicted: must be whole numbers (int64)"),
        ("validation_dense_predicted", np.zeros(0, int), "one for each of one or more samples"),
        ("others", [1], "P/profile.json: others: is unknown"),
    ],
)
def test_samples_that_can_not_be_are_refused_by_name(
    folder: Path, name: str, array: Any, rule: str
) -> None:
    rehash(folder, **{name: np.asarray(array)})
    assert rule in told(folder)


def test_a_missing_array_is_refused_by_name(folder: Path) -> None:
    np.savez(folder / "samples.npz", payload_bytes=np.ones(4, int))
    data = json.loads((folder / "profile.json").read_text())
    data["samples_sha256"] = hashlib.sha256((folder / "samples.npz").read_bytes()).hexdigest()
    rehash(folder, data)
    assert "P/samples.npz: labels: is required" in told(folder)


def test_all_faults_are_told_at_once_and_no_more_than_a_page_of_them(folder: Path) -> None:
    data = json.loads((folder / "profile.json").read_text())
    data["answer_bytes"], data["layers"][0]["macs"], data["codec"]["level"] = -1, -2, -3
    rehash(folder, data, payload_bytes=np.array([0.5]))
    lines = told(folder).splitlines()
    assert len(lines) == 4
    data["layers"] = [data["layers"][0]] * 500
    rehash(folder, data)
    lines = told(folder).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "P/profile.json: breaks 483 more rules"


def test_payloads_on_the_edge_are_nothing(tmp_path: Path) -> None:
    edge = make_profile(layers=(make_layer(),), crosses_link=False, boundary_shapes=((10,),))
    save_profile(edge, tmp_path / "p")
    assert "P/samples.npz: payload_bytes: must be 0 where nothing crosses" in told(tmp_path / "p")


def test_what_measuring_gives_is_accepted(tmp_path: Path) -> None:
    point = OPERATING_POINT | {
        "split": {"cut": "pool1", "best": {"objective": "latency", "least_s": 0.1}},
        "codec": {"dtype": "float32", "compress": "none"},
        "pruning": {"criterion": "flexrel-lamp", "delta": "auto", "ratio": 0.5, "min_kept": 0.01},
    }
    profile = make_profile(
        operating_point=point,
        calibration=Calibration(200, 3.0, 10**9, 1.5, CHOICE),
        codec=CodecCost("png", 1, 2, 3, "png"),
        layers=(make_layer(output_shape=()), make_layer(side="tail", weights=0, nonzero_weights=0)),
    )
    save_profile(profile, tmp_path / "p")
    loaded = load_profile(tmp_path / "p")
    assert loaded.layers == profile.layers
    assert loaded.calibration == profile.calibration
    assert loaded.operating_point == profile.operating_point
