import shutil
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.datasets import DATASETS, evaluation_samples, fashion, held_out, train_samples
from flexrel_sim.errors import DatasetError, MissingDatasetError
from tests.datasets.files import needs_fashion, write_mnist_like

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
FASHION = DATASETS["fashion-mnist"]


@pytest.fixture(autouse=True)
def _not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEXREL_HIDE", raising=False)


def found() -> object:
    assert FASHION.find is not None
    return FASHION.find()


@needs_fashion
def test_training_and_held_out_parts_are_the_official_ones() -> None:
    train, test = train_samples("fashion-mnist", 500), held_out("fashion-mnist")
    assert FASHION.train_samples == 60_000
    assert np.bincount(test.labels).tolist() == [1000] * 10
    # The first labels of the published test file: boot, pullover, trouser, trouser, shirt.
    assert test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    assert test.indices.tolist() == list(range(60_000, 70_000))
    assert train.indices.max() < 60_000


@needs_fashion
def test_evaluation_reads_the_held_out_files_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in PACKAGED.glob("t10k*"):
        shutil.copy(file, tmp_path)
    for content in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{content}-ubyte").write_bytes(b"never read")
    monkeypatch.setenv("FLEXREL_DATA", str(tmp_path))
    assert FASHION.read_held_out is not None
    assert FASHION.read_held_out()[0].shape == (10_000, 1, 28, 28)
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte: must be an IDX file"):
        FASHION.read()


@needs_fashion
def test_the_three_draws_are_disjoint_and_stratified() -> None:
    drawn = evaluation_samples("fashion-mnist", 200, 500, 1000, 3)
    parts = [drawn.calibration, drawn.validation, drawn.test]
    assert [np.bincount(part.labels).tolist() for part in parts] == [
        [size] * 10 for size in (20, 50, 100)
    ]
    assert np.unique(np.concatenate([part.indices for part in parts])).size == 1700


@pytest.mark.parametrize("below", ["fashion-mnist", "."])
def test_the_variable_names_the_folder_or_the_one_above_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, below: str
) -> None:
    monkeypatch.setenv("FLEXREL_DATA", str(tmp_path))
    write_mnist_like(tmp_path / below)
    assert found() == tmp_path / below


def test_without_the_variable_the_packaged_files_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FLEXREL_DATA", raising=False)
    monkeypatch.setattr(fashion, "_PACKAGED", write_mnist_like(tmp_path))
    assert found() == tmp_path


def test_missing_files_are_refused_with_what_to_install_and_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEXREL_DATA", str(tmp_path / "own"))
    monkeypatch.setattr(fashion, "_PACKAGED", tmp_path / "packaged")
    words = "own/fashion-mnist, .*packaged; .*'apt-get install dataset-fashion-mnist', .*"
    with pytest.raises(MissingDatasetError, match=f"fashion-mnist: is not .*{words}FLEXREL_DATA"):
        found()


def test_a_variable_hides_the_dataset_as_if_it_were_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEXREL_DATA", str(write_mnist_like(tmp_path)))
    monkeypatch.setenv("FLEXREL_HIDE", "other,fashion-mnist")
    with pytest.raises(MissingDatasetError, match="take fashion-mnist out of .* FLEXREL_HIDE"):
        found()
    monkeypatch.setenv("FLEXREL_HIDE", "fashion")
    assert found() == tmp_path


def test_the_error_crosses_processes_whole() -> None:
    maker, parts = MissingDatasetError("some", "is not there; fetch it").__reduce__()
    error = maker(*parts)
    assert (error.dataset, str(error)) == ("some", "some: is not there; fetch it")


def test_the_files_of_another_dataset_under_the_same_names_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEXREL_DATA", str(write_mnist_like(tmp_path)))
    for read in (FASHION.read, FASHION.read_held_out):
        assert read is not None
        words = r"-images-idx3-ubyte.gz: must be Fashion-MNIST's, got other images of the shape"
        with pytest.raises(DatasetError, match=words):
            read()
