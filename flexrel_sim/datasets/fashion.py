"""Fashion-MNIST from its four IDX files, which Debian packages. No torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import numpy as np

from flexrel_sim.datasets.idx import find_idx, read_idx
from flexrel_sim.datasets.info import DatasetInfo, RawDataset
from flexrel_sim.errors import DatasetError, MissingDatasetError

__all__ = ["FASHION_MNIST"]

_VARIABLE = "FLEXREL_DATA"
_HIDDEN = "FLEXREL_HIDE"
_NAME = "fashion-mnist"
_PACKAGED = Path("/usr/share/datasets/fashion-mnist")

# Of the numbers without their IDX header. The files of MNIST have the same names and shapes.
_SHA256: Final = {
    ("train", "images"): "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    ("train", "labels"): "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    ("t10k", "images"): "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    ("t10k", "labels"): "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
}


def _find() -> Path:
    if _NAME in os.environ.get(_HIDDEN, "").split(","):
        remedy = f"take {_NAME} out of the variable {_HIDDEN}"
        raise MissingDatasetError(_NAME, f"is hidden as if not installed, so not checked; {remedy}")
    own = os.environ.get(_VARIABLE)
    folders = [Path(own) / _NAME, Path(own)] if own else []
    for folder in (*folders, _PACKAGED):
        if all(find_idx(folder, part, content) for part, content in _SHA256):
            return folder
    remedy = f"or put its four IDX files in a folder and name it in the variable {_VARIABLE}"
    looked = ", ".join(str(folder) for folder in (*folders, _PACKAGED))
    raise MissingDatasetError(
        _NAME,
        f"is not installed, so not checked; looked in {looked};"
        f" install them with 'apt-get install dataset-fashion-mnist', {remedy}",
    )


def _read(part: str) -> RawDataset:
    folder = _find()
    arrays = []
    for content, dimensions in (("images", 3), ("labels", 1)):
        file = find_idx(folder, part, content) or folder
        array = read_idx(file, dimensions)
        if hashlib.sha256(array.tobytes()).hexdigest() != _SHA256[part, content]:
            raise DatasetError(
                f"{file}: must be Fashion-MNIST's, got other {content} of the shape"
                f" {list(array.shape)}; to use your own, name the folder as data.dataset"
            )
        arrays.append(array)
    images, labels = arrays
    return images[:, None], labels.astype(np.int64)


def _read_train() -> RawDataset:
    return _read("train")


def _read_test() -> RawDataset:
    return _read("t10k")


FASHION_MNIST: Final = DatasetInfo(
    name=_NAME,
    description="clothes, shoes and bags, 28x28",
    source="Debian package dataset-fashion-mnist (Xiao, Rasul, Vollgraf 2017, MIT)",
    image_shape=(1, 28, 28),
    classes=10,
    train_samples=60_000,
    held_out_samples=10_000,
    read=_read_train,
    read_held_out=_read_test,
    find=_find,
)
"""Fashion-MNIST: the official 60,000 to train on, the official 10,000 held out."""
