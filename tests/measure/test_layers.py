from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.measure.layers import layer_costs
from flexrel_sim.profile import Layer
from flexrel_sim.pruning.remove import weights_masked
from tests.networks.cards import shipped_network
from tests.pruning.chains import named

IMAGE = torch.zeros(1, 1, 28, 28)
PAIR = torch.zeros(1, 2, dtype=torch.float64)


def test_macs_and_weights_of_the_shipped_network_are_those_counted_by_hand() -> None:
    layers = layer_costs(shipped_network(), "pool1", IMAGE)
    costs = {layer.name: (layer.macs, layer.weights) for layer in layers if layer.weights}
    assert costs == {
        "conv1_1": (28 * 28 * 16 * 1 * 9, 16 * 1 * 9 + 16),
        "conv1_2": (28 * 28 * 16 * 16 * 9, 16 * 16 * 9 + 16),
        "conv2_1": (14 * 14 * 32 * 16 * 9, 32 * 16 * 9 + 32),
        "conv2_2": (14 * 14 * 32 * 32 * 9, 32 * 32 * 9 + 32),
        "fc1": (128 * 32 * 7 * 7, 128 * 32 * 7 * 7 + 128),
        "fc2": (10 * 128, 10 * 128 + 10),
    }
    assert sum(layer.macs for layer in layers) == sum(macs for macs, _ in costs.values())


def test_every_layer_is_listed_in_order_with_its_side_bytes_and_shape() -> None:
    layers = layer_costs(shipped_network(), "pool1", IMAGE)
    assert [layer.name for layer in layers] == [
        name for name, _ in shipped_network().named_children()
    ]
    assert [layer.side for layer in layers] == ["head"] * 5 + ["tail"] * (len(layers) - 5)
    pool = layers[4]
    assert pool == Layer(
        "pool1", "maxpool2d", "head", 0, 0, 0, 4 * 16 * 28 * 28, 4 * 16 * 14 * 14, (16, 14, 14)
    )
    kinds = {layer.kind for layer in layers}
    assert kinds == {"conv2d", "relu", "maxpool2d", "flatten", "linear", "dropout"}
    for before, after in pairwise(layers):
        assert before.output_bytes == after.input_bytes


def test_grouped_strided_and_rectangular_convolutions_are_counted_as_they_compute() -> None:
    conv = nn.Conv2d(4, 8, (3, 2), stride=2, groups=2, bias=False)
    network = named(("conv", conv), ("flatten", nn.Flatten()))
    layer, _ = layer_costs(network, "edge", torch.zeros(1, 4, 9, 8, dtype=torch.float64))
    # Outputs 8x4x4, each of 2 channels times 6 weights.
    assert layer.output_shape == (8, 4, 4)
    assert (layer.macs, layer.weights) == (8 * 4 * 4 * 12, 8 * 12)


def test_the_costs_are_those_of_one_request_whatever_the_batch() -> None:
    assert layer_costs(shipped_network(), "relu1_2", IMAGE) == layer_costs(
        shipped_network(), "relu1_2", torch.zeros(4, 1, 28, 28)
    )


def test_zeroed_weights_count_as_zero_and_their_macs_still_as_dense() -> None:
    network = shipped_network()
    keep = {"conv1_1": torch.arange(144).reshape(16, 1, 3, 3) >= 100}
    dense = layer_costs(network, "edge", IMAGE)[0]
    sparse = layer_costs(weights_masked(network, keep), "edge", IMAGE)[0]
    assert dense.nonzero_weights == dense.weights == 160
    assert (sparse.macs, sparse.weights, sparse.nonzero_weights) == (dense.macs, 160, 60)


def test_an_operation_of_unknown_cost_is_refused_with_its_name_and_kernel() -> None:
    class Sorted(nn.Module):
        def forward(self, source: Tensor) -> Tensor:
            return source.sort().values

    network = named(("fc", nn.Linear(2, 2)), ("order", Sorted()))
    with pytest.raises(ValueError, match=r"unknown cost: 'order' \(sorted: sort\)"):
        layer_costs(network, "edge", PAIR)


def test_a_weight_that_both_halves_read_is_shipped_to_both() -> None:
    layer = nn.Linear(2, 2)
    network = named(("first", layer), ("act", nn.ReLU()), ("second", layer))
    sides = [(cost.side, cost.weights) for cost in layer_costs(network, "act", PAIR)]
    assert sides == [("head", 6), ("head", 0), ("tail", 6)]
    assert [cost.weights for cost in layer_costs(network, "edge", PAIR)] == [6, 0, 0]
