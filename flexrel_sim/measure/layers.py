"""What every layer of a network costs for one request."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flexrel_sim.profile import Layer

__all__ = ["layer_costs"]

_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv2d",
    nn.Linear: "linear",
    nn.ReLU: "relu",
    nn.MaxPool2d: "maxpool2d",
    nn.Flatten: "flatten",
    nn.Dropout: "dropout",
}


def layer_costs(network: nn.Sequential, head_layers: int, example: Tensor) -> tuple[Layer, ...]:
    """Count MACs, weights and bytes of every layer.

    Parameters
    ----------
    network
        A chain of named layers in evaluation mode.
    head_layers
        How many of them run on the edge.
    example
        One image, ``(1, channels, height, width)``.

    Returns
    -------
    tuple of Layer
        In order of execution. Pools and activations do no MACs.

    Raises
    ------
    ValueError
        If a layer is of a kind whose cost is not known: it would count as nothing.
    """
    costs: list[Layer] = []

    def record(name: str, side: Literal["head", "tail"]) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            costs.append(_cost(name, side, layer, inputs[0], output))

        return hook

    handles: list[Any] = [
        layer.register_forward_hook(record(name, "head" if index < head_layers else "tail"))
        for index, (name, layer) in enumerate(network.named_children())
    ]
    try:
        with torch.inference_mode():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(costs)


def _cost(
    name: str, side: Literal["head", "tail"], layer: nn.Module, source: Tensor, output: Tensor
) -> Layer:
    kind = _KINDS.get(type(layer))
    if kind is None:
        raise ValueError(f"layer {name!r} has no known cost: {type(layer).__name__}")
    weights = list(layer.parameters())
    return Layer(
        name=name,
        kind=kind,
        side=side,
        macs=_macs(layer, output),
        weights=sum(weight.numel() for weight in weights),
        nonzero_weights=sum(int(weight.count_nonzero()) for weight in weights),
        input_bytes=4 * source[0].numel(),
        output_bytes=4 * output[0].numel(),
        output_shape=tuple(output.shape[1:]),
    )


def _macs(layer: nn.Module, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        per_output = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        return output[0].numel() * per_output
    if isinstance(layer, nn.Linear):
        return output[0].numel() * layer.in_features
    return 0
