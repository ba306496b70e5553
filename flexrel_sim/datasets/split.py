"""Which samples serve what: training, calibration, validation and test never share one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.datasets.catalogue import DATASETS
from flexrel_sim.datasets.deployment import corrupted
from flexrel_sim.datasets.info import DatasetInfo, Images, read_part, scaled
from flexrel_sim.errors import DatasetError
from flexrel_sim.scenario.data_sections import Balance, DeploymentSection

__all__ = [
    "EvaluationSamples",
    "Part",
    "Samples",
    "drawn_rows",
    "evaluation_samples",
    "held_out",
    "held_out_count",
    "train_count",
    "train_part",
    "train_samples",
]

_TRAIN_SHARE = 0.6

# Fixes which part training sees, for ever: a shipped network must stay ignorant of the other.
_PART_SEED = 20240522

# Fixes which samples a network that is trained on fewer than all of that part sees.
_SUBSET_SEED = 20240523


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
        Their places in the dataset, shape ``(samples,)``; those of a dataset's own test part
        follow those of its training part.
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


@dataclass(frozen=True)
class Part:
    """A part of a dataset: rows of the arrays it is read into, and where these arrays start."""

    images: Images
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    first: int

    def samples(self, rows: NDArray[np.int64]) -> Samples:
        """Give some rows as samples."""
        return Samples(scaled(self.images[rows]), self.labels[rows], rows + self.first)


def train_samples(dataset: str | DatasetInfo, count: int | None = None) -> Samples:
    """Give the part of a dataset that training sees, or some of it.

    Parameters
    ----------
    dataset
        Name in the catalogue, or what `open_dataset` gave.
    count
        How many samples, with the classes as frequent as in all of them; always the same ones, and
        among those of any larger count. All when None: the dataset's own training part, or 60 % of
        every class.

    Returns
    -------
    Samples
        In the order of the dataset.

    Raises
    ------
    DatasetError
        If there are fewer than `count`.
    """
    info = _info(dataset)
    part = train_part(info)
    if count is None:
        return part.samples(part.rows)
    if count > part.rows.size:
        raise DatasetError(f"{info.name}: has {part.rows.size} training samples, not {count}")
    ordered = _in_proportion(part.rows, part.labels, _SUBSET_SEED)
    return part.samples(np.sort(ordered[:count]))


def held_out(dataset: str | DatasetInfo) -> Samples:
    """Give the part that no training sees: the dataset's own test part, or 40 % of every class.

    Parameters
    ----------
    dataset
        Name in the catalogue, or what `open_dataset` gave.
    """
    part = _held_out_part(_info(dataset))
    return part.samples(part.rows)


def held_out_count(dataset: str | DatasetInfo, classes: Collection[int]) -> int:
    """Count the held-out samples of some classes.

    Parameters
    ----------
    dataset
        Name in the catalogue, or what `open_dataset` gave.
    classes
        Labels.
    """
    part = _held_out_part(_info(dataset))
    return int(np.isin(part.labels[part.rows], list(classes)).sum())


def evaluation_samples(  # noqa: PLR0913 - three parts, how they are drawn, and from what
    dataset: str | DatasetInfo,
    calibration: int,
    validation: int,
    test: int,
    seed: int,
    deployment: DeploymentSection | None = None,
    *,
    balance: Balance = "natural",
) -> EvaluationSamples:
    """Draw calibration, validation and test samples, none of them twice.

    Parameters
    ----------
    dataset
        Name in the catalogue, or what `open_dataset` gave.
    calibration, validation, test
        How many of each.
    seed
        Seed of the draw, and of the deployment's noise.
    deployment
        What all three draws look like: which classes occur, with the labels they always have, and
        what the images suffer from. Nothing differs from the dataset when None.
    balance
        Whether calibration holds every class as often as the data do, or all equally often as long
        as they last; validation and test are the same samples in both cases.

    Returns
    -------
    EvaluationSamples
        The three disjoint draws from the held-out part, each with the classes as frequent as there.

    Raises
    ------
    DatasetError
        If the held-out part, or what it has of the deployed classes, is smaller than their sum.
    """
    sizes = (calibration, validation, test)
    part, draws = drawn_rows(dataset, sizes, seed, deployment, balance=balance)
    samples = (part.samples(draw) for draw in draws)
    given = deployment or DeploymentSection()
    return EvaluationSamples(*(_deployed(one, given, seed) for one in samples))


def drawn_rows(
    dataset: str | DatasetInfo,
    sizes: tuple[int, int, int],
    seed: int,
    deployment: DeploymentSection | None = None,
    *,
    balance: Balance = "natural",
) -> tuple[Part, tuple[NDArray[np.int64], ...]]:
    """Choose calibration, validation and test rows, without their images.

    Parameters
    ----------
    dataset, seed, deployment, balance
        As in `evaluation_samples`.
    sizes
        How many of each.

    Returns
    -------
    part, rows
        The held-out part, and rows of its arrays, rising.

    Raises
    ------
    DatasetError
        As there.
    """
    info = _info(dataset)
    part = _held_out_part(info)
    deployment = deployment or DeploymentSection()
    rows, of_classes = part.rows, ""
    if deployment.classes is not None:
        rows = rows[np.isin(part.labels[rows], deployment.classes)]
        of_classes = f" of the classes {sorted(deployment.classes)}"
    wanted = sum(sizes)
    if wanted > rows.size:
        raise DatasetError(
            f"{info.name}: has {rows.size} held-out samples{of_classes}, not {wanted}"
        )
    ordered = _in_proportion(rows, part.labels, seed)
    first, *others, left = np.split(ordered, np.cumsum(sizes))
    if balance == "classes":
        first = _evenly(np.concatenate([first, left]), part.labels)[: sizes[0]]
    return part, tuple(np.sort(draw) for draw in (first, *others))


def _deployed(samples: Samples, deployment: DeploymentSection, seed: int) -> Samples:
    if deployment.corruption is None:
        return samples
    kind, severity = deployment.corruption.kind, deployment.corruption.severity
    images = corrupted(samples.images, kind, severity, seed, samples.indices)
    return replace(samples, images=images)


def train_count(labels: NDArray[np.int64]) -> int:
    """Count the samples that training sees of a dataset without parts of its own.

    Parameters
    ----------
    labels
        Shape ``(samples,)``.
    """
    return int(_halves(labels)[0].size)


def _info(dataset: str | DatasetInfo) -> DatasetInfo:
    if isinstance(dataset, DatasetInfo):
        return dataset
    if dataset not in DATASETS:
        known = ", ".join(DATASETS)
        raise DatasetError(f"unknown dataset, got {dataset!r}; known: {known}; open_dataset a path")
    return DATASETS[dataset]


def _in_proportion(
    rows: NDArray[np.int64], labels: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Order rows at random, so that any run of them has the classes as frequent as all rows.

    Each class takes its turns evenly, and starts at random: a systematic sample. Classes of one
    size start one after the other, so that many rare ones don't all come at once.
    """
    rng = np.random.default_rng(seed)
    shuffled = rows[rng.permutation(rows.size)]
    classes, own = np.unique(labels[shuffled], return_inverse=True)
    counts = np.bincount(own, minlength=classes.size)
    starts = np.empty(classes.size)
    for count in np.unique(counts):
        same = np.flatnonzero(counts == count)
        starts[same] = (np.arange(same.size) + rng.random()) / same.size
    turns = (_ranks(own) + starts[own]) / counts[own]
    return shuffled[np.lexsort((own, turns))]


def _evenly(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the first of every class first, then the second: a run has all equally often."""
    return rows[np.lexsort((labels[rows], _ranks(labels[rows])))]


def _ranks(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, for every row, the rows of its class before it."""
    ranks = np.empty(classes.size, dtype=np.int64)
    for label in np.unique(classes):
        of_class = np.flatnonzero(classes == label)
        ranks[of_class] = np.arange(of_class.size)
    return ranks


def train_part(info: DatasetInfo) -> Part:
    """Give the rows that training sees."""
    images, labels = read_part(info, "train")
    own = info.read_held_out is not None
    return Part(images, labels, np.arange(labels.size) if own else _halves(labels)[0], 0)


def _held_out_part(info: DatasetInfo) -> Part:
    images, labels = read_part(info, "held-out")
    if info.read_held_out is None:
        return Part(images, labels, _halves(labels)[1], 0)
    return Part(images, labels, np.arange(labels.size), info.train_samples)


def _halves(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the rows of a dataset without parts of its own: 60 % and 40 % of every class."""
    rng = np.random.default_rng(_PART_SEED)
    train, rest = [], []
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        # One sample alone would be learned, and tell nothing.
        count = round(_TRAIN_SHARE * of_class.size) if of_class.size > 1 else 0
        train.append(of_class[:count])
        rest.append(of_class[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(rest))
