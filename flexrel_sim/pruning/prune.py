"""A network, a scenario's pruning section and calibration samples to a pruned network."""

from __future__ import annotations

from torch import Tensor, nn

from flexrel_sim.pruning.catalogue import CRITERIA, DEFAULT_DELTA, Signal
from flexrel_sim.pruning.relevance import prunable_layers, weight_relevance
from flexrel_sim.pruning.remove import filters_removed, weights_masked
from flexrel_sim.pruning.scores import magnitude, random_signal, score
from flexrel_sim.pruning.select import keep_masks
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["choose_kept", "prune"]


def prune(
    network: nn.Sequential, settings: PruningSection, images: Tensor, labels: Tensor
) -> nn.Sequential:
    """Prune a network.

    Parameters
    ----------
    network
        A trained chain in evaluation mode; left as it is.
    settings
        Criterion, ratio and the rest.
    images, labels
        Calibration samples, shapes ``(samples, channels, height, width)`` and ``(samples,)``.

    Returns
    -------
    torch.nn.Sequential
        A pruned copy: with zeros for ``weights``, with smaller layers for ``filters``.
    """
    if settings.ratio == 0:
        return network
    keep = choose_kept(network, settings, images, labels)
    if settings.granularity == "weights":
        return weights_masked(network, keep)
    return filters_removed(network, keep, images[:1])


def choose_kept(
    network: nn.Sequential, settings: PruningSection, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Choose what a pruned network keeps.

    Parameters
    ----------
    network, settings, images, labels
        As in `prune`.

    Returns
    -------
    dict
        Layer name to a mask over its weights or filters. The last layer's filters are the answers
        and are never among them.
    """
    criterion = CRITERIA[settings.criterion]
    layers = prunable_layers(network)
    last = list(layers)[-1]
    layers = {
        name: layer
        for name, layer in layers.items()
        if name not in settings.exclude and (settings.granularity == "weights" or name != last)
    }
    signals: dict[Signal, dict[str, Tensor]] = {}
    if "magnitude" in criterion.signals:
        signals["magnitude"] = magnitude(layers)
    if "random" in criterion.signals:
        signals["random"] = random_signal(layers, settings.seed, settings.granularity)
    if "relevance" in criterion.signals:
        relevance = weight_relevance(
            network,
            images,
            labels,
            target=settings.relevance.target,
            absolute=settings.relevance.sum == "absolute",
        )
        signals["relevance"] = {name: relevance[name] for name in layers}
    scores = score(
        criterion,
        signals,
        delta=DEFAULT_DELTA if settings.delta is None else settings.delta,
        granularity=settings.granularity,
        normalise=settings.normalise,
    )
    return keep_masks(scores, settings.ratio, settings.min_kept)
