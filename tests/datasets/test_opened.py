import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.datasets import (
    DATASETS,
    DatasetInfo,
    evaluation_samples,
    fashion,
    held_out,
    open_dataset,
    train_samples,
)
from flexrel_sim.errors import DatasetError
from tests.datasets.files import (
    labels_of,
    random_images,
    write_idx,
    write_image_folder,
    write_mnist_like,
)

FORMS = {
    "own.npz": lambda path: np.savez(path, images=random_images(15), labels=labels_of(15)),
    "keras.npz": lambda path: np.savez(
        path,
        x_train=random_images(12),
        y_train=labels_of(12),
        x_test=random_images(6, seed=1),
        y_test=labels_of(6),
    ),
    "idx": write_mnist_like,
    "idx-train": lambda path: write_mnist_like(path, test=False, zipped=False),
    "images": write_image_folder,
    "parts": lambda path: [write_image_folder(path / part) for part in ("train", "test")],
}

forms = pytest.mark.parametrize("name", FORMS)


def opened(folder: Path, name: str) -> DatasetInfo:
    FORMS[name](folder / name)
    return open_dataset(name, folder)


def test_a_name_of_the_catalogue_is_that_dataset(tmp_path: Path) -> None:
    assert open_dataset("digits", tmp_path) is DATASETS["digits"]
    assert DATASETS["digits"].digest == ""


def test_a_dataset_of_the_catalogue_that_is_not_installed_is_refused_on_opening(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("FLEXREL_DATA", "FLEXREL_HIDE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fashion, "_PACKAGED", tmp_path)
    with pytest.raises(DatasetError, match="'apt-get install dataset-fashion-mnist'"):
        open_dataset("fashion-mnist", tmp_path)


@forms
def test_a_users_dataset_is_what_its_files_hold(tmp_path: Path, name: str) -> None:
    info = opened(tmp_path, name)
    assert (info.name, info.image_shape, info.classes) == (name, (1, 4, 5), 3)
    train, rest = train_samples(info), held_out(info)
    assert train.labels.size == info.train_samples
    assert rest.labels.size == info.held_out_samples
    assert train.images.dtype == rest.images.dtype == np.float32
    everything = np.concatenate([train.indices, rest.indices])
    assert np.array_equal(np.sort(everything), np.arange(everything.size))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("keras.npz", (12, 6)), ("idx", (12, 6)), ("parts", (15, 15))],
)
def test_a_test_part_of_its_own_is_what_is_held_out(
    tmp_path: Path, name: str, sizes: tuple[int, int]
) -> None:
    info = opened(tmp_path, name)
    assert (info.train_samples, info.held_out_samples) == sizes
    assert held_out(info).indices.tolist() == list(range(sizes[0], sum(sizes)))


@pytest.mark.parametrize(
    ("name", "sizes"), [("own.npz", (9, 6)), ("idx-train", (6, 6)), ("images", (9, 6))]
)
def test_without_a_test_part_40_percent_of_every_class_are_held_out(
    tmp_path: Path, name: str, sizes: tuple[int, int]
) -> None:
    info = opened(tmp_path, name)
    assert (info.train_samples, info.held_out_samples) == sizes
    assert np.bincount(held_out(info).labels).tolist() == [sizes[1] // 3] * 3


@forms
def test_evaluation_draws_from_a_users_dataset(tmp_path: Path, name: str) -> None:
    info = opened(tmp_path, name)
    drawn = evaluation_samples(info, 3, 1, 2, 0)
    assert drawn.calibration.labels.tolist().count(1) == 1
    assert np.isin(drawn.test.indices, held_out(info).indices).all()


@forms
def test_a_workers_copy_is_the_same_dataset_and_reads_the_same(tmp_path: Path, name: str) -> None:
    info = opened(tmp_path, name)
    copy = pickle.loads(pickle.dumps(info))  # noqa: S301 - our own
    assert copy == info
    assert np.array_equal(copy.read()[0], info.read()[0])


def test_a_path_may_be_absolute_or_start_elsewhere(tmp_path: Path) -> None:
    info = opened(tmp_path, "own.npz")
    assert open_dataset(str(tmp_path / "own.npz"), Path("/")).digest == info.digest
    (tmp_path / "below").mkdir()
    assert open_dataset("../own.npz", tmp_path / "below").digest == info.digest


def test_the_digest_of_an_npz_is_what_sha256sum_gives(tmp_path: Path) -> None:
    info = opened(tmp_path, "own.npz")
    assert info.digest == hashlib.sha256((tmp_path / "own.npz").read_bytes()).hexdigest()


@forms
def test_the_digest_follows_from_the_files_and_not_from_the_place(
    tmp_path: Path, name: str
) -> None:
    info = opened(tmp_path, name)
    other = tmp_path / "elsewhere" / name
    other.parent.mkdir()
    (shutil.copytree if other.suffix == "" else shutil.copy)(tmp_path / name, other)
    assert open_dataset(name, tmp_path / "elsewhere").digest == info.digest


@pytest.mark.parametrize("change", ["content", "class", "one more"])
def test_the_digest_changes_with_an_image_a_class_or_a_file(tmp_path: Path, change: str) -> None:
    before = opened(tmp_path, "images")
    cat = tmp_path / "images" / "cat"
    if change == "content":
        shutil.copy(cat / "0.png", cat / "1.png")
    elif change == "class":
        cat.rename(tmp_path / "images" / "fox")
    else:
        shutil.copy(cat / "0.png", cat / "9.png")
    after = open_dataset("images", tmp_path)
    assert after.digest != before.digest
    assert after != before


def test_files_that_change_after_they_were_opened_are_refused(tmp_path: Path) -> None:
    info = opened(tmp_path, "own.npz")
    # What was read is kept, as long as few others were read since.
    for other in ("idx", "images", "parts"):
        opened(tmp_path, other)
    np.savez(tmp_path / "own.npz", images=random_images(15, seed=9), labels=labels_of(15))
    with pytest.raises(DatasetError, match=r"own\.npz: has changed since it was checked; run ag"):
        info.read()


@pytest.mark.parametrize("name", ["fashion_mnist", "digit", ""])
def test_an_unknown_name_is_refused_with_the_nearest_or_as_a_folder(
    tmp_path: Path, name: str
) -> None:
    words = "no images found" if name == "" else f"unknown dataset, got '{name}'; did you mean "
    with pytest.raises(DatasetError, match=words):
        open_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["none.npz", "below/none", "../none"])
def test_a_path_where_nothing_is_is_refused(tmp_path: Path, name: str) -> None:
    words = "none.*: must be an .npz file, .*, got a path where nothing is; paths are relative"
    with pytest.raises(DatasetError, match=words):
        open_dataset(name, tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", random_images(3))
    with pytest.raises(DatasetError, match=r"own\.npy: must be an .npz file, .* another file"):
        open_dataset("own.npy", tmp_path)


def test_an_unreadable_file_is_refused_with_the_systems_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.savez(tmp_path / "own.npz", images=random_images(15), labels=labels_of(15))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(DatasetError, match=r"own\.npz: can't be read: Permission denied; make"):
        open_dataset("own.npz", tmp_path)


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        ([-1, 0, 1] * 5, r"\[-1, 0, 1\]"),
        ([4] * 15, r"\[4\]"),
        (list(range(-1, 31)), r"\[-1, 0, .*\] and"),
    ],
    ids=["negative", "a single class", "many"],
)
def test_labels_that_are_no_places_of_outputs_are_refused(
    tmp_path: Path, labels: list[int], got: str
) -> None:
    np.savez(tmp_path / "own.npz", images=random_images(len(labels)), labels=labels)
    with pytest.raises(DatasetError, match=f"own.npz: must have labels that .*, got {got}"):
        open_dataset("own.npz", tmp_path)


def test_labels_may_have_gaps_and_the_largest_says_how_many_outputs_are_needed(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "own.npz", images=random_images(15), labels=[2, 7, 400] * 5)
    info = open_dataset("own.npz", tmp_path)
    assert info.classes == 401
    assert sorted(set(held_out(info).labels)) == [2, 7, 400]


def test_a_class_of_one_sample_is_held_out(tmp_path: Path) -> None:
    """Twenty photos of twenty classes can judge a network that came trained."""
    np.savez(tmp_path / "own.npz", images=random_images(20), labels=50 * np.arange(20))
    info = open_dataset("own.npz", tmp_path)
    assert (info.train_samples, info.held_out_samples, info.classes) == (0, 20, 951)
    assert evaluation_samples(info, 0, 10, 10, 0).calibration.labels.size == 0


def test_the_test_part_may_have_other_classes_than_the_training_part(tmp_path: Path) -> None:
    images = random_images(4)
    np.savez(
        tmp_path / "own.npz", x_train=images, y_train=[0, 1, 2, 2], x_test=images, y_test=[0, 5] * 2
    )
    info = open_dataset("own.npz", tmp_path)
    assert info.classes == 6
    assert held_out(info).labels.tolist() == [0, 5, 0, 5]


def test_parts_of_several_sizes_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "own.npz",
        x_train=random_images(4),
        y_train=labels_of(4),
        x_test=random_images(4, (5, 5)),
        y_test=labels_of(4),
    )
    with pytest.raises(DatasetError, match=r"one size of images, got \[1, 4, 5\] .*\[1, 5, 5\]"):
        open_dataset("own.npz", tmp_path)


@pytest.mark.parametrize("missing", ["train-images", "t10k-labels"])
def test_an_idx_folder_without_one_of_its_files_is_refused(tmp_path: Path, missing: str) -> None:
    write_mnist_like(tmp_path / "idx")
    (file,) = (tmp_path / "idx").glob(f"{missing}*")
    file.unlink()
    with pytest.raises(DatasetError, match=f"idx: must hold all files .* none called '{missing}-"):
        open_dataset("idx", tmp_path)


def test_idx_files_of_other_counts_are_refused(tmp_path: Path) -> None:
    write_mnist_like(tmp_path / "idx", zipped=False)
    write_idx(tmp_path / "idx" / "t10k-labels-idx1-ubyte", labels_of(5))
    with pytest.raises(DatasetError, match="a label per image, got 5 labels and 6 images; fetch"):
        open_dataset("idx", tmp_path)


def test_idx_files_without_images_are_refused(tmp_path: Path) -> None:
    write_mnist_like(tmp_path / "idx", test=False, zipped=False)
    write_idx(tmp_path / "idx" / "train-images-idx3-ubyte", random_images(12, (0, 5)))
    with pytest.raises(DatasetError, match=r"must hold images, got the shape \[12, 0, 5\]; fetch"):
        open_dataset("idx", tmp_path)


def test_a_truncated_idx_file_is_refused_by_name(tmp_path: Path) -> None:
    write_mnist_like(tmp_path / "idx")
    file = tmp_path / "idx" / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DatasetError, match=r"t10k-images-idx3-ubyte\.gz: can't be read: "):
        open_dataset("idx", tmp_path)
