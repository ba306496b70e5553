"""A dataset by name or by path: one of the catalogue, or the user's own files. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np

from flexrel_sim.datasets.catalogue import DATASETS
from flexrel_sim.datasets.idx import find_idx, idx_names, read_idx
from flexrel_sim.datasets.info import DatasetInfo, RawDataset, RawParts
from flexrel_sim.datasets.npz import read_npz
from flexrel_sim.datasets.split import train_count
from flexrel_sim.errors import DatasetError
from flexrel_sim.reading import is_file, is_folder, is_there, sha256_of
from flexrel_sim.scenario.suggest import did_you_mean

__all__ = ["open_dataset"]

_FORMS = "an .npz file, a folder of IDX files or a folder of images"

_IDX_FILES: Final = tuple(
    (part, content) for part in ("train", "t10k") for content in ("images", "labels")
)


def open_dataset(name: str, folder: Path) -> DatasetInfo:
    """Find a dataset, and check it if it is the user's own.

    Parameters
    ----------
    name
        A name of `DATASETS`, or the path of an `.npz` (`read_npz` says which arrays), of a folder
        of IDX files under MNIST's names (``train-images-idx3-ubyte.gz`` …, without ``t10k-…`` if
        there is no test part), or of a folder with a subfolder of images per class, perhaps below
        `train` and `test`.
    folder
        Where a relative path starts.

    Returns
    -------
    DatasetInfo
        What there is. A user's dataset was read, is right, and has a `digest` of its files' names
        and contents; where it has a test part of its own, that is what is held out.

    Raises
    ------
    MissingDatasetError
        If the files of a dataset of the catalogue are not installed, or the variable
        ``FLEXREL_HIDE`` lists its name.
    DatasetError
        If there is neither such a name nor such a path; a file is missing, damaged or of another
        form; pixels are NaN, out of range or of several sizes; labels are negative, or all the
        same.
    """
    if name in DATASETS:
        info = DATASETS[name]
        if info.find is not None:
            info.find()
        return info
    path = (folder / name).absolute()
    form = _form(name, path)
    digest = _digest(path, form.files(path))
    parts = _read_parts(path, digest)
    images, labels = parts.train
    channels, height, width = images.shape[1:]
    classes = 1 + max(int(part[1].max()) for part in parts if part is not None)
    trained = labels.size if parts.test else train_count(labels)
    total = labels.size + (parts.test[1].size if parts.test else 0)
    return DatasetInfo(
        name=name,
        description=f"the user's own images, {height}x{width}",
        source=str(path),
        image_shape=(channels, height, width),
        classes=classes,
        train_samples=trained,
        held_out_samples=total - trained,
        read=partial(_read_train, path, digest),
        read_held_out=partial(_read_test, path, digest) if parts.test else None,
        digest=digest,
    )


@dataclass(frozen=True)
class _Form:
    files: Callable[[Path], list[Path]]
    read: Callable[[Path], RawParts]


def _form(name: str, path: Path) -> _Form:
    if is_file(path) and path.suffix.lower() == ".npz":
        return _Form(lambda file: [file], read_npz)
    if is_folder(path):
        if any(find_idx(path, *file) for file in _IDX_FILES):
            return _Form(_idx_files, _read_idx_folder)
        # Pillow is imported by those who have image files.
        from flexrel_sim.datasets import image_folder  # noqa: PLC0415

        return _Form(image_folder.image_files, image_folder.read_image_folder)
    if is_there(path):
        raise DatasetError(f"{path}: must be {_FORMS}, got another file; convert it to one of them")
    if Path(name).name != name or Path(name).suffix:
        raise DatasetError(
            f"{path}: must be {_FORMS}, got a path where nothing is; paths are relative to the"
            " file that names them"
        )
    remedy = f"{did_you_mean(name, DATASETS)}; or give the path of {_FORMS}"
    raise DatasetError(f"unknown dataset, got {name!r}; {remedy}")


def _digest(path: Path, files: list[Path]) -> str:
    if files == [path]:
        # What `sha256sum` gives, so that a user can compare.
        return _digest_of(path)
    lines = [f"{_digest_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _digest_of(file: Path) -> str:
    return sha256_of(file, "make it readable", DatasetError)


# Few: a study has one dataset, and its images are large.
@lru_cache(maxsize=2)
def _read_parts(path: Path, digest: str) -> RawParts:
    form = _form(path.name, path)
    parts = form.read(path)
    if _digest(path, form.files(path)) != digest:
        raise DatasetError(f"{path}: has changed since it was checked; run again")
    _check_labels(path, parts)
    return parts


def _read_train(path: Path, digest: str) -> RawDataset:
    return _read_parts(path, digest).train


def _read_test(path: Path, digest: str) -> RawDataset:
    parts = _read_parts(path, digest)
    return parts.test or parts.train


def _check_labels(path: Path, parts: RawParts) -> None:
    both = [part for part in parts if part is not None]
    shapes = [list(images.shape[1:]) for images, _ in both]
    if shapes[0] != shapes[-1]:
        raise DatasetError(
            f"{path}: must have one size of images, got {shapes[0]} to train on and {shapes[1]} to"
            " test with (channels, height, width); resize them, they are not resized here"
        )
    found = np.unique(np.concatenate([labels for _, labels in both]))
    if found.size < 2 or found[0] < 0:
        shown = f"{found[:20].tolist()}{' and more' if found.size > 20 else ''}"
        raise DatasetError(
            f"{path}: must have labels that are places of the network's outputs, from 0, and at"
            f" least two of them, got {shown}; number the classes from 0"
        )


def _idx_files(folder: Path) -> list[Path]:
    wanted = _IDX_FILES[:2]
    if any(find_idx(folder, *file) for file in _IDX_FILES[2:]):
        wanted = _IDX_FILES
    found = [(file, find_idx(folder, *file)) for file in wanted]
    missing = [idx_names(*file)[1] for file, path in found if path is None]
    if missing:
        raise DatasetError(
            f"{folder}: must hold all files of an IDX dataset, got none called {missing[0]!r};"
            " add it"
        )
    return [path for _, path in found if path is not None]


def _read_idx_folder(folder: Path) -> RawParts:
    files = _idx_files(folder)
    parts: list[RawDataset] = []
    for images_file, labels_file in zip(files[::2], files[1::2], strict=True):
        images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
        if len(images) != len(labels):
            raise DatasetError(
                f"{labels_file}: must hold a label per image, got {len(labels)} labels and"
                f" {len(images)} images; fetch both again"
            )
        if images.size == 0:
            raise DatasetError(
                f"{images_file}: must hold images, got the shape {list(images.shape)};"
                " fetch it again"
            )
        parts.append((images[:, None], labels.astype(np.int64)))
    return RawParts(parts[0], parts[1] if len(parts) > 1 else None)
