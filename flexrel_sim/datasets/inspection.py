"""What is in the parts of a draw: classes, images that are there twice, and empty ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.datasets.info import DatasetInfo, Images
from flexrel_sim.datasets.split import drawn_rows, train_part
from flexrel_sim.scenario.data_sections import Balance, DataSection

__all__ = ["DrawnPart", "Inspection", "inspect_draw"]


@dataclass(frozen=True)
class DrawnPart:
    """What is in calibration, validation or test.

    Parameters
    ----------
    counts
        Samples of every class that occurs.
    images
        How many there are.
    repeated
        How many of them are also in a part that comes before: training, calibration, validation.
    distinct
        How many different ones there are.
    constant
        How many are of one value everywhere.
    """

    counts: dict[int, int]
    images: int
    repeated: int = 0
    distinct: int = 0
    constant: int = 0


@dataclass(frozen=True)
class Inspection:
    """What is in all parts, and which classes the held-out part has at all."""

    calibration: DrawnPart
    validation: DrawnPart
    test: DrawnPart
    classes: frozenset[int]


def inspect_draw(
    info: DatasetInfo, data: DataSection, balance: Balance, *, trained: bool
) -> Inspection:
    """Look at what a data section draws.

    Parameters
    ----------
    info
        A dataset.
    data, balance
        How many samples of which classes.
    trained
        Whether the network was trained on its training part.

    Returns
    -------
    Inspection
        Classes; and of a user's own images, by a hash of their bytes, which are there twice.

    Raises
    ------
    DatasetError
        If there are too few samples, or they can't be read.
    """
    sizes = (data.calibration, data.validation, data.test)
    part, draws = drawn_rows(info, sizes, data.seed, data.deployment, balance=balance)
    # Those of the catalogue were looked at when they were put in.
    own = bool(info.digest)
    seen: set[bytes] = set()
    if own and trained:
        before = train_part(info)
        seen.update(_digests(before.images, before.rows))
    found = []
    for rows in draws:
        counts = np.unique_counts(part.labels[rows])
        drawn = dict(zip(counts.values.tolist(), counts.counts.tolist(), strict=True))
        if own:
            digests = _digests(part.images, rows)
            found.append(
                DrawnPart(
                    drawn,
                    rows.size,
                    sum(digest in seen for digest in digests),
                    len(set(digests)),
                    sum(bool(image.min() == image.max()) for image in part.images[rows]),
                )
            )
            seen.update(digests)
        else:
            found.append(DrawnPart(drawn, rows.size, distinct=rows.size))
    calibration, validation, test = found
    classes = frozenset(part.labels[part.rows].tolist())
    return Inspection(calibration, validation, test, classes)


def _digests(images: Images, rows: NDArray[np.int64]) -> list[bytes]:
    return [hashlib.blake2b(images[row].tobytes(), digest_size=16).digest() for row in rows]
