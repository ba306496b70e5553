"""Signals to scores: rescaled where the criterion asks for it, and combined with δ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flexrel_sim.pruning.catalogue import CRITERIA, Combine, Normalise
from flexrel_sim.pruning.evidence import Evidence, Scores
from flexrel_sim.pruning.signals import Granularity, signal
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["Scoring", "combined", "normalised", "score", "scoring"]


@dataclass(frozen=True)
class Scoring:
    """How a scenario's criterion scores, with every default in its place.

    Parameters
    ----------
    signals
        One signal, or two that δ combines.
    normalise, combine, delta
        As in the scenario, or the criterion's own.
    """

    signals: tuple[str, ...]
    normalise: Normalise
    combine: Combine
    delta: float


def scoring(settings: PruningSection) -> Scoring:
    """Resolve what a scenario leaves to its criterion; ``delta: auto`` counts as left open."""
    criterion = CRITERIA[settings.criterion]
    delta = settings.delta if isinstance(settings.delta, float | int) else criterion.delta
    return Scoring(
        criterion.signals_with(settings.relevance.form),
        settings.normalise or criterion.normalise,
        settings.combine or criterion.combine,
        delta,
    )


def score(how: Scoring, evidence: Evidence, granularity: Granularity) -> Scores:
    """Score everything that can be removed.

    Parameters
    ----------
    how
        Signals, and what becomes of them.
    evidence
        What the signals look at.
    granularity
        Score single weights, or whole filters.

    Returns
    -------
    dict
        Layer name to scores, in the shape of the weights or ``(filters,)``.
    """
    signals = [
        # Chance has the same scale everywhere; rescaling would favour layers of few units.
        normalised(
            signal(name, evidence, granularity), "none" if name == "random" else how.normalise
        )
        for name in how.signals
    ]
    return combined(signals, how.combine, how.delta)


def combined(signals: Sequence[Scores], combine: Combine, delta: float) -> Scores:
    """Combine the signals of a criterion.

    Parameters
    ----------
    signals
        One or two, none of them negative.
    combine
        ``sum`` gives ``(1-δ)·first + δ·second`` (Chiasserini et al.), ``geometric``
        ``first^(1-δ) · second^δ``, whose order no rescaling of a whole signal changes.
    delta
        δ in [0, 1].

    Returns
    -------
    dict
        Layer name to scores. δ of 0 or 1 gives one signal, exactly.
    """
    if len(signals) == 1 or delta == 0:
        return signals[0]
    first, second = signals
    if delta == 1:
        return second
    if combine == "sum":
        return {name: ((1 - delta) * first[name]).add_(second[name], alpha=delta) for name in first}
    return {name: first[name].pow(1 - delta).mul_(second[name].pow(delta)) for name in first}


def normalised(scores: Scores, where: Normalise) -> Scores:
    """Rescale a signal.

    Parameters
    ----------
    scores
        One number per weight or filter.
    where
        To 0..1 within each ``layer`` or over the ``global`` network, to ``rank`` / units within
        each layer (equal numbers in their order), or ``none``.

    Returns
    -------
    dict
        The same layers and shapes. A constant signal ranks nothing and becomes 0; NaN stays NaN.
    """
    match where:
        case "none":
            return scores
        case "layer":
            return {name: _rescaled(s, s.min(), s.max()) for name, s in scores.items()}
        case "rank":
            return {name: _ranks(s) for name, s in scores.items()}
        case "global":
            low = torch.stack([s.min() for s in scores.values()]).min()
            high = torch.stack([s.max() for s in scores.values()]).max()
            return {name: _rescaled(s, low, high) for name, s in scores.items()}


def _rescaled(scores: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.zeros_like(scores) if high == low else (scores - low).div_(high - low)


def _ranks(scores: Tensor) -> Tensor:
    order = scores.flatten().argsort(stable=True)
    ranks = torch.empty_like(scores).flatten()
    ranks[order] = torch.arange(1, order.numel() + 1, dtype=scores.dtype) / order.numel()
    # A sort hides NaN at its end; it must be refused, not ranked.
    return torch.where(scores.isnan(), scores, ranks.reshape(scores.shape))
