"""Zeroing single weights, and renewing batch norms after any removal."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.evidence import BATCH
from flexrel_sim.pruning.relevance import prunable_layers

__all__ = ["batch_norm_renewed", "weights_masked"]


def weights_masked(network: nn.Module, keep: Mapping[str, Tensor]) -> nn.Module:
    """Zero single weights.

    Parameters
    ----------
    network
        Left as it is.
    keep
        Layer name to a boolean mask in the shape of its weights.

    Returns
    -------
    torch.nn.Module
        A copy in which the others are exactly zero. Shapes, time and payload stay the same.
    """
    pruned = copy.deepcopy(network)
    layers = prunable_layers(pruned)
    with torch.no_grad():
        for name, mask in keep.items():
            layers[name].weight.masked_fill_(~mask, 0)
    return pruned


def batch_norm_renewed(network: nn.Module, images: Tensor) -> nn.Module:
    """Estimate the statistics of batch norms anew.

    Parameters
    ----------
    network
        Left as it is; one without batch norms comes back equal.
    images
        Calibration samples, ``(samples, channels, height, width)``.

    Returns
    -------
    torch.nn.Module
        A copy in evaluation mode, whose batch norms know the pruned network's activations.
    """
    renewed = copy.deepcopy(network).eval()
    norms = [
        module
        for module in renewed.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]
    momenta = [norm.momentum for norm in norms]
    # Batch norms only: in training mode as a whole, the network would draw dropout as well.
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over batches, which are therefore of one size
        norm.train()
    with torch.no_grad():
        for batch in images.tensor_split(math.ceil(len(images) / BATCH)) if norms else ():
            renewed(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return renewed.eval()
