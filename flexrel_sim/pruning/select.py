"""Scores to keep-masks: who competes with whom, how much goes, and what every layer keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexrel_sim.pruning.relevance import Prunable
from flexrel_sim.pruning.settings import least_kept

__all__ = ["Keep", "keep_masks", "lowest", "nm_masks", "pools_of"]

Keep = dict[str, Tensor]
"""Layer or group name to a boolean mask over its weights or channels."""


def keep_masks(
    scores: Mapping[str, Tensor],
    ratio: float,
    min_kept: Mapping[str, float] | float,
    *,
    pools: Sequence[Sequence[str]] | None = None,
    costs: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Choose what is kept: all but the lowest scores.

    Parameters
    ----------
    scores
        Layer name to one score per unit.
    ratio
        Fraction removed of every pool, in [0, 1): of its units, or of their costs.
    min_kept
        Fraction of each layer's units that is kept whatever their scores; at least one unit is.
    pools
        Names of the layers whose units compete with each other; all with all when absent.
    costs
        Cost of one unit of each layer. Without, exactly ``round(ratio · units)`` go; with, as many
        as cost no more than ``ratio`` of the whole.

    Returns
    -------
    dict
        Layer name to a boolean mask in the shape of its scores. Equal scores go in the order of
        layers and units, so that the outcome never hangs on the machine.

    Raises
    ------
    ValueError
        If a score is not finite, with the layer's name.
    """
    _refuse_not_finite(scores)
    masks: dict[str, Tensor] = {}
    for pool in pools or [list(scores)]:
        flat = [scores[name].detach().flatten().numpy() for name in pool]
        floors = [
            least_kept(min_kept, name, part.size) for name, part in zip(pool, flat, strict=True)
        ]
        if costs is None:
            count = round(ratio * sum(part.size for part in flat))
        else:
            count = _affordable(flat, floors, [costs[name] for name in pool], ratio)
        removed = lowest(flat, count, floors)
        for name, gone in zip(pool, removed, strict=True):
            masks[name] = torch.from_numpy(~gone).reshape(scores[name].shape)
    return {name: masks[name] for name in scores}


def lowest(
    scores: Sequence[NDArray[np.floating]], count: int, floors: Sequence[int]
) -> list[NDArray[np.bool_]]:
    """Mark the lowest scores of several arrays, and leave each its best ``floor``.

    Parameters
    ----------
    scores
        One-dimensional and finite.
    count
        How many to mark in all; fewer if the floors leave fewer.
    floors
        How many of each array stay unmarked at least.

    Returns
    -------
    list of numpy.ndarray
        A boolean array for each.
    """
    count = min(count, sum(part.size - floor for part, floor in zip(scores, floors, strict=True)))
    clamped: set[int] = set()
    while True:
        free = [index for index in range(len(scores)) if index not in clamped]
        budget = count - sum(scores[index].size - floors[index] for index in clamped)
        marked = dict(zip(free, _lowest([scores[index] for index in free], budget), strict=True))
        # Where the one threshold would leave too little, the floor rules, and others give more.
        low = {i for i in free if scores[i].size - int(marked[i].sum()) < floors[i]}
        if not low:
            break
        clamped |= low
    for index in clamped:
        marked[index] = _lowest([scores[index]], scores[index].size - floors[index])[0]
    return [marked[index] for index in range(len(scores))]


def nm_masks(scores: Mapping[str, Tensor], kept: int, of: int) -> dict[str, Tensor]:
    """Keep N of every M weights, as sparse tensor cores want them.

    Parameters
    ----------
    scores
        Layer name to one score per weight, shape ``(out, in, *kernel)``.
    kept, of
        N and M. Weights are counted along the input channels at each kernel position; an input
        count that M does not divide leaves its last few weights alone.

    Returns
    -------
    dict
        Layer name to a boolean mask in the shape of its scores. Of equal scores the first is kept.

    Raises
    ------
    ValueError
        If a score is not finite, with the layer's name.

    References
    ----------
    Mishra et al., *Accelerating sparse deep neural networks*, 2021, section 3.
    """
    _refuse_not_finite(scores)
    masks = {}
    for name, values in scores.items():
        whole = values.shape[1] // of * of
        mask = torch.ones(values.shape, dtype=torch.bool)
        if whole:
            last = values[:, :whole].movedim(1, -1)
            groups = last.reshape(*last.shape[:-1], whole // of, of)
            order = groups.argsort(dim=-1, descending=True, stable=True)
            chosen = torch.zeros(groups.shape, dtype=torch.bool)
            chosen.scatter_(-1, order[..., :kept], True)
            mask[:, :whole] = chosen.reshape(last.shape).movedim(-1, 1)
        masks[name] = mask
    return masks


def pools_of(members: Mapping[str, Sequence[Prunable]], scope: str) -> list[list[str]]:
    """Say who competes with whom: all, nobody, or those alike in kind, kernel and grouping.

    Parameters
    ----------
    members
        Name of what is chosen from to its layers.
    scope
        As in the scenario.
    """
    if scope == "global":
        return [list(members)]
    if scope == "layer":
        return [[name] for name in members]
    pools: dict[object, list[str]] = {}
    for name, layers in members.items():
        shape = tuple(
            (type(layer).__name__, tuple(layer.weight.shape[2:]), getattr(layer, "groups", 1) > 1)
            for layer in layers
        )
        pools.setdefault(shape, []).append(name)
    return list(pools.values())


def _refuse_not_finite(scores: Mapping[str, Tensor]) -> None:
    for name, values in scores.items():
        if not bool(values.isfinite().all()):
            raise ValueError(f"scores must be finite, and some of layer {name!r} are not")


def _lowest(scores: Sequence[NDArray[np.floating]], count: int) -> list[NDArray[np.bool_]]:
    """Mark exactly the lowest ``count``; equal scores go in their order."""
    if count <= 0:
        return [np.zeros(part.size, np.bool_) for part in scores]
    flat = np.concatenate(scores)
    if count >= flat.size:
        return [np.ones(part.size, np.bool_) for part in scores]
    flat.partition(count - 1)  # in place: introselect, linear, no indices
    threshold = flat[count - 1]
    below = [part < threshold for part in scores]
    ties = count - sum(int(part.sum()) for part in below)
    for mask, part in zip(below, scores, strict=True):
        if ties == 0:
            break
        equal = np.flatnonzero(part == threshold)[:ties]
        mask[equal] = True
        ties -= equal.size
    return below


def _affordable(
    scores: Sequence[NDArray[np.floating]],
    floors: Sequence[int],
    costs: Sequence[float],
    ratio: float,
) -> int:
    """Give how many of the lowest units cost at most ``ratio`` of all."""
    budget = ratio * sum(part.size * cost for part, cost in zip(scores, costs, strict=True))
    low, high = 0, sum(part.size - floor for part, floor in zip(scores, floors, strict=True))
    while low < high:
        middle = (low + high + 1) // 2
        marked = lowest(scores, middle, floors)
        spent = sum(int(mask.sum()) * cost for mask, cost in zip(marked, costs, strict=True))
        low, high = (middle, high) if spent <= budget else (low, middle - 1)
    return low
