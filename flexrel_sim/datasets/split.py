"""Which samples serve what: training, calibration, validation and test never share one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.datasets.catalogue import read_raw
from flexrel_sim.errors import DatasetError

__all__ = ["EvaluationSamples", "Samples", "evaluation_samples", "held_out", "train_samples"]

_TRAIN_SHARE = 0.6

# Fixes which part training sees, for ever: a shipped network must stay ignorant of the other.
_PART_SEED = 20240522


@dataclass(frozen=True)
class Samples:
    """Some samples of a dataset.

    Parameters
    ----------
    images
        Shape ``(samples, channels, height, width)``, float32 in 0..1.
    labels
        Shape ``(samples,)``.
    indices
        Their places in the dataset, shape ``(samples,)``.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationSamples:
    """Held-out samples, by what they serve."""

    calibration: Samples
    validation: Samples
    test: Samples


def train_samples(dataset: str) -> Samples:
    """Give the part of a dataset that training sees: 60 % of every class."""
    return _taken(dataset, _parts(dataset)[0])


def held_out(dataset: str) -> Samples:
    """Give the part of a dataset that no training sees: 40 % of every class."""
    return _taken(dataset, _parts(dataset)[1])


def evaluation_samples(
    dataset: str, calibration: int, validation: int, test: int, seed: int
) -> EvaluationSamples:
    """Draw calibration, validation and test samples, class by class, none of them twice.

    Parameters
    ----------
    dataset
        Name of the dataset.
    calibration, validation, test
        How many of each.
    seed
        Seed of the draw.

    Returns
    -------
    EvaluationSamples
        The three disjoint draws from the held-out part.

    Raises
    ------
    DatasetError
        If the held-out part is smaller than their sum.
    """
    _, labels = read_raw(dataset)
    indices = _parts(dataset)[1]
    wanted = calibration + validation + test
    if wanted > indices.size:
        raise DatasetError(f"{dataset}: has {indices.size} held-out samples, not {wanted}")
    rng = np.random.default_rng(seed)
    shuffled = indices[rng.permutation(indices.size)]
    # By rank within the class, then by class: any run of samples then holds all classes evenly.
    ranks = np.empty(shuffled.size, dtype=np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels[shuffled] == label)
        ranks[of_class] = np.arange(of_class.size)
    ordered = shuffled[np.lexsort((labels[shuffled], ranks))]
    bounds = np.cumsum([calibration, validation, test])
    first, second, third, _ = np.split(ordered, bounds)
    return EvaluationSamples(*(_taken(dataset, np.sort(part)) for part in (first, second, third)))


def _parts(dataset: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _, labels = read_raw(dataset)
    rng = np.random.default_rng(_PART_SEED)
    train, rest = [], []
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        count = round(_TRAIN_SHARE * of_class.size)
        train.append(of_class[:count])
        rest.append(of_class[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(rest))


def _taken(dataset: str, indices: NDArray[np.int64]) -> Samples:
    images, labels = read_raw(dataset)
    return Samples(images[indices], labels[indices], indices)
