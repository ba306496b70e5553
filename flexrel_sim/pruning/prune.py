"""A network, a scenario's pruning section and calibration samples to a pruned network."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.evidence import Evidence, Scores
from flexrel_sim.pruning.filters import cut_channels_removed, kept_channels
from flexrel_sim.pruning.positions import output_positions
from flexrel_sim.pruning.relevance import Prunable, prunable_layers
from flexrel_sim.pruning.remove import batch_norm_renewed, weights_masked
from flexrel_sim.pruning.scores import Scoring, score, scoring
from flexrel_sim.pruning.select import Keep, keep_masks, nm_masks, pools_of
from flexrel_sim.pruning.settings import same_floors
from flexrel_sim.scenario.schema import PruningSection

__all__ = [
    "chosen_weights",
    "evidence_for",
    "kept_weights",
    "prune",
    "removed",
    "with_floors_of",
]


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
        whole, network = network, cut_channels_removed(evidence, settings, how, head)
        settings = with_floors_of(settings, whole, network)
    if settings.ratio or settings.pattern != "none":
        evidence = evidence_for(network, settings, images, labels)
        return removed(network, evidence, settings, how, gone=gone)
    if settings.batch_norm == "re-estimate" and settings.prunes:
        return batch_norm_renewed(network, images)
    return network


def with_floors_of(settings: PruningSection, before: nn.Module, now: nn.Module) -> PruningSection:
    """Let ``min_kept`` go on to mean the layers before filters were removed.

    Parameters
    ----------
    settings
        A pruning section whose ``min_kept`` is meant of ``before``.
    before, now
        The network, and what removal has left of it.

    Returns
    -------
    PruningSection
        One that keeps as many units of ``now``.
    """
    whole, left = (
        {
            name: len(layer.weight) if settings.granularity == "filters" else layer.weight.numel()
            for name, layer in prunable_layers(network).items()
        }
        for network in (before, now)
    )
    if whole == left:
        return settings
    floors = same_floors(settings.min_kept, whole, left)
    return settings.model_copy(update={"min_kept": floors})


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
        pools=pools_of({name: [layers[name]] for name in scores}, settings.scope),
        costs=costs,
    )
