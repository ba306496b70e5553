import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.datasets import held_out
from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.filters import kept_channels
from flexrel_sim.pruning.prune import evidence_for, kept_weights, prune
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.pruning.remove import weights_masked
from flexrel_sim.pruning.scores import scoring
from flexrel_sim.scenario.schema import PruningSection
from tests.networks.cards import shipped_network
from tests.pruning.chains import named, randomised, seeded
from tests.pruning.masking import filters_masked


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(held_out("mnist5k").images[::50])


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return torch.from_numpy(held_out("mnist5k").labels[::50])


def section(**changes: Any) -> PruningSection:
    return PruningSection.model_validate(
        {"ratio": 0.5, "granularity": "filters", "min_kept": 0.01} | changes
    )


def choose_kept(
    network: nn.Module, asked: PruningSection, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    evidence = evidence_for(network, asked, images, labels)
    if asked.granularity == "weights":
        return kept_weights(evidence, asked, scoring(asked))
    return kept_channels(CoupledNetwork(network, images[:1]), evidence, asked, scoring(asked))


def filters_removed(network: nn.Module, keep: dict[str, Tensor], example: Tensor) -> nn.Module:
    return CoupledNetwork(network, example).removed(keep)


def weights_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def removed_weights(
    network: nn.Sequential, keep: dict[str, Tensor], pixels: dict[str, int]
) -> dict[str, int]:
    """Count by hand what each layer has left."""
    left, inputs = {}, None
    for name, layer in prunable_layers(network).items():
        outs, ins = layer.weight.shape[:2]
        here = int(keep[name].sum()) if name in keep else outs
        before = ins if inputs is None else inputs * pixels.get(name, 1)
        left[name] = here * before * layer.weight[0, 0].numel() + here
        inputs = here
    return left


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("criterion", ["flexrel-paper", "magnitude", "random"])
def test_the_trained_network_without_filters_answers_as_with_their_weights_zeroed(
    images: Tensor, labels: Tensor, criterion: str, ratio: float
) -> None:
    network = shipped_network()
    keep = choose_kept(network, section(criterion=criterion, ratio=ratio), images, labels)
    smaller = filters_removed(network, keep, images[:1])
    with torch.inference_mode():
        expected = filters_masked(network, keep)(images)
        torch.testing.assert_close(smaller(images), expected, rtol=1e-5, atol=1e-5)
    sizes = {
        name: sum(weight.numel() for weight in layer.parameters())
        for name, layer in prunable_layers(smaller).items()
    }
    # The flattened image of the first linear layer is 7x7 per channel.
    assert sizes == removed_weights(network, keep, {"fc1": 49})
    assert [name for name, _ in smaller.named_children()] == [
        name for name, _ in network.named_children()
    ]
    assert not any(module.training for module in smaller.modules())


@st.composite
def chains(draw: st.DrawFn) -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = []
    channels, side = 2, 8
    for index in range(draw(st.integers(1, 3))):
        width = draw(st.integers(2, 6))
        conv = nn.Conv2d(channels, width, 3, padding=1, bias=draw(st.booleans()))
        layers += [(f"conv{index}", conv), (f"relu{index}", nn.ReLU())]
        channels = width
        if draw(st.booleans()):
            layers.append((f"pool{index}", nn.MaxPool2d(2)))
            side //= 2
    layers.append(("flatten", nn.Flatten()))
    features = channels * side * side
    for index in range(draw(st.integers(0, 2))):
        width = draw(st.integers(2, 6))
        layers += [
            (f"fc{index}", nn.Linear(features, width)),
            (f"relu_fc{index}", nn.ReLU()),
            (f"drop{index}", nn.Dropout(0.5)),
        ]
        features = width
    layers.append(("last", nn.Linear(features, 3)))
    return randomised(named(*layers), draw(st.integers(0, 10**6)))


@settings(max_examples=40)
@given(
    network=chains(),
    ratio=st.floats(0.05, 0.95),
    criterion=st.sampled_from(["flexrel-paper", "magnitude", "relevance", "random"]),
    seed=st.integers(0, 10**6),
)
def test_any_chain_without_filters_answers_as_with_their_weights_zeroed(
    network: nn.Sequential, ratio: float, criterion: str, seed: int
) -> None:
    samples = torch.rand(3, 2, 8, 8, generator=seeded(seed), dtype=torch.float64)
    classes = torch.tensor([0, 1, 2])
    asked = section(ratio=ratio, criterion=criterion, seed=seed, min_kept=0.0)
    keep = choose_kept(network, asked, samples, classes)
    smaller = prune(network, asked, samples, classes)
    assert "last" not in keep
    with torch.inference_mode():
        expected = filters_masked(network, keep)(samples)
        answers = smaller(samples)
    assert answers.shape == (3, 3)
    torch.testing.assert_close(answers, expected, rtol=1e-9, atol=1e-9)
    for name, mask in keep.items():
        assert smaller.get_submodule(name).weight.shape[0] == mask.sum() >= 1
    gone = sum(int((~mask).sum()) for mask in keep.values())
    assert (weights_of(smaller) < weights_of(network)) == (gone > 0)


@given(network=chains(), ratio=st.floats(0, 0.98), seed=st.integers(0, 10**6))
def test_masking_weights_zeroes_exactly_the_masked_entries(
    network: nn.Sequential, ratio: float, seed: int
) -> None:
    samples = torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    asked = section(granularity="weights", criterion="random", ratio=ratio, seed=seed)
    keep = choose_kept(network, asked, samples, torch.tensor([0]))
    masked = weights_masked(network, keep)
    for name, mask in keep.items():
        old, new = network.get_submodule(name), masked.get_submodule(name)
        assert torch.equal(new.weight[mask], old.weight[mask])
        assert (new.weight[~mask] == 0).all()
        assert (new.bias is None and old.bias is None) or torch.equal(new.bias, old.bias)


def test_masking_weights_removes_the_asked_number_of_the_networks_weights(
    images: Tensor, labels: Tensor
) -> None:
    network = shipped_network()
    masked = prune(network, section(granularity="weights", ratio=0.7), images, labels)
    total = sum(layer.weight.numel() for layer in prunable_layers(network).values())
    left = sum(int(layer.weight.count_nonzero()) for layer in prunable_layers(masked).values())
    assert total - left == round(0.7 * total)
    assert {n: w.shape for n, w in masked.named_parameters()} == {
        n: w.shape for n, w in network.named_parameters()
    }


@pytest.mark.parametrize("granularity", ["weights", "filters"])
@pytest.mark.parametrize("criterion", ["flexrel-paper", "random"])
def test_pruning_leaves_network_and_samples_as_they_were(
    images: Tensor, labels: Tensor, granularity: str, criterion: str
) -> None:
    network = copy.deepcopy(shipped_network())
    network.fc1.weight.requires_grad_(False)
    before = copy.deepcopy((network.state_dict(), images, labels))
    flags = [weight.requires_grad for weight in network.parameters()]
    prune(network, section(granularity=granularity, criterion=criterion), images, labels)
    after = (network.state_dict(), images, labels)
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert torch.equal(before[1], after[1])
    assert torch.equal(before[2], after[2])
    assert flags == [weight.requires_grad for weight in network.parameters()]
    assert not images.requires_grad
    assert not any(module._forward_hooks for module in network.modules())


def test_ratio_0_prunes_nothing(images: Tensor, labels: Tensor) -> None:
    network = shipped_network()
    assert prune(network, section(ratio=0.0), images, labels) is network


def test_masks_that_keep_all_remove_nothing(images: Tensor) -> None:
    network = shipped_network()
    same = filters_removed(network, {"conv1_1": torch.ones(16, dtype=torch.bool)}, images[:1])
    with torch.inference_mode():
        assert torch.equal(same(images), network(images))


def test_filters_masked_zeroes_filters_with_their_biases_and_nothing_else() -> None:
    network = randomised(named(("a", nn.Linear(2, 3)), ("b", nn.Linear(3, 2, bias=False))), 0)
    keep = {"a": torch.tensor([True, False, True]), "b": torch.tensor([False, True])}
    masked = filters_masked(network, keep)
    for name, weight in network.state_dict().items():
        mask = keep[name[0]]
        assert torch.equal(masked.state_dict()[name][mask], weight[mask])
        assert (masked.state_dict()[name][~mask] == 0).all()


def test_excluded_layers_keep_all_their_filters(images: Tensor, labels: Tensor) -> None:
    smaller = prune(
        shipped_network(), section(exclude=["conv1_1", "fc1"], ratio=0.6), images, labels
    )
    assert smaller.conv1_1.weight.shape[0] == 16
    assert smaller.fc1.weight.shape[0] == 128
    assert smaller.fc2.weight.shape == (10, 128)
    assert smaller.conv1_2.weight.shape[0] + smaller.conv2_1.weight.shape[0] < 48
