"""What answers are worth: accuracy, recall class by class, and which classes are mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.proportions import (
    lowest_bounds,
    lowest_interval,
    mean_interval,
    stratified_interval,
)
from flexrel_sim.statistics import Estimate, mixed, wilson_interval

__all__ = ["ACCURACY_FIGURES", "Recalls", "confusion", "mixed_figures"]

ACCURACY_FIGURES: Final = ("accuracy", "balanced_accuracy", "worst_recall")
"""Metrics that come from answers: selection sees the validation samples', reports the test's."""


@dataclass(frozen=True)
class Recalls:
    """How often the samples of each class are answered rightly.

    Parameters
    ----------
    classes
        Labels that occur, rising.
    samples, right
        How many samples of each there are, and how many of them are answered with their label.
    """

    classes: NDArray[np.int64]
    samples: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> Recalls:
        """Count labels and answers, both of shape ``(samples,)``."""
        classes, own = np.unique(labels, return_inverse=True)
        counts = np.bincount(own, minlength=classes.size)
        return cls(classes, counts, np.bincount(own[predicted == labels], minlength=classes.size))

    @cached_property
    def figures(self) -> dict[str, Estimate]:
        """The figures of `ACCURACY_FIGURES`, over the classes that occur."""
        estimates = (
            stratified_interval(self.right, self.samples),
            mean_interval(self.right, self.samples),
            lowest_interval(self.right, self.samples),
        )
        return dict(zip(ACCURACY_FIGURES, estimates, strict=True))

    @cached_property
    def per_class(self) -> dict[int, Estimate]:
        """Recall of every class that occurs, in Wilson's interval."""
        return {
            int(label): wilson_interval(int(right), int(samples))
            for label, right, samples in zip(self.classes, self.right, self.samples, strict=True)
        }

    @cached_property
    def bounded(self) -> dict[int, Estimate]:
        """Recall of every class, in bounds whose lowest hold the lowest recall."""
        low, high = lowest_bounds(self.right, self.samples)
        rows = zip(self.classes, self.right / self.samples, low, high, strict=True)
        return {int(label): Estimate(*map(float, row)) for label, *row in rows}

    @property
    def most_frequent(self) -> tuple[int, float]:
        """The class with the most samples, and its share of them: what a constant answer gets."""
        place = int(self.samples.argmax())
        return int(self.classes[place]), float(self.samples[place] / self.samples.sum())

    @property
    def is_informed(self) -> bool:
        """Whether accuracy's interval lies above the most frequent class's share."""
        return self.figures["accuracy"].low > self.most_frequent[1]

    @property
    def worth(self) -> str:
        """Accuracy in words, against that of a constant answer."""
        accuracy, (label, share) = self.figures["accuracy"], self.most_frequent
        return (
            f"accuracy {accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}] is not above"
            f" {share:.3f}, which always answering class {label} gives"
        )


def mixed_figures(parts: Sequence[Recalls], shares: Sequence[float]) -> dict[str, Estimate]:
    """Give the figures of answers that several networks give in turn.

    Parameters
    ----------
    parts
        Of each network, on the same samples.
    shares
        How many of the answers each gives; they sum to one.

    Returns
    -------
    dict
        The figures of `ACCURACY_FIGURES`; every class is taken to meet the networks alike.
    """
    used = [(part, share) for part, share in zip(parts, shares, strict=True) if share > 0]
    own = [part for part, _ in used]
    weights = [share for _, share in used]
    figures = {
        name: mixed([part.figures[name] for part in own], weights) for name in ACCURACY_FIGURES
    }
    if len(used) > 1:
        figures["worst_recall"] = _worst(own, weights)
    return figures


def _worst(parts: Sequence[Recalls], shares: Sequence[float]) -> Estimate:
    """Find the lowest recall of the mixture, which may be of a class that is no network's worst."""
    bounded = [part.bounded for part in parts]
    recalls = []
    for label in {label: None for part in bounded for label in part}:
        own = [(p[label], share) for p, share in zip(bounded, shares, strict=True) if label in p]
        total = sum(share for _, share in own)
        recalls.append(mixed([one for one, _ in own], [share / total for _, share in own]))
    value, low, high = (
        min(getattr(one, end) for one in recalls) for end in ("value", "low", "high")
    )
    return Estimate(value, low, high)


def confusion(
    labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> list[tuple[int, int, int]]:
    """Count which class is answered as which.

    Parameters
    ----------
    labels, predicted
        Shape ``(samples,)``.

    Returns
    -------
    list of (int, int, int)
        Label, answer and how many samples, sorted; pairs that don't occur are left out.
    """
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    return [(int(a), int(b), int(n)) for (a, b), n in zip(pairs.T, counts, strict=True)]
