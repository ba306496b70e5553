"""VGG-style networks as a plan of layers, without torch.

One plan serves both the builder and the checks of a scenario, which must not need torch to know
where a network can be cut.

References
----------
Simonyan, Zisserman, *Very deep convolutional networks for large-scale image recognition*, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LayerPlan", "vgg_plan"]

_KERNEL = 3

Kind = Literal["conv2d", "batchnorm2d", "relu", "maxpool2d", "flatten", "linear", "dropout"]


@dataclass(frozen=True)
class LayerPlan:
    """One layer to build.

    Parameters
    ----------
    name
        Its name in the network, and of the boundary after it.
    kind
        What it computes.
    inputs, outputs
        Channels of a convolution, features of a linear layer; a batch norm has inputs only, others
        have neither.
    """

    name: str
    kind: Kind
    inputs: int = 0
    outputs: int = 0

    @property
    def weights(self) -> int:
        """How many weights it has, biases not counted."""
        return self.inputs * self.outputs * (_KERNEL**2 if self.kind == "conv2d" else 1)


def vgg_plan(
    input_shape: tuple[int, int, int],
    blocks: list[list[int]],
    classifier: list[int],
    classes: int,
    *,
    batch_norm: bool = False,
) -> tuple[LayerPlan, ...]:
    """Plan a VGG-style network: blocks of 3×3 convolutions, each halved by a pool, then a head.

    Parameters
    ----------
    input_shape
        Channels, height, width.
    blocks
        Output channels of the convolutions of each block.
    classifier
        Features of the hidden fully connected layers.
    classes
        Number of logits.
    batch_norm
        Whether a batch norm follows every convolution.

    Returns
    -------
    tuple of LayerPlan
        The layers in order.

    Raises
    ------
    ValueError
        If the pools leave nothing of the image.
    """
    channels, height, width = input_shape
    plan: list[LayerPlan] = []
    for block, widths in enumerate(blocks, start=1):
        for index, outputs in enumerate(widths, start=1):
            plan.append(LayerPlan(f"conv{block}_{index}", "conv2d", channels, outputs))
            if batch_norm:
                plan.append(LayerPlan(f"bn{block}_{index}", "batchnorm2d", outputs))
            plan.append(LayerPlan(f"relu{block}_{index}", "relu"))
            channels = outputs
        plan.append(LayerPlan(f"pool{block}", "maxpool2d"))
        height, width = height // 2, width // 2
    if height < 1 or width < 1:
        raise ValueError(
            f"{len(blocks)} pools leave nothing of {input_shape[1]}x{input_shape[2]} pixels"
        )
    plan.append(LayerPlan("flatten", "flatten"))
    features = channels * height * width
    for index, outputs in enumerate(classifier, start=1):
        plan.append(LayerPlan(f"fc{index}", "linear", features, outputs))
        plan.append(LayerPlan(f"relu_fc{index}", "relu"))
        plan.append(LayerPlan(f"drop_fc{index}", "dropout"))
        features = outputs
    plan.append(LayerPlan(f"fc{len(classifier) + 1}", "linear", features, classes))
    return tuple(plan)
