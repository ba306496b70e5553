"""What is known of a dataset, and its images: read once per process. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DatasetInfo", "Images", "RawDataset", "RawParts", "read_part", "scaled"]

Images = NDArray[np.uint8] | NDArray[np.float32]
"""Shape ``(samples, channels, height, width)``: bytes, or float32 in 0..1."""

RawDataset = tuple[Images, NDArray[np.int64]]
"""Images and labels, shapes ``(samples, channels, height, width)`` and ``(samples,)``."""


class RawParts(NamedTuple):
    """What a user's files hold: the training part, and a test part if they have one."""

    train: RawDataset
    test: RawDataset | None


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset without reading it.

    Parameters
    ----------
    name
        Its name in a scenario.
    description
        What it shows.
    source
        Where the files come from.
    image_shape
        Channels, height, width.
    classes
        Number of classes: the largest label and one. A user's own data need not show all of them.
    train_samples, held_out_samples
        Sizes of the part that training sees, and of the part that it never sees.
    read
        Gives all images and labels; those of the training part where `read_held_out` is given.
    read_held_out
        Gives the images and labels of the dataset's own test part, which then is what training
        never sees; None where the dataset has one part, of which 40 % are held out.
    digest
        SHA-256 of a user's dataset; empty for those of the catalogue, which their names tell.
    find
        Raises DatasetError with what to install if the files are not there; None where they come
        with this package's requirements.
    """

    name: str
    description: str
    source: str
    image_shape: tuple[int, int, int]
    classes: int
    train_samples: int
    held_out_samples: int
    # Out of comparison: a worker's copy of a dataset is the same dataset.
    read: Callable[[], RawDataset] = field(compare=False)
    read_held_out: Callable[[], RawDataset] | None = field(default=None, compare=False)
    digest: str = ""
    find: Callable[[], object] | None = field(default=None, compare=False)


@cache
def read_part(info: DatasetInfo, part: Literal["train", "held-out"]) -> RawDataset:
    """Read a dataset's own training or test part, or all of one that has no parts of its own.

    Parameters
    ----------
    info
        The dataset.
    part
        Which part; without effect on a dataset that has no parts of its own.

    Returns
    -------
    images, labels
        As `RawDataset`; the same objects every time in one process.

    Raises
    ------
    DatasetError
        If the files are missing, damaged, or not what they were when they were opened.
    """
    if info.read_held_out is None:
        return _read_all(info)
    return info.read() if part == "train" else info.read_held_out()


@cache
def _read_all(info: DatasetInfo) -> RawDataset:
    return info.read()


def scaled(images: Images) -> NDArray[np.float32]:
    """Give images as float32 in 0..1: bytes are divided by 255.

    Parameters
    ----------
    images
        Any shape.
    """
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    return images.astype(np.float32, copy=False)
