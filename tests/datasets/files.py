"""Datasets written for a test: IDX files, `.npz`, folders of images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flexrel_sim.datasets import DATASETS
from flexrel_sim.errors import DatasetError


def _installed() -> bool:
    find = DATASETS["fashion-mnist"].find
    assert find is not None
    try:
        find()
    except DatasetError:
        return False
    return True


needs_fashion = pytest.mark.skipif(
    not _installed(), reason="Debian's dataset-fashion-mnist is not installed"
)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Write IDX as LeCun describes it, by hand."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write_idx(file: Path, array: NDArray[np.uint8], zipped: bool = False) -> Path:
    data = idx_bytes(array)
    file.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return file


def random_images(count: int, size: tuple[int, ...] = (4, 5), seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *size), dtype=np.uint8)


def labels_of(count: int, classes: int = 3) -> NDArray[np.uint8]:
    return np.arange(count, dtype=np.uint8) % classes


def write_mnist_like(folder: Path, test: bool = True, zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".gz" if zipped else ""
    for part, count in (("train", 12), ("t10k", 6)) if test else (("train", 12),):
        images = random_images(count, seed=count)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images, zipped)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels_of(count), zipped)
    return folder


def write_image(file: Path, array: NDArray[np.uint8], mode: str | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file)
    return file


def write_image_folder(folder: Path, count: int = 5, size: tuple[int, ...] = (4, 5)) -> Path:
    for number, name in enumerate(("cat", "dog", "emu")):
        for index, array in enumerate(random_images(count, size, seed=number)):
            write_image(folder / name / f"{index}.png", array)
    return folder
