"""Which channels go: by ratio, until a size is reached, or of those that cross the cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from torch import nn

from flexrel_sim.pruning.channels import ChannelGroup, CoupledNetwork
from flexrel_sim.pruning.evidence import Evidence, Scores
from flexrel_sim.pruning.scores import Scoring, score
from flexrel_sim.pruning.select import Keep, keep_masks, pools_of
from flexrel_sim.pruning.settings import least_kept
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["cut_channels_removed", "kept_channels"]


def kept_channels(
    coupled: CoupledNetwork, evidence: Evidence, settings: PruningSection, how: Scoring
) -> Keep:
    """Choose the channels that are kept, group by group.

    Parameters
    ----------
    coupled
        The network's groups.
    evidence, settings, how
        As in `kept_weights`.

    Returns
    -------
    dict
        Group name to a mask over its channels. A group with an excluded layer is not in it.

    Raises
    ------
    ValueError
        If a pattern is asked for, which is one of weights, a score is not finite, or a convolution
        in groups stands in the way.
    """
    if settings.pattern != "none":
        raise ValueError(f"pattern {settings.pattern!r} is one of weights, and filters are pruned")
    groups = {
        name: group
        for name, group in coupled.groups.items()
        if not set(settings.exclude) & set(group.outputs)
    }
    coupled.refuse_convolutions_in_groups(groups)
    scores = _channel_scores(groups, evidence, how)
    pools = pools_of(
        {
            name: [coupled.layers[layer] for layer in group.outputs]
            for name, group in groups.items()
        },
        settings.scope,
    )
    floors = {name: _largest_floor(group, settings.min_kept) for name, group in groups.items()}

    def keep(ratio: float) -> Keep:
        costs = {name: group.filters_per_channel for name, group in groups.items()}
        plain = all(cost == 1 for cost in costs.values())
        return keep_masks(scores, ratio, floors, pools=pools, costs=None if plain else costs)

    if settings.ratio_of in (None, "filters"):
        return keep(settings.ratio)
    return _to_size(coupled, keep, settings)


def _to_size(
    coupled: CoupledNetwork, keep: Callable[[float], Keep], settings: PruningSection
) -> Keep:
    """Bisect the ratio of filters until weights or MACs have shrunk by the wanted ratio."""

    def size(masks: Keep) -> int:
        sizes = coupled.sizes(masks)
        return sizes.weights if settings.ratio_of == "weights" else sizes.macs

    wanted = (1 - settings.ratio) * size({})
    low, high = 0.0, 1.0
    best = keep(0.0)
    # 2^-20 is less than one filter of a million.
    for _ in range(20):
        middle = (low + high) / 2
        masks = keep(middle)
        if size(masks) >= wanted:
            low, best = middle, masks
        else:
            high = middle
    return best


def cut_channels_removed(
    evidence: Evidence, settings: PruningSection, how: Scoring, head: Collection[str]
) -> nn.Module:
    """Remove ``cut_ratio`` of the channels that cross the cut, whichever branches they come from.

    Parameters
    ----------
    evidence
        What the signals look at; its network is left as it is.
    settings, how
        As in `kept_weights`.
    head
        Layers with weights before the cut.

    Returns
    -------
    torch.nn.Module
        A copy with fewer channels.

    Raises
    ------
    ValueError
        If no channels cross that can go, or an excluded layer makes some of them.
    """
    coupled = CoupledNetwork(evidence.original, evidence.images[:1])
    # What crosses is made before the cut, and read after it.
    groups = {
        name: group
        for name, group in coupled.groups.items()
        if set(group.outputs) & set(head) and set(group.inputs) - set(head)
    }
    if not groups:
        raise ValueError("no channels cross the cut that could be removed; set cut_ratio to 0")
    made = {layer for group in groups.values() for layer in group.outputs}
    if kept := sorted(made & set(settings.exclude)):
        raise ValueError(f"cut_ratio removes filters of {', '.join(kept)}, which exclude keeps")
    coupled.refuse_convolutions_in_groups(groups)
    floors = {name: _largest_floor(group, 0.0) for name, group in groups.items()}
    scores = _channel_scores(groups, evidence, how)
    return coupled.removed(keep_masks(scores, settings.cut_ratio, floors))


def _channel_scores(groups: Mapping[str, ChannelGroup], evidence: Evidence, how: Scoring) -> Scores:
    of_filters = score(how, evidence, "filters")
    return {name: group.scores(of_filters) for name, group in groups.items()}


def _largest_floor(group: ChannelGroup, min_kept: Mapping[str, float] | float) -> float:
    # Of a concatenation a layer has some of the channels: a fraction of it is one of those.
    least = [least_kept(min_kept, name, len(at.index)) for name, at in group.outputs.items()]
    return max(group.least, *least) / group.channels
