import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.errors import ProfileError
from flexrel_sim.profile import (
    PROFILE_VERSION,
    SAMPLE_ARRAYS,
    Profile,
    load_profile,
    save_profile,
)
from flexrel_sim.profile.storing import _content_digest
from flexrel_sim.proportions import stratified_interval
from tests.builders import make_layer, make_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "profiles" / "abc"
    save_profile(make_profile(), place)
    return place


def plain(profile: Profile) -> dict[str, Any]:
    data = asdict(profile)
    for name in SAMPLE_ARRAYS:
        data[name] = (data[name].dtype, data[name].tolist())
    return data


def change_json(folder: Path, *, without: str = "", **changes: Any) -> None:
    """Change the JSON as an honest writer of another make would: its own hash is right."""
    file = folder / "profile.json"
    data = json.loads(file.read_text(encoding="utf-8")) | changes
    data.pop(without, None)
    data["content_sha256"] = _content_digest(data)
    file.write_text(json.dumps(data), encoding="utf-8")


def test_a_profile_comes_back_as_it_was_saved(folder: Path) -> None:
    assert plain(load_profile(folder)) == plain(make_profile())


def test_a_profile_of_an_edge_only_network_without_layers_comes_back(tmp_path: Path) -> None:
    profile = make_profile(
        layers=(),
        boundary_shapes=(),
        crosses_link=False,
        payload_bytes=np.zeros(1, dtype=np.int64),
        correct=[False],
        network="réseau µ",
    )
    save_profile(profile, tmp_path / "p")
    assert plain(load_profile(tmp_path / "p")) == plain(profile)


def test_saving_leaves_two_readable_files_and_nothing_else(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["profile.json", "samples.npz"]
    assert [place.name for place in folder.parent.iterdir()] == ["abc"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_save_that_fails_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_profile(make_profile(operating_point={"what": object()}), tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_profile_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"gone/profile\.json: can't be read: No such file"):
        load_profile(tmp_path / "gone")


@pytest.mark.parametrize("name", ["profile.json", "samples.npz"])
def test_a_missing_half_names_that_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ProfileError, match=rf"abc/{name}: can't be read: No such file") as caught:
        load_profile(folder)
    assert "measure it again" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 0.5])
def test_truncated_samples_are_refused_by_name(folder: Path, kept: float) -> None:
    file = folder / "samples.npz"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept) if kept < 1 else -1])
    with pytest.raises(ProfileError, match=r"abc/samples\.npz: is truncated or changed"):
        load_profile(folder)


def test_samples_with_one_bit_changed_are_refused_by_name(folder: Path) -> None:
    file = folder / "samples.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ProfileError, match=r"abc/samples\.npz: is truncated or changed"):
        load_profile(folder)


def test_samples_of_another_profile_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save_profile(make_profile(correct=[False] * 4), other)
    shutil.copy(other / "samples.npz", folder / "samples.npz")
    with pytest.raises(ProfileError, match=r"abc/samples\.npz: is truncated or changed"):
        load_profile(folder)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_json_is_refused_by_name(folder: Path, kept: float) -> None:
    file = folder / "profile.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: int(kept * len(text))], encoding="utf-8")
    with pytest.raises(ProfileError, match=r"abc/profile\.json: is not complete JSON"):
        load_profile(folder)


def test_json_that_is_not_utf8_is_refused_by_name(folder: Path) -> None:
    (folder / "profile.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ProfileError, match=r"abc/profile\.json: is not complete JSON"):
        load_profile(folder)


def test_json_nested_past_reason_is_refused_by_name(folder: Path) -> None:
    (folder / "profile.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"abc/profile\.json: "):
        load_profile(folder)


@pytest.mark.parametrize("junk", ["[]", "3", "null", '"text"', "{}"])
def test_json_that_is_no_profile_is_refused_by_name(folder: Path, junk: str) -> None:
    (folder / "profile.json").write_text(junk, encoding="utf-8")
    with pytest.raises(ProfileError, match=rf"abc: must be of version {PROFILE_VERSION}, got None"):
        load_profile(folder)


@pytest.mark.parametrize("version", [PROFILE_VERSION + 1, 1, "2", None])
def test_a_profile_of_another_version_is_refused(folder: Path, version: object) -> None:
    change_json(folder, version=version)
    with pytest.raises(
        ProfileError, match=rf"abc: must be of version {PROFILE_VERSION}, got {version!r}"
    ):
        load_profile(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"layers": 3}, "layers: must be a valid array, got 3"),
        ({"layers": [{"name": "x"}]}, r"layers\[0\]\.kind: is required"),
        ({"layers": ["x"]}, r"layers\[0\]: must be an object, got 'x'"),
        ({"boundary_shapes": None}, "boundary_shapes: must be a valid array"),
        ({"unknown": 1}, "unknown: is unknown, got 1"),
    ],
)
def test_json_of_another_make_is_refused_by_name(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    change_json(folder, **changes)
    with pytest.raises(ProfileError, match=rf"abc/profile\.json: {told}.*; measure it again"):
        load_profile(folder)


def test_json_without_a_field_is_refused_by_name(folder: Path) -> None:
    change_json(folder, without="answer_bytes")
    with pytest.raises(ProfileError, match=r"abc/profile\.json: answer_bytes: is required"):
        load_profile(folder)


@pytest.mark.parametrize(
    ("old", "new"), [('"answer_bytes": 25', '"answer_bytes": 24'), (": 4000", ": 1")]
)
def test_a_number_changed_in_the_json_is_noticed(folder: Path, old: str, new: str) -> None:
    file = folder / "profile.json"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ProfileError, match=r"abc/profile\.json: .*changed"):
        load_profile(folder)


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


def test_samples_that_hold_a_pickle_are_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    bomb = np.empty(1, dtype=object)
    bomb[0] = Bomb(canary)
    file = folder / "samples.npz"
    np.savez(file, **dict.fromkeys(SAMPLE_ARRAYS, bomb))
    change_json(folder, samples_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(ProfileError, match=r"abc/samples\.npz: can't be read: Object arrays"):
        load_profile(folder)
    assert not canary.exists()


def test_a_profile_splits_its_layers_by_side() -> None:
    layers = (make_layer(name="a"), make_layer(name="b"), make_layer(name="c", side="tail"))
    profile = make_profile(layers=layers)
    assert [layer.name for layer in profile.head] == ["a", "b"]
    assert [layer.name for layer in profile.tail] == ["c"]
    assert profile.head + profile.tail == layers


def test_a_profile_sums_work_and_weights_over_both_halves() -> None:
    layers = (make_layer(macs=3, nonzero_weights=5), make_layer(macs=4, nonzero_weights=6))
    profile = make_profile(layers=layers)
    assert (profile.macs, profile.nonzero_weights) == (7, 11)


def test_accuracies_are_those_of_samples_stratified_by_class() -> None:
    profile = make_profile()
    assert profile.accuracy == stratified_interval([2, 1], [2, 2])
    assert profile.validation_accuracy == stratified_interval([4, 4], [5, 5])
    assert profile.dense_recalls.figures["accuracy"].value == 1


def test_what_is_right_follows_from_the_labels_and_the_answers() -> None:
    profile = replace(
        make_profile(),
        labels=np.array([0, 1, 2, 2]),
        predicted=np.array([0, 2, 2, 1]),
        dense_predicted=np.array([0, 1, 0, 1]),
        validation_labels=np.array([5, 6]),
        validation_predicted=np.array([5, 5]),
        validation_dense_predicted=np.array([6, 6]),
    )
    assert profile.correct.tolist() == [True, False, True, False]
    assert profile.validation_correct.tolist() == [True, False]
    assert profile.validation_dense_correct.tolist() == [False, True]


def test_weights_are_counted_as_float32_and_density_as_the_share_that_is_not_zero() -> None:
    layer = make_layer(weights=200, nonzero_weights=50)
    assert layer.weight_bytes == 800
    assert layer.density == 0.25
    assert make_layer(weights=0, nonzero_weights=0).density == 1.0
