from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from flexrel_sim.networks import FAMILIES, Card, CardFile, LayerPlan, load_card, outline, vgg_plan
from flexrel_sim.networks.architectures import Architecture, Inputs
from flexrel_sim.networks.build import build_network
from flexrel_sim.networks.outline import outline_of
from tests.networks.cards import CARD_YAML, SHIPPED_CARD, TINY_LAYERS


def card_of(**architecture: object) -> Card:
    data = yaml.safe_load(CARD_YAML)
    data["architecture"] |= architecture
    return Card.model_validate(data)


def test_the_plan_of_a_vgg_is_blocks_then_flatten_then_classifier() -> None:
    assert vgg_plan((3, 5, 4), [[2], [4, 6]], [7], 9) == (
        LayerPlan("conv1_1", "conv2d", 3, 2),
        LayerPlan("relu1_1", "relu"),
        LayerPlan("pool1", "maxpool2d"),
        LayerPlan("conv2_1", "conv2d", 2, 4),
        LayerPlan("relu2_1", "relu"),
        LayerPlan("conv2_2", "conv2d", 4, 6),
        LayerPlan("relu2_2", "relu"),
        LayerPlan("pool2", "maxpool2d"),
        LayerPlan("flatten", "flatten"),
        LayerPlan("fc1", "linear", 6, 7),
        LayerPlan("relu_fc1", "relu"),
        LayerPlan("drop_fc1", "dropout"),
        LayerPlan("fc2", "linear", 7, 9),
    )


def test_a_vgg_without_hidden_features_ends_in_one_linear_layer() -> None:
    names = [layer.name for layer in vgg_plan((1, 2, 2), [[1]], [], 2)]
    assert names == ["conv1_1", "relu1_1", "pool1", "flatten", "fc1"]


@pytest.mark.parametrize("pixels", [(3, 4), (4, 3)])
def test_pools_that_leave_nothing_of_the_image_are_refused(pixels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"2 pools leave nothing of {pixels[0]}x{pixels[1]}"):
        vgg_plan((1, *pixels), [[1], [1]], [], 2)


def test_boundaries_of_a_card_are_all_layers_but_the_last_and_prunable_are_those_with_weights() -> (
    None
):
    parts = outline(CardFile(Path("tiny.yaml"), card_of()))
    assert (*parts.boundaries, parts.last) == TINY_LAYERS
    assert list(parts.weights) == ["conv1_1", "conv1_2", "conv2_1", "fc1", "fc2"]
    assert parts.filters == {"conv1_1": 4, "conv1_2": 6, "conv2_1": 8, "fc1": 16}


def test_the_shipped_card_can_be_cut_where_the_quickstart_cuts_it() -> None:
    assert {"pool1", "pool2", "relu_fc1"} <= set(outline(load_card(SHIPPED_CARD)).boundaries)


def test_every_family_of_a_card_is_listed() -> None:
    families = [get_args(kind.model_fields["family"].annotation)[0] for kind in _sections()]
    assert list(FAMILIES) == families


def _sections() -> tuple[type[Inputs], ...]:
    union, _ = get_args(Architecture)
    return get_args(union)


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(4, 9), st.integers(4, 9)),
    blocks=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=2), min_size=1, max_size=2),
    classifier=st.lists(st.integers(1, 5), max_size=2),
    classes=st.integers(2, 5),
    batch_norm=st.booleans(),
)
def test_every_plan_builds_a_chain_with_its_names_that_gives_one_logit_per_class(
    shape: tuple[int, int, int],
    blocks: list[list[int]],
    classifier: list[int],
    classes: int,
    batch_norm: bool,
) -> None:
    card = card_of(
        input_shape=list(shape),
        blocks=blocks,
        classifier=classifier,
        classes=classes,
        batch_norm=batch_norm,
    )
    network = build_network(card.architecture).eval()
    plan = card.architecture.plan()
    assert [name for name, _ in network.named_children()] == [layer.name for layer in plan]
    assert network(torch.zeros(2, *shape)).shape == (2, classes)
    assert outline(CardFile(Path("any.yaml"), card)) == outline_of(network)


def test_convolutions_are_3x3_with_padding_1_pools_halve_and_relus_are_not_in_place() -> None:
    network = build_network(card_of(dropout=0.25).architecture)
    assert isinstance(network, nn.Sequential)
    conv, pool, drop = network.conv1_2, network.pool1, network.drop_fc1
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.padding, conv.stride) == ((3, 3), (1, 1), (1, 1))
    assert isinstance(pool, nn.MaxPool2d)
    assert pool.kernel_size == 2
    assert isinstance(drop, nn.Dropout)
    assert drop.p == 0.25
    relus = [module for module in network if isinstance(module, nn.ReLU)]
    assert len(relus) == 4
    assert not any(relu.inplace for relu in relus)
