import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from flexrel_sim.datasets.idx import find_idx, read_idx
from flexrel_sim.errors import DatasetError
from tests.datasets.files import idx_bytes, labels_of, random_images, write_idx

uint8_arrays = arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx")


@given(array=uint8_arrays, zipped=st.booleans())
def test_what_was_written_is_read_back_plain_or_gzipped(
    folder: Path, array: NDArray[np.uint8], zipped: bool
) -> None:
    # The name says nothing: only the first bytes tell whether a file is gzipped.
    read = read_idx(write_idx(folder / "images.idx", array, zipped), array.ndim)
    assert read.dtype == np.uint8
    assert read.shape == array.shape
    assert np.array_equal(read, array)


@given(array=uint8_arrays, data=st.data())
def test_a_file_of_any_other_length_is_refused(
    folder: Path, array: NDArray[np.uint8], data: st.DataObject
) -> None:
    whole = idx_bytes(array)
    length = data.draw(st.integers(0, len(whole) + 3).filter(lambda n: n != len(whole)))
    file = folder / "cut.idx"
    file.write_bytes((whole + b"\0\0\0")[:length])
    with pytest.raises(DatasetError, match=r"cut\.idx: (is truncated|is longer|must be an IDX)"):
        read_idx(file, array.ndim)


@pytest.mark.parametrize("kept", [12, 30, -1, -9])
def test_a_truncated_gzip_is_refused(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "images.gz"
    file.write_bytes(gzip.compress(idx_bytes(random_images(50)))[:kept])
    with pytest.raises(DatasetError, match=r"images\.gz: can't be read: .*; fetch it again"):
        read_idx(file, 3)


@pytest.mark.parametrize("place", [-6, 200])
def test_a_damaged_gzip_is_refused(tmp_path: Path, place: int) -> None:
    data = bytearray(gzip.compress(idx_bytes(random_images(50))))
    data[place] ^= 0xFF
    file = tmp_path / "images.gz"
    file.write_bytes(data)
    with pytest.raises(DatasetError, match=r"images\.gz: can't be read: .*; fetch it again"):
        read_idx(file, 3)


def test_a_missing_file_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none: can't be read: No such file or directory"):
        read_idx(tmp_path / "none", 3)


def test_a_file_of_another_format_is_refused_with_its_first_bytes(tmp_path: Path) -> None:
    file = tmp_path / "images"
    file.write_bytes(b"\x89PNG and so on")
    with pytest.raises(DatasetError, match="must be an IDX file, .*, got 89 50 4e 47"):
        read_idx(file, 3)
    file.write_bytes(b"")
    with pytest.raises(DatasetError, match="must be an IDX file, .*, got an empty file"):
        read_idx(file, 3)


def test_other_numbers_than_unsigned_bytes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "images"
    file.write_bytes(b"\0\0\x0d" + idx_bytes(random_images(2))[3:])
    with pytest.raises(DatasetError, match=r"unsigned bytes \(IDX type 0x08\), got 0x0d"):
        read_idx(file, 3)


def test_images_where_labels_should_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must have 1 dimension, got 3; .*mixed up"):
        read_idx(write_idx(tmp_path / "a", random_images(2)), 1)
    with pytest.raises(DatasetError, match="must have 3 dimensions, got 1; .*mixed up"):
        read_idx(write_idx(tmp_path / "b", labels_of(2)), 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_that_announces_exabytes_allocates_none(tmp_path: Path, zipped: bool) -> None:
    data = b"\0\0\x08\x03" + b"\xff" * 12 + b"few"
    file = tmp_path / "images"
    file.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(DatasetError, match="would unfold to 79,228,162,.* bytes, more than"):
        read_idx(file, 3)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_found_under_the_names_in_use(tmp_path: Path, name: str, suffix: str) -> None:
    assert find_idx(tmp_path, "train", "images") is None
    file = write_idx(tmp_path / f"{name}{suffix}", random_images(1))
    assert find_idx(tmp_path, "train", "images") == file
    assert find_idx(tmp_path, "t10k", "images") is None
