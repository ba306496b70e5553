"""The slow definition of removing channels: set their filters, biases and shifts to zero."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.folding import norm_pairs
from flexrel_sim.pruning.relevance import prunable_layers


def filters_masked(network: nn.Module, keep: Mapping[str, Tensor]) -> nn.Module:
    """Zero whole filters and their biases; ``keep`` names layers."""
    pruned = copy.deepcopy(network)
    layers = prunable_layers(pruned)
    with torch.no_grad():
        for name, mask in keep.items():
            layers[name].weight[~mask] = 0
            bias = layers[name].bias
            if bias is not None:
                bias[~mask] = 0
    return pruned


def channels_masked(
    network: nn.Module, coupled: CoupledNetwork, keep: Mapping[str, Tensor], example: Tensor
) -> nn.Module:
    """Zero the filters of channels, and what their batch norms add; ``keep`` names groups.

    Exact where nothing between a filter and its readers turns 0 into something else.
    """
    of_layers = {}
    for name, mask in keep.items():
        for layer, at in coupled.groups[name].outputs.items():
            whole = of_layers.setdefault(
                layer,
                torch.ones(prunable_layers(network)[layer].weight.shape[0], dtype=torch.bool),
            )
            whole[at.index] = mask[at.channel]
    pruned = copy.deepcopy(network)
    modules = {module: name for name, module in pruned.named_modules()}
    layers = prunable_layers(pruned)
    own = {
        layer: next(
            module
            for module in modules
            if isinstance(module, nn.BatchNorm2d)
            and torch.equal(module.running_mean, norm.running_mean)
            and torch.equal(module.weight, norm.weight)
        )
        for layer, norm in norm_pairs(network, example).items()
    }
    with torch.no_grad():
        for name, mask in of_layers.items():
            layers[name].weight[~mask] = 0
            if layers[name].bias is not None:
                layers[name].bias[~mask] = 0
            if name in own:
                own[name].bias[~mask] = 0
                own[name].running_mean[~mask] = 0
    return pruned
