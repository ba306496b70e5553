"""What whole networks cost, against counts by hand and published totals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.measure.layers import layer_costs, layers_of
from flexrel_sim.networks.build import build_network
from flexrel_sim.networks.modules import BasicBlock
from flexrel_sim.partition import count as operation_costs
from flexrel_sim.partition import split_graph, trace
from tests.networks.test_families import (
    MOBILENET,
    RESNET18,
    RESNET50,
    SMALL,
    VGG16,
    VIT_B16,
    architecture,
)


def costs_of(data: dict[str, Any]) -> tuple[int, int]:
    # Without memory: neither weights nor numbers have to be computed to be counted.
    with torch.device("meta"):
        network = build_network(architecture(data)).eval()
        costs = operation_costs(trace(network), torch.zeros(1, 3, 224, 224))
    assert not any(cost.uncounted for cost in costs)
    weights = sum(weight.numel() for cost in costs for weight in cost.parameters)
    return sum(cost.macs for cost in costs), weights


def test_vgg16_does_the_macs_counted_by_hand() -> None:
    macs, inputs, side = 0, 3, 224
    for count, outputs in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            macs += side**2 * outputs * inputs * 9
            inputs = outputs
        side //= 2
    macs += 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000
    assert macs == 15_470_264_320
    assert costs_of(VGG16) == (macs, 138_357_544)


def test_resnet18_does_the_macs_counted_by_hand() -> None:
    macs, inputs, side = 112**2 * 64 * 3 * 49, 64, 56
    for outputs in (64, 128, 256, 512):
        side = side if outputs == 64 else side // 2
        macs += side**2 * outputs * (inputs + 3 * outputs) * 9
        macs += side**2 * outputs * inputs * (inputs != outputs)
        inputs = outputs
    macs += 512 * 1000
    assert macs == 1_814_073_344
    assert costs_of(RESNET18) == (macs, 11_689_512)


def test_mobilenet_v2_does_the_macs_counted_by_hand() -> None:
    side, inputs = 112, 32
    macs = side**2 * 32 * 3 * 9
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
    for expansion, outputs, repeats, first in (
        *rows,
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for index in range(repeats):
            hidden = inputs * expansion
            macs += side**2 * inputs * hidden * (expansion != 1)
            side //= first if index == 0 else 1
            macs += side**2 * hidden * (9 + outputs)
            inputs = outputs
    macs += side**2 * 320 * 1280 + 1280 * 1000
    assert macs == 300_774_272
    assert costs_of(MOBILENET) == (macs, 3_504_872)


def test_resnet50_does_the_macs_counted_by_hand() -> None:
    macs, inputs, side = 112**2 * 64 * 3 * 49, 64, 56
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        for block in range(count):
            macs += side**2 * inputs * width
            halved = side // 2 if stage and block == 0 else side
            macs += halved**2 * (width * width * 9 + width * 4 * width)
            macs += halved**2 * inputs * 4 * width * (block == 0)
            side, inputs = halved, 4 * width
    macs += 2048 * 1000
    assert macs == 4_089_184_256
    assert costs_of(RESNET50) == (macs, 25_557_032)


def test_vit_b16_does_the_macs_counted_by_hand() -> None:
    tokens, width = 197, 768
    block = tokens * width * (3 * width + width + 2 * 3072) + 2 * tokens**2 * width
    macs = 196 * width * 3 * 256 + 12 * block + width * 1000
    assert macs == 17_563_828_224
    assert costs_of(VIT_B16) == (macs, 86_567_656)


@pytest.mark.parametrize(
    ("family", "macs", "weights"),
    [("efficientnet-lite0", 385_187_552, 4_652_008), ("squeezenet", 352_540_352, 1_235_496)],
)
def test_networks_of_packages_have_their_totals(family: str, macs: int, weights: int) -> None:
    data = {"family": family}
    image = torch.zeros(1, *architecture(data).input_shape)
    layers = layer_costs(build_network(architecture(data)).eval(), "edge", image)
    assert (sum(layer.macs for layer in layers), sum(layer.weights for layer in layers)) == (
        macs,
        weights,
    )


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_is_counted_once_and_on_the_side_of_its_stage(name: str) -> None:
    network = build_network(architecture(SMALL[name])).eval()
    image = torch.zeros(1, *SMALL[name]["input_shape"])
    graph = trace(network)
    costs, nonzero = operation_costs(graph, image), {}
    for cut in graph.cuts.values():
        layers = layers_of(graph, cut.name, costs, nonzero)
        assert len({layer.name for layer in layers}) == len(layers)
        for side, half in zip(("head", "tail"), split_graph(graph, cut), strict=True):
            counted = sum(layer.weights for layer in layers if layer.side == side)
            assert counted == sum(weight.numel() for weight in half.parameters())


def test_a_residual_block_counts_as_its_layers_with_dotted_names() -> None:
    network = nn.Sequential()
    network.add_module("block", BasicBlock(2, 3, 2))
    layers = layer_costs(network.eval(), "edge", torch.zeros(1, 2, 4, 4))
    assert [(layer.name, layer.kind, layer.macs) for layer in layers] == [
        ("block.conv1", "conv2d", 4 * 3 * 2 * 9),
        ("block.bn1", "batchnorm2d", 0),
        ("block.relu1", "relu", 0),
        ("block.conv2", "conv2d", 4 * 3 * 3 * 9),
        ("block.bn2", "batchnorm2d", 0),
        ("block.downsample.0", "conv2d", 4 * 3 * 2),
        ("block.downsample.1", "batchnorm2d", 0),
        ("block.add", "add", 0),
        ("block.relu2", "relu", 0),
    ]
    add, norm = layers[7], layers[1]
    # The sum reads both of its operands; a norm has a scale and a shift.
    assert (add.input_bytes, add.output_bytes) == (2 * 4 * 12, 4 * 12)
    assert norm.weights == 6


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False)


class Product(Functional):
    def forward(self, source: Tensor) -> Tensor:
        return self.layer(source) @ self.layer.weight


class Bare(Functional):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, source: Tensor) -> Tensor:
        return self.layer(source) * self.scale


class Again(Functional):
    def forward(self, source: Tensor) -> Tensor:
        return self.layer(self.layer(source))


def test_multiplications_in_functions_count_as_those_of_layers() -> None:
    layer, product = layer_costs(Product(), "layer", torch.zeros(1, 4))
    assert (layer.name, layer.side, layer.macs, layer.weights) == ("layer", "head", 16, 16)
    # The tail reads the same weights, and has them too.
    assert (product.name, product.kind, product.side) == ("matmul", "matmul", "tail")
    assert (product.macs, product.weights) == (16, 16)


def test_parameters_that_no_layer_holds_are_counted_where_they_are_read() -> None:
    layer, scaled = layer_costs(nn.Sequential(Bare()), "edge", torch.zeros(1, 4))
    assert (layer.name, layer.weights) == ("0.layer", 16)
    assert (scaled.name, scaled.macs, scaled.weights) == ("0.mul", 0, 4)


def test_a_layer_that_runs_twice_computes_twice_and_ships_once() -> None:
    first, second = layer_costs(Again(), "edge", torch.zeros(1, 4))
    assert (first.name, first.macs, first.weights) == ("layer", 16, 16)
    assert (second.name, second.macs, second.weights) == ("layer@2", 16, 0)


def test_a_subclass_that_pads_otherwise_counts_as_its_convolution() -> None:
    class Same(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            return super().forward(nn.functional.pad(input, (0, 1, 0, 1)))

    (layer,) = layer_costs(
        nn.Sequential(Same(1, 2, 2, bias=False)), "edge", torch.zeros(1, 1, 3, 3)
    )
    assert (layer.kind, layer.macs, layer.weights) == ("conv2d", 9 * 2 * 4, 8)
