"""VGG-style networks in torch: the project's own from their plan, and the published ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from flexrel_sim.networks.architectures import TorchvisionVgg, Vgg
from flexrel_sim.networks.modules import chain
from flexrel_sim.networks.vgg import LayerPlan

__all__ = ["build_torchvision_vgg", "build_vgg"]

_CONVOLUTIONS: Final = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS: Final = (64, 128, 256, 512, 512)
_HIDDEN: Final = 4096
_GRID: Final = 7


def build_vgg(architecture: Vgg) -> nn.Sequential:
    """Build what a plan lists."""
    layers = {layer.name: _module(layer, architecture.dropout) for layer in architecture.plan()}
    return chain(**layers)


def build_torchvision_vgg(architecture: TorchvisionVgg) -> nn.Sequential:
    """Build a published network with torchvision's names.

    References
    ----------
    Simonyan, Zisserman, *Very deep convolutional networks for large-scale image recognition*,
    2015, table 1, columns A, B, D and E.
    """
    channels = architecture.input_shape[0]
    features: list[nn.Module] = []
    for count, outputs in zip(_CONVOLUTIONS[architecture.depth], _CHANNELS, strict=True):
        for _ in range(count):
            features.append(nn.Conv2d(channels, outputs, 3, padding=1))
            if architecture.batch_norm:
                features.append(nn.BatchNorm2d(outputs))
            features.append(nn.ReLU())
            channels = outputs
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(channels * _GRID**2, _HIDDEN),
        nn.ReLU(),
        nn.Dropout(architecture.dropout),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.ReLU(),
        nn.Dropout(architecture.dropout),
        nn.Linear(_HIDDEN, architecture.classes),
    )
    return chain(
        features=nn.Sequential(*features),
        avgpool=nn.AdaptiveAvgPool2d(_GRID),
        flatten=nn.Flatten(),
        classifier=classifier,
    )


def _module(layer: LayerPlan, dropout: float) -> nn.Module:
    build: dict[str, Callable[[], nn.Module]] = {
        "conv2d": lambda: nn.Conv2d(layer.inputs, layer.outputs, kernel_size=3, padding=1),
        "batchnorm2d": lambda: nn.BatchNorm2d(layer.inputs),
        "relu": nn.ReLU,
        "maxpool2d": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
        "linear": lambda: nn.Linear(layer.inputs, layer.outputs),
        "dropout": lambda: nn.Dropout(dropout),
    }
    return build[layer.kind]()
