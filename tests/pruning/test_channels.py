"""Coupled channels of networks with branches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.networks.architectures import MobileNet, ResNet
from flexrel_sim.networks.build import build_network
from flexrel_sim.networks.modules import Add, Concat
from flexrel_sim.networks.squeezenet import Fire
from flexrel_sim.pruning.channels import CoupledNetwork, Sizes
from flexrel_sim.pruning.positions import output_positions
from flexrel_sim.pruning.relevance import prunable_layers
from tests.pruning.chains import named, seeded
from tests.pruning.masking import channels_masked
from tests.pruning.test_folding import with_statistics

IMAGES = torch.rand(3, 2, 8, 8, generator=seeded(1), dtype=torch.float64)


class Bypass(nn.Module):
    """A fire module with a shortcut: a sum of a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.fire, self.add = Fire(6, 2, 3), Add()

    def forward(self, source: Tensor) -> Tensor:
        output: Tensor = self.add(self.fire(source), source)
        return output


class HeadFirst(nn.Module):
    """Its answers' layer is written before the others."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.relu, self.body = nn.Linear(5, 3), nn.ReLU(), nn.Linear(128, 5)

    def forward(self, source: Tensor) -> Tensor:
        output: Tensor = self.head(self.relu(self.body(source.flatten(1))))
        return output


class TwoHeads(nn.Module):
    """Its answers are a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.left, self.right = nn.Linear(128, 5), nn.Linear(5, 3), nn.Linear(128, 3)
        self.add = Add()

    def forward(self, source: Tensor) -> Tensor:
        source = source.flatten(1)
        output: Tensor = self.add(self.left(self.body(source).relu()), self.right(source))
        return output


def resnet() -> nn.Module:
    card = {"family": "resnet", "stem": "small", "widths": [4, 6], "blocks": [2, 1]}
    shape = {"input_shape": [2, 8, 8], "classes": 3}
    return build_network(ResNet.model_validate(card | shape))


def mobilenet() -> nn.Module:
    stages = [[1, 4, 1, 1], [2, 6, 2, 2]]
    card = {"family": "mobilenet", "settings": stages, "last_channels": 8, "stem_channels": 4}
    shape = {"input_shape": [2, 8, 8], "classes": 3}
    return build_network(MobileNet.model_validate(card | shape))


def fires(middle: Callable[[], nn.Module]) -> nn.Module:
    return named(
        ("stem", nn.Conv2d(2, 6, 3, padding=1)),
        ("relu", nn.ReLU()),
        ("middle", middle()),
        ("last", nn.Conv2d(6, 3, 1)),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "mobilenet": mobilenet,
    "fire": lambda: fires(lambda: Fire(6, 2, 3)),
    "bypass": lambda: fires(Bypass),
    "head-first": HeadFirst,
    "two-heads": TwoHeads,
}


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return with_statistics(NETWORKS[name]())


BUILT = {name: network_of(name) for name in NETWORKS}


@st.composite
def kept(draw: st.DrawFn, coupled: CoupledNetwork) -> dict[str, Tensor]:
    masks = {}
    for name, group in coupled.groups.items():
        if draw(st.booleans()):
            flags = st.lists(st.booleans(), min_size=group.channels, max_size=group.channels)
            mask = torch.tensor(draw(flags))
            for at in group.outputs.values():
                if not mask[at.channel].any():
                    mask[at.channel[0]] = True
            masks[name] = mask
    return masks


def counted(network: nn.Module) -> Sizes:
    layers = prunable_layers(network)
    positions = output_positions(network, layers, IMAGES)
    weights = {name: layer.weight.numel() for name, layer in layers.items()}
    return Sizes(sum(weights.values()), sum(weights[n] * positions[n] for n in weights))


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=12)
@given(data=st.data())
def test_without_channels_a_network_answers_as_with_them_zeroed_and_has_the_promised_size(
    name: str, data: st.DataObject
) -> None:
    network = BUILT[name]
    coupled = CoupledNetwork(network, IMAGES[:1])
    keep = data.draw(kept(coupled))
    masked = channels_masked(network, coupled, keep, IMAGES[:1])
    promised = coupled.sizes(keep)
    smaller = coupled.removed(keep)
    with torch.inference_mode():
        torch.testing.assert_close(smaller(IMAGES), masked(IMAGES), rtol=1e-5, atol=1e-5)
    assert promised == counted(smaller)
    assert list(prunable_layers(smaller)) == list(prunable_layers(network))
    assert not any(weight.requires_grad for weight in smaller.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_but_the_answers_has_all_its_filters_in_one_group_or_more(name: str) -> None:
    network = BUILT[name]
    coupled = CoupledNetwork(network, IMAGES[:1])
    places: dict[str, list[int]] = {layer: [] for layer in prunable_layers(network)}
    for group in coupled.groups.values():
        for layer, at in group.outputs.items():
            places[layer] += at.index.tolist()
            assert int(at.channel.max()) < group.channels
    answers = {
        "resnet": ["fc"],
        "mobilenet": ["classifier.1"],
        "head-first": ["head"],
        "two-heads": ["left", "right"],
    }.get(name, ["last"])
    for layer, indices in places.items():
        whole = prunable_layers(network)[layer].weight.shape[0]
        assert sorted(indices) == ([] if layer in answers else list(range(whole)))
    assert coupled.sizes({}) == counted(network)


def test_a_residual_sum_couples_what_it_adds_and_a_depthwise_layer_what_it_reads() -> None:
    groups = CoupledNetwork(BUILT["resnet"], IMAGES[:1]).groups
    assert {"conv1", "layer1.0.conv2", "layer1.1.conv2"} == set(groups["conv1"].outputs)
    assert groups["conv1"].filters_per_channel == 3
    grouped = [
        layers
        for group in CoupledNetwork(BUILT["mobilenet"], IMAGES[:1]).groups.values()
        if len(layers := list(group.outputs)) > 1
    ]
    depthwise = {
        name
        for name, layer in prunable_layers(BUILT["mobilenet"]).items()
        if isinstance(layer, nn.Conv2d) and layer.groups > 1
    }
    assert depthwise <= {name for layers in grouped for name in layers}


def test_a_channel_scores_the_mean_over_its_filters() -> None:
    group = CoupledNetwork(BUILT["resnet"], IMAGES[:1]).groups["conv1"]
    scores = {name: torch.arange(4.0) * 10**i for i, name in enumerate(group.outputs)}
    assert group.scores(scores).tolist() == pytest.approx([111 / 3 * i for i in range(4)])


def test_a_group_never_loses_its_last_channel() -> None:
    coupled = CoupledNetwork(BUILT["resnet"], IMAGES[:1])
    with pytest.raises(ValueError, match="the channels of 'conv1' would all be removed; keep at"):
        coupled.removed({"conv1": torch.zeros(4, dtype=torch.bool)})


def test_a_layer_that_holds_a_part_of_the_channels_keeps_its_best() -> None:
    coupled = CoupledNetwork(BUILT["bypass"], IMAGES[:1])
    group = coupled.groups["stem"]
    assert (group.channels, group.least) == (6, 2)
    scores = {name: torch.arange(1.0, 1 + len(at.index)) for name, at in group.outputs.items()}
    best = group.scores(scores).argsort()[-2:]
    assert sorted(best.tolist()) == [2, 5]
    keep = {"stem": torch.tensor([True, True, True, False, False, False])}
    with pytest.raises(ValueError, match="'middle.fire.expand3x3' would all be removed; keep at"):
        coupled.removed(keep)


def test_the_network_itself_stays_whole() -> None:
    network = network_of("resnet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    coupled = CoupledNetwork(network, IMAGES[:1])
    coupled.removed({"conv1": torch.tensor([True, False, False, True])})
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_used_twice_has_the_positions_of_both_uses() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1)
    network = nn.Sequential(shared, shared, Both(shared), nn.Flatten(), nn.Linear(256, 3)).double()
    positions = output_positions(network, prunable_layers(network), IMAGES)
    assert list(positions.values()) == [4 * 64, 1]


class Both(nn.Module):
    """Joins two uses of one layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.concat = layer, Concat()

    def forward(self, source: Tensor) -> Tensor:
        output: Tensor = self.concat(self.layer(source), self.layer(source))
        return output
