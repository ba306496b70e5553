"""At how many places of an image a layer's filters are applied: what a weight costs in MACs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from flexrel_sim.pruning.calls import calls_of
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
    names: dict[nn.Module, str] = {layer: name for name, layer in layers.items()}
    positions: dict[str, int] = dict.fromkeys(layers, 0)
    calls, _ = calls_of(network, example[:1], names)
    for call in calls:
        # += : a layer that is used twice does twice the work.
        filters = layers[names[call.module]].weight.shape[0]
        positions[names[call.module]] += call.output[0].numel() // filters
    return positions
