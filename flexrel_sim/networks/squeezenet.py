"""SqueezeNet 1.1, with torchvision's names."""

from __future__ import annotations

from torch import Tensor, nn

from flexrel_sim.networks.architectures import SqueezeNet
from flexrel_sim.networks.modules import Concat, chain

__all__ = ["FIRES", "Fire", "build_squeezenet"]

FIRES = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
"""Place of every fire module among the features, and its squeezed channels."""

_POOLS = (2, 5, 8)
_EXPANSION = 4


class Fire(nn.Module):
    """A 1×1 convolution that squeezes, then 1×1 and 3×3 convolutions that expand.

    Parameters
    ----------
    inputs, squeezed, expanded
        Channels before, inside, and of each of the two halves after.

    References
    ----------
    Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters*, 2016, figure 1.
    """

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()
        self.concat = Concat()

    def forward(self, source: Tensor) -> Tensor:
        """Squeeze, expand twice, and join."""
        squeezed = self.squeeze_activation(self.squeeze(source))
        output: Tensor = self.concat(
            self.expand1x1_activation(self.expand1x1(squeezed)),
            self.expand3x3_activation(self.expand3x3(squeezed)),
        )
        return output


def build_squeezenet(architecture: SqueezeNet) -> nn.Sequential:
    """Build a convolution, fire modules with pools between them, and a convolution of classes."""
    channels = 64
    features: list[nn.Module] = [
        nn.Conv2d(architecture.input_shape[0], channels, 3, stride=2),
        nn.ReLU(),
    ]
    while len(features) <= max(FIRES):
        place = len(features)
        if place in _POOLS:
            features.append(nn.MaxPool2d(3, stride=2))
        else:
            squeezed = FIRES[place]
            features.append(Fire(channels, squeezed, _EXPANSION * squeezed))
            channels = 2 * _EXPANSION * squeezed
    classifier = nn.Sequential(
        nn.Dropout(architecture.dropout),
        nn.Conv2d(channels, architecture.classes, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
    )
    return chain(features=nn.Sequential(*features), classifier=classifier, flatten=nn.Flatten())
