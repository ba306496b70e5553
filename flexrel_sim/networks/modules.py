"""Parts that torch does not have: what residual networks, and images in a file's units, need.

Attributes with weights are named as in torchvision, so that its checkpoints load. Every operation
is a layer of its own and none works in place: relevance reads activations after the layers that
follow them, and costs are counted layer by layer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

__all__ = [
    "Add",
    "BasicBlock",
    "Bottleneck",
    "Concat",
    "InvertedResidual",
    "Preprocess",
    "chain",
    "conv_bn",
]


class Add(nn.Module):
    """The sum at the end of a shortcut."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Add two tensors of one shape."""
        return left + right


class Concat(nn.Module):
    """The channels of one tensor after those of another."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Join two tensors ``(batch, channels, height, width)``."""
        return torch.cat((left, right), 1)


class Preprocess(nn.Module):
    """From pixels in 0..1 to what a network was trained on: ``(x - mean) / std``.

    Parameters
    ----------
    mean, std
        One number, or one per channel, in the order of the pixels.
    channel_order
        ``bgr`` gives the channels back to front, after the scaling.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        channel_order: Literal["rgb", "bgr"] = "rgb",
    ) -> None:
        super().__init__()
        # They are settings on the card, not weights in the checkpoint.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.channel_order = channel_order

    def forward(self, images: Tensor) -> Tensor:
        """Scale images ``(batch, channels, height, width)``."""
        scaled = (images - self.mean) / self.std
        return scaled.flip(1) if self.channel_order == "bgr" else scaled


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut.

    Parameters
    ----------
    inputs, outputs
        Channels.
    stride
        Of the first convolution, and of the shortcut.

    References
    ----------
    He et al., *Deep residual learning for image recognition*, CVPR 2016, figure 2.
    """

    expansion: Final = 1
    """How many times as many channels come out as the block is wide."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, source: Tensor) -> Tensor:
        """Compute ``relu(convolutions(x) + shortcut(x))``."""
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(source)))))
        shortcut = source if self.downsample is None else self.downsample(source)
        output: Tensor = self.relu2(self.add(inner, shortcut))
        return output


class Bottleneck(nn.Module):
    """A 1×1 convolution, a 3×3 and a 1×1, and a shortcut.

    Parameters
    ----------
    inputs
        Channels.
    width
        Channels inside the block; it has 4 times as many outputs.
    stride
        Of the 3×3 convolution, as in torchvision, and of the shortcut.

    References
    ----------
    He et al., *Deep residual learning for image recognition*, CVPR 2016, figure 5, right.
    """

    expansion: Final = 4
    """How many times as many channels come out as the block is wide."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, source: Tensor) -> Tensor:
        """Compute ``relu(convolutions(x) + shortcut(x))``."""
        inner = self.relu1(self.bn1(self.conv1(source)))
        inner = self.relu2(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        shortcut = source if self.downsample is None else self.downsample(source)
        output: Tensor = self.relu3(self.add(inner, shortcut))
        return output


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; a shortcut where shapes allow it.

    Parameters
    ----------
    inputs, outputs
        Channels.
    stride
        Of the depthwise convolution.
    expansion
        Channels inside the block, as a multiple of its inputs; 1 for no expansion.

    References
    ----------
    Sandler et al., *MobileNetV2: inverted residuals and linear bottlenecks*, CVPR 2018, table 1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_bn(inputs, hidden, kernel=1))
        layers.append(conv_bn(hidden, hidden, kernel=3, stride=stride, groups=hidden))
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.add = Add() if stride == 1 and inputs == outputs else None

    def forward(self, source: Tensor) -> Tensor:
        """Compute ``convolutions(x)``, plus ``x`` with a shortcut."""
        inner: Tensor = self.conv(source)
        return inner if self.add is None else self.add(inner, source)


def conv_bn(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Build a convolution with its batch norm and ReLU6."""
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


def chain(**layers: nn.Module) -> nn.Sequential:
    """Build a chain of named layers."""
    return nn.Sequential(OrderedDict(layers))
