"""Scores to keep-masks: one threshold for all layers, ties in a fixed order, no layer emptied."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["keep_masks"]


def keep_masks(scores: dict[str, Tensor], ratio: float, min_kept: float) -> dict[str, Tensor]:
    """Choose what is kept: all but the lowest scores of the network.

    Parameters
    ----------
    scores
        Layer name to one score per unit.
    ratio
        Fraction of all units that is removed, in [0, 1).
    min_kept
        Fraction of each layer's units that is kept whatever their scores; at least one unit is.

    Returns
    -------
    dict
        Layer name to a boolean mask in the shape of its scores. Exactly ``round(ratio · units)``
        units are removed, or as many as ``min_kept`` leaves. Equal scores go in the order of
        layers and units, so that the outcome never hangs on the machine.

    Raises
    ------
    ValueError
        If a score is not finite.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    if not bool(flat.isfinite().all()):
        raise ValueError("scores must be finite, and some are NaN or infinite")
    protected = torch.cat([_best(score.flatten(), min_kept) for score in scores.values()])
    count = min(round(ratio * flat.numel()), int((~protected).sum()))
    order = torch.argsort(flat.masked_fill(protected, math.inf), stable=True)
    keep = torch.ones(flat.numel(), dtype=torch.bool)
    keep[order[:count]] = False
    parts = keep.split([score.numel() for score in scores.values()])
    return {
        name: part.reshape(score.shape)
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def _best(scores: Tensor, share: float) -> Tensor:
    count = max(1, math.ceil(share * scores.numel()))
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, descending=True, stable=True)[:count]] = True
    return mask
