import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flexrel_sim.datasets.info import RawParts, scaled
from flexrel_sim.datasets.npz import read_npz
from flexrel_sim.errors import DatasetError
from tests.datasets.files import labels_of, random_images

GREY = random_images(6)
COLOUR = random_images(6, (4, 5, 3))


def write(folder: Path, **arrays: object) -> Path:
    file = folder / "own.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file


def read(folder: Path, images: NDArray[Any], labels: object = None) -> RawParts:
    labels = labels_of(len(images)) if labels is None else labels
    return read_npz(write(folder, images=images, labels=labels))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
    ],
    ids=["NHW", "N1HW", "NHW1", "NHWC", "NCHW"],
)
def test_the_layout_is_told_by_the_shape(
    tmp_path: Path, stored: NDArray[np.uint8], expected: NDArray[np.uint8]
) -> None:
    (images, labels), test = read(tmp_path, stored)
    assert np.array_equal(images, expected)
    assert images.dtype == np.uint8
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert labels.dtype == np.int64
    assert test is None


@pytest.mark.parametrize(
    "stored",
    [
        GREY,
        GREY.astype(np.int64),
        GREY.astype(np.float64),
        (GREY / 255).astype(np.float32),
        GREY / 255,
    ],
    ids=["uint8", "int64", "whole floats", "float32", "float64"],
)
def test_bytes_and_floats_give_the_same_pixels(tmp_path: Path, stored: NDArray[Any]) -> None:
    images = scaled(read(tmp_path, stored).train[0])
    assert images.dtype == np.float32
    assert images == pytest.approx(GREY[:, None] / 255, abs=1e-7)


def test_booleans_are_black_and_white(tmp_path: Path) -> None:
    images = scaled(read(tmp_path, GREY > 100).train[0])
    assert np.array_equal(images, (GREY > 100)[:, None].astype(np.float32))


def test_the_keys_of_keras_have_a_test_part(tmp_path: Path) -> None:
    file = write(tmp_path, x_train=GREY, y_train=labels_of(6), x_test=GREY[:3], y_test=labels_of(3))
    train, test = read_npz(file)
    assert test is not None
    assert np.array_equal(train[0], GREY[:, None])
    assert np.array_equal(test[0], GREY[:3, None])
    assert test[1].tolist() == [0, 1, 2]


def test_x_and_y_are_known_and_columns_of_labels_and_other_arrays_no_matter(
    tmp_path: Path,
) -> None:
    names = np.array(["cat", "dog", "emu"], dtype=object)
    file = write(tmp_path, x=GREY, y=labels_of(6)[:, None], names=names)
    assert read_npz(file).train[1].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": GREY},
        {"a": GREY, "b": labels_of(6)},
        {"images": GREY, "labels": labels_of(6), "x": GREY, "y": labels_of(6)},
    ],
    ids=["no labels", "other names", "two sets"],
)
def test_other_keys_are_refused_with_those_it_has(tmp_path: Path, arrays: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=r"own\.npz: must hold one of these sets .*; got \['"):
        read_npz(write(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\3\4 cut"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.npz"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"own\.npz: can't be read: .*; write it with numpy"):
        read_npz(file)


def test_a_plain_array_under_the_name_of_an_npz_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    with file.open("wb") as stream:
        np.save(stream, GREY)
    with pytest.raises(DatasetError, match=r"own\.npz: can't be read: it is an \.npy"):
        read_npz(file)


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, images=GREY, labels=labels_of(6))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"own\.npz: can't be read: .*truncated; write it"):
        read_npz(file)


def test_a_damaged_array_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    np.savez_compressed(file, images=random_images(200), labels=labels_of(200))
    data = bytearray(file.read_bytes())
    data[600] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(DatasetError, match=r"own\.npz: images: is truncated or damaged; save it"):
        read_npz(file)


class Trap:
    """Executes when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("key", ["images", "labels"])
def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path: Path, key: str) -> None:
    arrays: dict[str, Any] = {"images": GREY, "labels": labels_of(6)}
    arrays[key] = np.array([Trap()] * 6, dtype=object)
    with pytest.raises(DatasetError, match=f"{key}: must be an array of numbers, got one of obj"):
        read_npz(write(tmp_path, **arrays))


def test_a_pickle_in_the_place_of_an_array_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", pickle.dumps(Trap()))
        archive.writestr("labels.npy", pickle.dumps(Trap()))
    with pytest.raises(DatasetError, match=r"own\.npz: images: must be an array of numbers"):
        read_npz(file)


@pytest.mark.parametrize("bare", [b"x" * 20, b""])
def test_a_member_that_is_no_array_is_refused(tmp_path: Path, bare: bytes) -> None:
    file = tmp_path / "own.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images", bare)
        archive.writestr("labels", bare)
    with pytest.raises(DatasetError, match=r"own\.npz: images: must be an array of numbers"):
        read_npz(file)


@pytest.mark.parametrize("shape", [(6,), (6, 20), (6, 0, 5), (0, 4, 5), (6, 4, 5, 3, 1)], ids=str)
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match=r"images: must have the shape .*, got \(.*; reshape"):
        read(tmp_path, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(6, 3, 9, 3), (6, 1, 9, 1), (6, 1, 28, 3)], ids=str)
def test_an_ambiguous_layout_is_refused_with_a_remedy(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    words = "must show by its shape where the channels are: .*; save a single channel as"
    with pytest.raises(DatasetError, match=words):
        read(tmp_path, np.zeros(shape, np.uint8))


def test_other_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must have 1 or 3 channels, .*\(6, 9, 9, 2\); select"):
        read(tmp_path, np.zeros((6, 9, 9, 2), np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinite_pixels_are_refused_with_their_number(tmp_path: Path, bad: float) -> None:
    images = GREY / 255
    images[1, 2, :2] = bad
    with pytest.raises(DatasetError, match=r"images: must be finite, got 2 pixels that are NaN"):
        read(tmp_path, images)


@pytest.mark.parametrize(
    ("images", "got"),
    [(GREY / 127.5 - 1, "-1 to "), (GREY.astype(int) + 1000, "got 10.. to 12")],
    ids=["normalised", "16 bits"],
)
def test_pixels_out_of_range_are_refused_with_their_range(
    tmp_path: Path, images: NDArray[Any], got: str
) -> None:
    images.flat[0] = images.min() if images.min() >= 0 else -1
    with pytest.raises(DatasetError, match=rf"must be in 0\.\.1 or 0\.\.255, .*{got}"):
        read(tmp_path, images)


def test_fractions_above_1_are_refused_as_they_fit_neither_range(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be whole numbers where they exceed 1, got 0 to 1"):
        read(tmp_path, np.linspace(0, 1.02, 120).reshape(6, 4, 5))


def test_integers_of_0_and_1_are_refused_as_they_may_be_black_or_white(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be floats if they are in 0..1, got 0 to 1 as int"):
        read(tmp_path, GREY % 2)


def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="images: must be numbers, got <U"):
        read(tmp_path, GREY.astype(str))
    with pytest.raises(DatasetError, match="images: must be numbers, got complex128"):
        read(tmp_path, GREY.astype(complex))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.eye(6), r"must have the shape \(samples,\), got \(6, 6\); save labels.argmax\(1\)"),
        (np.zeros((6, 1, 1), int), r"got \(6, 1, 1\); save one number per image"),
        (
            labels_of(6) + 0.0,
            r"must be integers, the places of .*, got float64; save labels.as",
        ),
        (np.array(list("abcabc")), r"must be integers, the places of classes from 0, got <U1"),
        (labels_of(5), "must hold a label per image, got 5 labels and 6 images; save them tog"),
    ],
    ids=["one-hot", "3 dimensions", "floats", "names", "too few"],
)
def test_labels_that_are_no_integer_per_image_are_refused(
    tmp_path: Path, labels: NDArray[Any], words: str
) -> None:
    with pytest.raises(DatasetError, match=rf"own\.npz: labels: .*{words}"):
        read(tmp_path, GREY, labels)
