"""Networks whose filters were removed: layers as small as what their checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["shrink"]


def shrink(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give layers the sizes of a checkpoint, in place.

    Parameters
    ----------
    network
        Built from the architecture that the pruned network came from.
    tensors
        Its state dict by key.

    Raises
    ------
    ValueError
        If a layer of the checkpoint is larger than the network's, with its key and both shapes.
    """
    for name, layer in network.named_modules():
        tensor = tensors.get(f"{name}.weight")
        if tensor is None or not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            continue
        old = layer.weight.shape
        if len(old) != tensor.dim() or any(
            new > size for new, size in zip(tensor.shape, old, strict=True)
        ):
            raise ValueError(
                f"{name}.weight must be no larger than {list(old)}, got {list(tensor.shape)}"
            )
        _resize(layer, tensor.shape)


def _resize(layer: nn.Conv2d | nn.Linear | nn.BatchNorm2d, shape: torch.Size) -> None:
    outputs = shape[0]
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = outputs
        for buffer in ("running_mean", "running_var"):
            if getattr(layer, buffer) is not None:
                setattr(layer, buffer, torch.zeros(outputs))
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = outputs, shape[1]
    else:
        if layer.groups == layer.in_channels == layer.out_channels:
            # Depthwise: a channel that is gone takes its group with it. Other groups stay.
            layer.groups = outputs
        layer.out_channels, layer.in_channels = outputs, shape[1] * layer.groups
    layer.weight = nn.Parameter(torch.zeros(shape))
    if layer.bias is not None:
        layer.bias = nn.Parameter(torch.zeros(outputs))
