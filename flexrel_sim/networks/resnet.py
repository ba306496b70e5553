"""Residual networks of basic blocks or bottlenecks, with torchvision's names."""

from __future__ import annotations

from torch import nn

from flexrel_sim.networks.architectures import ResNet
from flexrel_sim.networks.modules import BasicBlock, Bottleneck, chain

__all__ = ["build_resnet"]


def build_resnet(architecture: ResNet) -> nn.Sequential:
    """Build a stem, stages of blocks and a linear layer.

    References
    ----------
    He et al., *Deep residual learning for image recognition*, CVPR 2016, table 1.
    """
    images, channels = architecture.input_shape[0], architecture.widths[0]
    kind = Bottleneck if architecture.block == "bottleneck" else BasicBlock
    layers: dict[str, nn.Module] = {}
    if architecture.stem == "imagenet":
        layers["conv1"] = nn.Conv2d(images, channels, 7, stride=2, padding=3, bias=False)
    else:
        stride = architecture.stem_stride or 1
        layers["conv1"] = nn.Conv2d(images, channels, 3, stride, padding=1, bias=False)
    layers["bn1"], layers["relu"] = nn.BatchNorm2d(channels), nn.ReLU()
    if architecture.stem == "imagenet":
        layers["maxpool"] = nn.MaxPool2d(3, stride=2, padding=1)
    stages = zip(architecture.widths, architecture.blocks, strict=True)
    for stage, (width, count) in enumerate(stages, start=1):
        blocks: list[nn.Module] = []
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            blocks.append(kind(channels, width, stride))
            channels = width * kind.expansion
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
    layers["avgpool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers["fc"] = nn.Linear(channels, architecture.classes)
    return chain(**layers)
