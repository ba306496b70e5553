"""A network, a scenario's pruning section and calibration samples to a pruned network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from torch import Tensor, nn

from flexrel_sim.pruning.channels import ChannelGroup, CoupledNetwork, output_positions
from flexrel_sim.pruning.evidence import Evidence, Scores
from flexrel_sim.pruning.relevance import Prunable
from flexrel_sim.pruning.remove import batch_norm_renewed, weights_masked
from flexrel_sim.pruning.scores import Scoring, score, scoring
from flexrel_sim.pruning.select import keep_masks, nm_masks
from flexrel_sim.scenario.pruning_sections import share_kept
from flexrel_sim.scenario.schema import PruningSection

__all__ = [
    "chosen_weights",
    "cut_channels_removed",
    "evidence_for",
    "kept_channels",
    "kept_weights",
    "prune",
    "removed",
]

Keep = dict[str, Tensor]
"""Layer or group name to a boolean mask over its weights or channels."""


def prune(
    network: nn.Module,
    settings: PruningSection,
    images: Tensor,
    labels: Tensor,
    *,
    head: Collection[str] = (),
    gone: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Prune a network at once.

    Parameters
    ----------
    network
        A trained network in evaluation mode; left as it is.
    settings
        Criterion, ratio and the rest; δ is a number or left to the criterion.
    images, labels
        Calibration samples, shapes ``(samples, channels, height, width)`` and ``(samples,)``.
    head
        Layers with weights before the cut; ``cut_ratio`` of the channels that cross it are removed
        first. Without any, none are.
    gone
        Layer name to a mask of weights that earlier pruning removed, and that stay removed.

    Returns
    -------
    torch.nn.Module
        A pruned copy: with zeros for ``weights``, with smaller layers for ``filters``.

    Raises
    ------
    ValueError
        If a score is not finite, a pattern is asked of filters, or channels that should go can't.
    """
    how = scoring(settings)
    if settings.cut_ratio and head:
        evidence = evidence_for(network, settings, images, labels)
        network = cut_channels_removed(evidence, settings, how, head)
    if settings.ratio or settings.pattern != "none":
        evidence = evidence_for(network, settings, images, labels)
        return removed(network, evidence, settings, how, gone=gone)
    if settings.batch_norm == "re-estimate" and settings.prunes:
        return batch_norm_renewed(network, images)
    return network


def removed(
    network: nn.Module,
    evidence: Evidence,
    settings: PruningSection,
    how: Scoring,
    *,
    gone: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Remove the ratio of a pruning section, by evidence that is there.

    Parameters
    ----------
    network
        The network that the evidence is of; left as it is.
    evidence, settings, how, gone
        As in `kept_weights`.

    Returns
    -------
    torch.nn.Module
        A pruned copy, its batch norms renewed if the section says so.

    Raises
    ------
    ValueError
        If a score is not finite, or a pattern is asked of filters.
    """
    if settings.granularity == "weights":
        pruned = weights_masked(network, kept_weights(evidence, settings, how, gone=gone))
    else:
        coupled = CoupledNetwork(network, evidence.images[:1])
        pruned = coupled.removed(kept_channels(coupled, evidence, settings, how))
    if settings.batch_norm == "re-estimate":
        pruned = batch_norm_renewed(pruned, evidence.images)
    return pruned


def evidence_for(
    network: nn.Module, settings: PruningSection, images: Tensor, labels: Tensor
) -> Evidence:
    """Gather what the signals of a pruning section look at."""
    return Evidence(network, images, labels, settings.relevance, settings.seed)


def kept_weights(
    evidence: Evidence,
    settings: PruningSection,
    how: Scoring,
    *,
    gone: Mapping[str, Tensor] | None = None,
) -> Keep:
    """Choose the weights that are kept.

    Parameters
    ----------
    evidence
        What the signals look at.
    settings
        Ratio, what it counts, who competes with whom, and what is never pruned.
    how
        The resolved criterion.
    gone
        Layer name to a mask of weights that are removed already.

    Returns
    -------
    dict
        Layer name to a mask in the shape of its weights. Excluded layers are not in it.

    Raises
    ------
    ValueError
        If a score is not finite, or the criterion tells filters apart only.
    """
    scores = score(how, evidence, "weights")
    scores = {name: values for name, values in scores.items() if name not in settings.exclude}
    positions = None
    if settings.ratio_of == "macs":
        positions = output_positions(evidence.network, evidence.layers, evidence.images[:1])
    return chosen_weights(scores, evidence.layers, settings, gone=gone, positions=positions)


def chosen_weights(
    scores: Scores,
    layers: Mapping[str, Prunable],
    settings: PruningSection,
    *,
    gone: Mapping[str, Tensor] | None = None,
    positions: Mapping[str, int] | None = None,
) -> Keep:
    """Choose by scores that are known already; as `kept_weights`.

    Parameters
    ----------
    scores
        Layer name to one score per weight, none of them negative.
    layers
        The layers that have weights, by name.
    settings, gone
        As in `kept_weights`.
    positions
        At how many places each layer's filters are applied; for a ratio of MACs.

    Returns
    -------
    dict
        Layer name to a mask in the shape of its weights. What is gone is never kept.

    Raises
    ------
    ValueError
        If a score is not finite, or a ratio of MACs lacks the positions.
    """
    gone = {name: mask for name, mask in (gone or {}).items() if name in scores}
    # No signal is negative, so that what is gone goes first, and counts.
    scores = {
        name: values.masked_fill(gone[name], -1.0) if name in gone else values
        for name, values in scores.items()
    }
    masks = _masks(scores, layers, settings, positions)
    return {name: mask & ~gone[name] if name in gone else mask for name, mask in masks.items()}


def _masks(
    scores: Scores,
    layers: Mapping[str, Prunable],
    settings: PruningSection,
    positions: Mapping[str, int] | None,
) -> Keep:
    if settings.pattern != "none":
        kept, of = (int(number) for number in settings.pattern.split(":"))
        return nm_masks(scores, kept, of)
    costs = None
    if settings.ratio_of == "macs":
        if positions is None:
            raise ValueError("a ratio of MACs needs the layers' output positions")
        costs = {name: float(positions[name]) for name in scores}
    return keep_masks(
        scores,
        settings.ratio,
        settings.min_kept,
        pools=_pools({name: [layers[name]] for name in scores}, settings.scope),
        costs=costs,
    )


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
    pools = _pools(
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


def _pools(members: Mapping[str, Sequence[Prunable]], scope: str) -> list[list[str]]:
    """Say who competes with whom; alike are layers of one kind, kernel and grouping."""
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


def _largest_floor(group: ChannelGroup, min_kept: Mapping[str, float] | float) -> float:
    least = group.least / group.channels
    return max(least, *(share_kept(min_kept, name) for name in group.outputs))
