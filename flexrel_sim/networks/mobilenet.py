"""MobileNetV2, with torchvision's names."""

from __future__ import annotations

from torch import nn

from flexrel_sim.networks.architectures import MobileNet
from flexrel_sim.networks.modules import InvertedResidual, chain, conv_bn

__all__ = ["build_mobilenet"]


def build_mobilenet(architecture: MobileNet) -> nn.Sequential:
    """Build a stem, stages of inverted residuals, a last convolution and a linear layer.

    References
    ----------
    Sandler et al., *MobileNetV2: inverted residuals and linear bottlenecks*, CVPR 2018, table 2.
    """
    channels, last = architecture.stem_channels, architecture.last_channels
    stem = conv_bn(architecture.input_shape[0], channels, kernel=3, stride=architecture.stem_stride)
    features: list[nn.Module] = [stem]
    for expansion, outputs, repeats, stride in architecture.settings:
        for index in range(repeats):
            step = stride if index == 0 else 1
            features.append(InvertedResidual(channels, outputs, step, expansion))
            channels = outputs
    features.append(conv_bn(channels, last, kernel=1))
    return chain(
        features=nn.Sequential(*features),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(
            nn.Dropout(architecture.dropout), nn.Linear(last, architecture.classes)
        ),
    )
