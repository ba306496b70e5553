"""At how many places of an image a layer's filters are applied: what a weight costs in MACs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.relevance import Prunable

__all__ = ["output_positions"]


def output_positions(
    network: nn.Module, layers: Mapping[str, Prunable], example: Tensor
) -> dict[str, int]:
    """Count at how many places every layer's filters are applied to one sample.

    Parameters
    ----------
    network, layers
        A network, and its layers that have weights, by name.
    example
        Images of the right shape, ``(batch, channels, height, width)``.

    Returns
    -------
    dict
        Layer name to positions: 1 for a fully connected layer; all uses of a layer count.
    """
    positions: dict[str, int] = dict.fromkeys(layers, 0)

    def record(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(layer: Prunable, _: tuple[Tensor, ...], output: Tensor) -> None:
            # += : a layer that is used twice does twice the work.
            positions[name] += output[0].numel() // layer.weight.shape[0]

        return layers[name].register_forward_hook(hook)

    handles = [record(name) for name in layers]
    try:
        with torch.no_grad():
            network(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return positions
