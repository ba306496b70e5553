"""The slow definition of removing filters: set them, and their biases, to zero."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.relevance import prunable_layers


def filters_masked(network: nn.Sequential, keep: dict[str, Tensor]) -> nn.Sequential:
    pruned = copy.deepcopy(network)
    layers = prunable_layers(pruned)
    with torch.no_grad():
        for name, mask in keep.items():
            layers[name].weight[~mask] = 0
            bias = layers[name].bias
            if bias is not None:
                bias[~mask] = 0
    return pruned
