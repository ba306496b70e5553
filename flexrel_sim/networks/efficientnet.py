"""EfficientNet-Lite0, with the names of EfficientNet-PyTorch, whose checkpoints it reads."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

from flexrel_sim.networks.architectures import EfficientNetLite0
from flexrel_sim.networks.modules import Add, chain

__all__ = ["LiteBlock", "build_efficientnet_lite0"]

_STAGES: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Expansion, channels, repeats, first stride and kernel of each stage."""

_STEM: Final = 32
_LAST: Final = 1280

_Size = tuple[int, int]


class LiteBlock(nn.Module):
    """An inverted residual without squeeze-and-excitation.

    Parameters
    ----------
    inputs, outputs
        Channels.
    expansion
        Channels inside the block, as a multiple of its inputs; 1 for no expansion.
    kernel, stride
        Of the depthwise convolution.
    size
        Height and width of its input, which tell how a strided convolution is padded.

    References
    ----------
    Tan, Le, *EfficientNet: rethinking model scaling for convolutional neural networks*, ICML 2019,
    table 1; Lite: without squeeze-and-excitation, and with ReLU6.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        expansion: int,
        *,
        kernel: int,
        stride: int,
        size: _Size,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _batch_norm(hidden)
            self._relu0 = nn.ReLU6()
        self._pad = _pad(kernel, stride, size)
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _batch_norm(hidden)
        self._relu1 = nn.ReLU6()
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _batch_norm(outputs)
        self._add = Add() if stride == 1 and inputs == outputs else None

    def forward(self, source: Tensor) -> Tensor:
        """Compute ``convolutions(x)``, plus ``x`` with a shortcut."""
        inner = source
        if self.expands:
            inner = self._relu0(self._bn0(self._expand_conv(inner)))
        inner = self._relu1(self._bn1(self._depthwise_conv(self._pad(inner))))
        output: Tensor = self._bn2(self._project_conv(inner))
        return output if self._add is None else self._add(output, source)


def build_efficientnet_lite0(architecture: EfficientNetLite0) -> nn.Sequential:
    """Build a stem, stages of blocks, a last convolution and a linear layer."""
    images, height, width = architecture.input_shape
    stem_pad, size = _pad(3, 2, (height, width)), _halved((height, width))
    blocks: list[nn.Module] = []
    channels = _STEM
    for expansion, outputs, repeats, first_stride, kernel in _STAGES:
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            blocks.append(
                LiteBlock(channels, outputs, expansion, kernel=kernel, stride=stride, size=size)
            )
            channels, size = outputs, _halved(size) if stride == 2 else size
    return chain(
        _pad_stem=stem_pad,
        _conv_stem=nn.Conv2d(images, _STEM, 3, stride=2, bias=False),
        _bn0=_batch_norm(_STEM),
        _relu0=nn.ReLU6(),
        _blocks=nn.Sequential(*blocks),
        _conv_head=nn.Conv2d(channels, _LAST, 1, bias=False),
        _bn1=_batch_norm(_LAST),
        _relu1=nn.ReLU6(),
        _avg_pooling=nn.AdaptiveAvgPool2d(1),
        _flatten=nn.Flatten(),
        _dropout=nn.Dropout(architecture.dropout),
        _fc=nn.Linear(_LAST, architecture.classes),
    )


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    # TensorFlow's settings, which the published weights were trained with.
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _halved(size: _Size) -> _Size:
    return ((size[0] + 1) // 2, (size[1] + 1) // 2)


def _pad(kernel: int, stride: int, size: _Size) -> nn.ZeroPad2d:
    """Pad as TensorFlow does: as little as gives ``ceil(size / stride)``, the odd zero at the end.

    A layer of its own also where a convolution could pad: PyTorch's padding is symmetric.
    """
    sides: list[int] = []
    for pixels in size:
        missing = max((-(-pixels // stride) - 1) * stride + kernel - pixels, 0)
        sides = [missing // 2, missing - missing // 2, *sides]
    left, right, top, bottom = sides
    return nn.ZeroPad2d((left, right, top, bottom))
