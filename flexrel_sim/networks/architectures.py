"""What a card can say of a network: one section per family. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.bounds import too_large
from flexrel_sim.networks.vgg import LayerPlan, vgg_plan
from flexrel_sim.scenario import Section

__all__ = [
    "ARCHITECTURES",
    "FAMILIES",
    "Architecture",
    "EfficientNetLite0",
    "Factory",
    "Inputs",
    "MobileNet",
    "Preprocessing",
    "ResNet",
    "SqueezeNet",
    "TorchvisionVgg",
    "Vgg",
    "VisionTransformer",
    "refuse_too_large",
]

_Width = Annotated[int, Field(ge=1, le=1 << 16)]
_Positive = Annotated[float, Field(gt=0)]
_IMAGENET_CLASSES = 1000

# Blocks, convolutions or encoder layers: no published network has as many.
_LAYERS_MAX = 1000

_BYTES_PER_NUMBER = 4


class Preprocessing(Section):
    """What is done to pixels in 0..1 before the first layer: `(x - mean) / std`."""

    mean: list[float] = Field(min_length=1)
    """Subtracted; one number, or one per channel."""
    std: list[_Positive] = Field(min_length=1)
    """Divided by; one number, or one per channel."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order in which the network reads the channels; `mean` and `std` are always in RGB."""


class Inputs(Section):
    """What every family has."""

    input_shape: list[_Width] = Field(min_length=3, max_length=3)
    """Channels, height, width of an image."""
    classes: int = Field(ge=2, le=1_000_000)
    """Number of classes."""
    preprocess: Preprocessing | None = None
    """What is done to pixels in 0..1 before the first layer; nothing when absent."""

    @model_validator(mode="after")
    def _channels_fit(self) -> Self:
        channels = self.input_shape[0]
        for name in ("mean", "std") if self.preprocess else ():
            count = len(getattr(self.preprocess, name))
            if count not in (1, channels):
                _refuse(
                    f"preprocess.{name} must have 1 number or {channels}, one per channel",
                    "count them",
                    count,
                )
        return self


class Vgg(Inputs):
    """Blocks of 3×3 convolutions and max-pools, then fully connected layers."""

    family: Literal["vgg"]
    """Family of networks; `flexrel-sim networks` lists them."""
    blocks: list[Annotated[list[_Width], Field(min_length=1)]] = Field(min_length=1)
    """Output channels of the convolutions of each block; a max-pool ends a block."""
    classifier: list[_Width]
    """Features of the hidden fully connected layers."""
    batch_norm: bool = False
    """Whether a batch norm follows every convolution."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden feature in training."""

    @model_validator(mode="after")
    def _can_be_planned(self) -> Self:
        _limit_layers(sum(map(len, self.blocks)) + len(self.classifier))
        try:
            plan = self.plan()
        except ValueError as error:
            _refuse(str(error), "use fewer blocks or larger images")
        _, height, width = self.input_shape
        # A block's convolutions have the pixels that the pools before it left.
        values = [
            max(widths) * (height >> pools) * (width >> pools)
            for pools, widths in enumerate(self.blocks)
        ]
        refuse_too_large(sum(layer.weights for layer in plan), max(values))
        return self

    def plan(self) -> tuple[LayerPlan, ...]:
        """List the layers in order."""
        channels, height, width = self.input_shape
        return vgg_plan(
            (channels, height, width),
            self.blocks,
            self.classifier,
            self.classes,
            batch_norm=self.batch_norm,
        )


class TorchvisionVgg(Inputs):
    """VGG as published for ImageNet; reads the checkpoints of torchvision."""

    family: Literal["torchvision-vgg"]
    """Family of networks; `flexrel-sim networks` lists them."""
    depth: Literal[11, 13, 16, 19]
    """Layers with weights."""
    batch_norm: bool = False
    """Whether a batch norm follows every convolution."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Probability of dropping a hidden feature in training."""

    @model_validator(mode="after")
    def _pixels_last(self) -> Self:
        _need_pixels(self.input_shape, 32)
        return self


class ResNet(Inputs):
    """Stages of residual blocks; reads the checkpoints of torchvision."""

    family: Literal["resnet"]
    """Family of networks; `flexrel-sim networks` lists them."""
    stem: Literal["small", "imagenet"]
    """`imagenet`: a 7x7 convolution and a pool that make the image 4 times smaller; `small`: one
    3x3 convolution."""
    stem_stride: Literal[1, 2] | None = None
    """Stride of a small stem, 1 when absent."""
    block: Literal["basic", "bottleneck"] = "basic"
    """`basic`: two 3x3 convolutions, as in ResNet18; `bottleneck`: a 3x3 convolution between two of
    1x1, and 4 times as many channels after it, as in ResNet50."""
    widths: list[_Width] = Field(min_length=1)
    """Channels of each stage, a bottleneck's inner ones; all but the first halve the image."""
    blocks: list[_Width] = Field(min_length=1)
    """Blocks of each stage."""

    @model_validator(mode="after")
    def _lists_fit(self) -> Self:
        if len(self.blocks) != len(self.widths):
            _refuse(
                f"blocks must have {len(self.widths)} numbers, one per stage in widths",
                "give every stage its number of blocks",
                len(self.blocks),
            )
        _limit_layers(sum(self.blocks))
        if self.stem == "imagenet" and self.stem_stride is not None:
            _refuse("stem_stride is for a small stem only", "remove it")
        return self


class MobileNet(Inputs):
    """MobileNetV2: stages of inverted residuals; reads the checkpoints of torchvision."""

    family: Literal["mobilenet"]
    """Family of networks; `flexrel-sim networks` lists them."""
    stem_channels: _Width = 32
    """Channels of the first convolution."""
    stem_stride: Literal[1, 2] = 2
    """Stride of the first convolution."""
    settings: list[Annotated[list[_Width], Field(min_length=4, max_length=4)]] = Field(
        [
            [1, 16, 1, 1],
            [6, 24, 2, 2],
            [6, 32, 3, 2],
            [6, 64, 4, 2],
            [6, 96, 3, 1],
            [6, 160, 3, 2],
            [6, 320, 1, 1],
        ],
        min_length=1,
    )
    """Expansion, channels, repeats and first stride of each stage; MobileNetV2's when absent."""
    last_channels: _Width = 1280
    """Channels of the last convolution."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability of dropping a feature before the last layer in training."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        _limit_layers(sum(repeats for _, _, repeats, _ in self.settings))
        return self


class EfficientNetLite0(Inputs):
    """EfficientNet-Lite0 for ImageNet, with the weights of a package."""

    family: Literal["efficientnet-lite0"]
    """Family of networks; `flexrel-sim networks` lists them."""
    input_shape: list[_Width] = Field([3, 224, 224], min_length=3, max_length=3)
    """Channels, height, width of an image."""
    classes: int = Field(_IMAGENET_CLASSES, ge=2)
    """Number of classes."""
    preprocess: Preprocessing | None = Preprocessing(mean=[127 / 255], std=[128 / 255])
    """What is done to pixels in 0..1 before the first layer; the package's when absent."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability of dropping a feature before the last layer in training."""


class SqueezeNet(Inputs):
    """SqueezeNet 1.1 for ImageNet, with the weights of a package."""

    family: Literal["squeezenet"]
    """Family of networks; `flexrel-sim networks` lists them."""
    input_shape: list[_Width] = Field([3, 227, 227], min_length=3, max_length=3)
    """Channels, height, width of an image."""
    classes: int = Field(_IMAGENET_CLASSES, ge=2)
    """Number of classes."""
    preprocess: Preprocessing | None = Preprocessing(
        mean=[123.68 / 255, 116.779 / 255, 103.939 / 255], std=[1 / 255], channel_order="bgr"
    )
    """What is done to pixels in 0..1 before the first layer; the package's when absent."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Probability of dropping a feature before the last layer in training."""

    @model_validator(mode="after")
    def _pixels_last(self) -> Self:
        _need_pixels(self.input_shape, 31)
        return self


class VisionTransformer(Inputs):
    """Vision transformer on square patches; reads the checkpoints of torchvision."""

    family: Literal["vit"]
    """Family of networks; `flexrel-sim networks` lists them."""
    patch: _Width
    """Height and width of a patch, which becomes a token."""
    width: _Width
    """Features of a token."""
    depth: Annotated[int, Field(ge=1, le=_LAYERS_MAX)]
    """Encoder blocks."""
    heads: _Width
    """Heads of the attention, which share the features."""
    hidden: _Width
    """Features between the two linear layers of a block."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a feature in training."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        _, height, width = self.input_shape
        if height % self.patch or width % self.patch:
            rule = f"input_shape must be a whole number of patches of {self.patch} pixels"
            _refuse(rule, "use other images or patches", f"{height}x{width}")
        if self.width % self.heads:
            rule = f"width must be a multiple of heads, which is {self.heads}"
            _refuse(rule, "use as many heads as share it", self.width)
        tokens = 1 + (height // self.patch) * (width // self.patch)
        weights = self.depth * self.width * (4 * self.width + 2 * self.hidden)
        # Every head weighs every token for every token.
        refuse_too_large(weights, max(self.heads * tokens, self.width) * tokens)
        return self


class Factory(Inputs):
    """Whatever a function of an installed package builds, such as torchvision.models:resnet18."""

    family: Literal["factory"]
    """Family of networks; `flexrel-sim networks` lists them."""
    factory: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
    """`package.module:function`, which says by its annotation that it returns a torch.nn.Module, or
    a class of one. It is code that runs with your rights: only name what you trust."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the function."""
    trained: bool = False
    """Whether the function itself gives trained weights, so that no checkpoint need be recorded."""


Architecture = Annotated[
    Vgg
    | TorchvisionVgg
    | ResNet
    | MobileNet
    | EfficientNetLite0
    | SqueezeNet
    | VisionTransformer
    | Factory,
    Field(discriminator="family"),
]
"""What a network is made of."""

ARCHITECTURES: Final[dict[str, type[Inputs]]] = {
    "vgg": Vgg,
    "torchvision-vgg": TorchvisionVgg,
    "resnet": ResNet,
    "mobilenet": MobileNet,
    "efficientnet-lite0": EfficientNetLite0,
    "squeezenet": SqueezeNet,
    "vit": VisionTransformer,
    "factory": Factory,
}
"""The section of each family."""

FAMILIES: Final = {
    name: " ".join((section.__doc__ or "").split()).removesuffix(".")
    for name, section in ARCHITECTURES.items()
}
"""Families of networks that a card can describe."""


def refuse_too_large(weights: int, values: int) -> None:
    """Refuse a network that nothing could hold, before it is built.

    Parameters
    ----------
    weights
        How many it has.
    values
        How many its largest layer gives for one image.

    Raises
    ------
    PydanticCustomError
        If either takes more bytes than an input may; a ValueError, with rule and remedy.
    """
    for what, count in (("its weights", weights), ("the answers of a layer", values)):
        if rule := too_large(_BYTES_PER_NUMBER * count):
            told, _, remedy = rule.partition("; ")
            _refuse(f"{what} {told}", f"make it smaller; {remedy}")


def _limit_layers(count: int) -> None:
    if count > _LAYERS_MAX:
        _refuse(f"must have at most {_LAYERS_MAX} layers or blocks", "use fewer", count)


def _need_pixels(input_shape: list[int], least: int) -> None:
    _, height, width = input_shape
    if min(height, width) < least:
        rule = f"input_shape must be at least {least}x{least} pixels, or its pools leave nothing"
        _refuse(rule, "use larger images", f"{height}x{width}")


def _refuse(rule: str, remedy: str, got: object = None) -> None:
    shown = rule if got is None else f"{rule}, not {got}"
    raise PydanticCustomError("architecture", "{rule}", {"rule": shown, "remedy": remedy})
