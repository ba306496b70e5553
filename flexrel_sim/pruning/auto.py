"""`delta: auto`: δ, and if asked normalisation and form of relevance, by validation samples."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from flexrel_sim.networks.answers import share_correct
from flexrel_sim.pruning.catalogue import Form
from flexrel_sim.pruning.evidence import Evidence
from flexrel_sim.pruning.filters import cut_channels_removed
from flexrel_sim.pruning.prune import evidence_for, removed, with_floors_of
from flexrel_sim.pruning.scores import scoring
from flexrel_sim.pruning.settings import tried_ratios
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["Choice", "Tried", "choose"]


@dataclass(frozen=True)
class Tried:
    """One setting that was tried.

    Parameters
    ----------
    delta, normalise, form
        The setting.
    ratios
        Pruning ratios it was tried at.
    accuracies
        Validation accuracy at each.
    """

    delta: float
    normalise: str
    form: str | None
    ratios: tuple[float, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and all that was tried.

    Parameters
    ----------
    settings
        The pruning section with δ, normalisation and form as numbers and words.
    reached
        Whether the wanted accuracy was kept anywhere; true for the aim ``area``.
    tried
        Every setting, in the order of the scenario.
    """

    settings: PruningSection
    reached: bool
    tried: tuple[Tried, ...]


def choose(
    network: nn.Module,
    settings: PruningSection,
    calibration: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    evidence: Evidence | None = None,
    head: Collection[str] = (),
) -> Choice:
    """Choose δ by what pruned networks answer on the validation samples.

    Parameters
    ----------
    network
        A trained network in evaluation mode; left as it is.
    settings
        What is pruned, and what ``auto`` may try. Test samples are not seen.
    calibration, validation
        Images ``(samples, channels, height, width)`` and labels ``(samples,)``.
    evidence
        What was computed on these calibration samples already.
    head
        Layers before the cut, as in `prune`: every try loses ``cut_ratio`` of its channels too.

    Returns
    -------
    Choice
        By the largest mean accuracy over the ratios tried, or by the largest ratio that keeps
        ``auto.accuracy`` (by the mean where none does). Of equals, the first that was tried.
    """
    evidence = evidence or evidence_for(network, settings, *calibration)
    tried = []
    candidates = []
    auto = settings.auto
    first = scoring(settings)
    forms: Sequence[Form | None] = auto.form or [settings.relevance.form]
    for normalise, form in itertools.product(auto.normalise or [first.normalise], forms):
        for delta in auto.deltas:
            relevance = settings.relevance.model_copy(update={"form": form})
            candidate = settings.model_copy(
                update={"delta": delta, "normalise": normalise, "relevance": relevance}
            )
            accuracies = _accuracies(candidate, validation, evidence, head)
            candidates.append(candidate)
            tried.append(Tried(delta, normalise, form, tried_ratios(settings), accuracies))
    best, reached = _best(tried, auto.accuracy if auto.aim == "accuracy" else None)
    return Choice(candidates[best], reached, tuple(tried))


def _accuracies(
    settings: PruningSection,
    validation: tuple[Tensor, Tensor],
    evidence: Evidence,
    head: Collection[str],
) -> tuple[float, ...]:
    how = scoring(settings)
    accuracies = []
    if settings.cut_ratio and head:
        # Which channels go at the cut hangs on δ, as what is left to score does on them.
        smaller = cut_channels_removed(evidence, settings, how, head)
        settings = with_floors_of(settings, evidence.original, smaller)
        evidence = evidence_for(smaller, settings, evidence.images, evidence.labels)
    for ratio in tried_ratios(settings):
        at = settings.model_copy(update={"ratio": ratio})
        pruned = removed(evidence.original, evidence, at, how)
        accuracies.append(share_correct(pruned, *validation))
    return tuple(accuracies)


def _best(tried: Sequence[Tried], target: float | None) -> tuple[int, bool]:
    def area(index: int) -> float:
        return sum(tried[index].accuracies) / len(tried[index].accuracies)

    def largest(index: int) -> float:
        setting = tried[index]
        kept = [
            ratio
            for ratio, accuracy in zip(setting.ratios, setting.accuracies, strict=True)
            if target is not None and accuracy >= target
        ]
        return max(kept, default=-1.0)

    every = range(len(tried))
    if target is None:
        return max(every, key=area), True
    best = max(every, key=lambda index: (largest(index), area(index)))
    return best, largest(best) >= 0
