"""Taking weights out: zeros for single weights, smaller layers for whole filters."""

from __future__ import annotations

import copy

import torch
import torch_pruning
from torch import Tensor, nn

from flexrel_sim.pruning.relevance import prunable_layers

__all__ = ["filters_removed", "weights_masked"]


def weights_masked(network: nn.Sequential, keep: dict[str, Tensor]) -> nn.Sequential:
    """Zero single weights.

    Parameters
    ----------
    network
        Left as it is.
    keep
        Layer name to a boolean mask in the shape of its weights.

    Returns
    -------
    torch.nn.Sequential
        A copy in which the others are exactly zero. Shapes, time and payload stay the same.
    """
    pruned = copy.deepcopy(network)
    layers = prunable_layers(pruned)
    with torch.no_grad():
        for name, mask in keep.items():
            layers[name].weight.masked_fill_(~mask, 0)
    return pruned


def filters_removed(
    network: nn.Sequential, keep: dict[str, Tensor], example: Tensor
) -> nn.Sequential:
    """Remove whole filters and neurons, and what reads them.

    Parameters
    ----------
    network
        Left as it is.
    keep
        Layer name to a boolean mask, shape ``(filters,)``.
    example
        Images of the right shape, ``(batch, channels, height, width)``.

    Returns
    -------
    torch.nn.Sequential
        A smaller copy with the same layer names.
    """
    pruned = copy.deepcopy(network).requires_grad_(True)
    layers = prunable_layers(pruned)
    graph = torch_pruning.DependencyGraph().build_dependency(pruned, example_inputs=example)
    for name, mask in keep.items():
        gone = (~mask).nonzero().flatten().tolist()
        if gone:
            layer = layers[name]
            prune = (
                torch_pruning.prune_conv_out_channels
                if isinstance(layer, nn.Conv2d)
                else torch_pruning.prune_linear_out_channels
            )
            graph.get_pruning_group(layer, prune, idxs=gone).prune()
    return pruned.requires_grad_(False)
