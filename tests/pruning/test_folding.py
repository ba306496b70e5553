import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.networks.modules import Add, BasicBlock, InvertedResidual
from flexrel_sim.pruning.folding import folded
from flexrel_sim.pruning.relevance import (
    message_relevance,
    prunable_layers,
    relevance_sums,
    weight_relevance,
)
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.pruning.chains import convolutions, named, seeded

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def images_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=seeded(seed), dtype=torch.float64)


def with_statistics(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms statistics and scales, as training would."""
    rng = seeded(seed)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in (module.running_mean, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.normal_(generator=rng)
            if module.running_var is not None:
                module.running_var.uniform_(0.5, 2, generator=rng)
    return network.double().eval()


def norms_left(network: nn.Module) -> list[str]:
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]


def compact() -> nn.Module:
    return with_statistics(
        nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            BasicBlock(6, 8, 2),
            InvertedResidual(8, 8, 1, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
            nn.BatchNorm1d(5),
            nn.ReLU(),
            nn.Linear(5, 3),
        )
    )


@settings(max_examples=25)
@given(layer=convolutions(), seed=st.integers(0, 10**6), affine=st.booleans())
def test_a_folded_convolution_computes_the_same(layer: nn.Conv2d, seed: int, affine: bool) -> None:
    norm = nn.BatchNorm2d(layer.out_channels, affine=affine)
    network = with_statistics(named(("conv", layer), ("bn", norm)), seed)
    images = images_of(3, 4, 6, 5, seed=seed)
    smaller = folded(network, images[:1])
    torch.testing.assert_close(smaller(images), network(images), rtol=1e-12, atol=1e-12)
    assert norms_left(smaller) == []


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_folded_network_computes_the_same_under_the_same_names(
    dtype: torch.dtype, error: float
) -> None:
    network, images = compact().to(dtype), images_of(3, 2, 6, 6).to(dtype)
    smaller = folded(network, images[:1])
    torch.testing.assert_close(smaller(images), network(images), rtol=error, atol=error)
    assert norms_left(smaller) == []
    assert [name for name, _ in smaller.named_modules()] == [
        name for name, _ in network.named_modules()
    ]
    assert list(prunable_layers(smaller)) == list(prunable_layers(network))


def test_folding_leaves_the_network_as_it_was() -> None:
    network = compact().train()
    before = copy.deepcopy(network.state_dict())
    smaller = folded(network, images_of(1, 2, 6, 6))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())
    assert not smaller.training
    assert not any(weight.requires_grad for weight in smaller.parameters())
    assert not any(module._forward_hooks for net in (network, smaller) for module in net.modules())


def test_folding_twice_is_folding_once() -> None:
    images = images_of(1, 2, 6, 6)
    once = folded(compact(), images)
    twice = folded(once, images)
    assert all(torch.equal(value, once.state_dict()[n]) for n, value in twice.state_dict().items())


def test_folding_works_where_gradients_are_switched_off() -> None:
    with torch.no_grad():
        assert norms_left(folded(compact(), images_of(1, 2, 6, 6))) == []


class _Wired(nn.Module):
    """A convolution and a batch norm, wired as a test says."""

    def __init__(self, wiring: str) -> None:
        super().__init__()
        self.conv, self.bn, self.add = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), Add()
        self.relu, self.wiring = nn.ReLU(inplace=True), wiring

    def forward(self, source: Tensor) -> Tensor:
        match self.wiring:
            case "norm first":
                return self.conv(self.bn(source))
            case "relu between":
                return self.bn(self.relu(self.conv(source)))
            case "read by a module too":
                middle = self.conv(source)
                return self.add(self.bn(middle), middle)
            case "read by an operation too":
                middle = self.conv(source)
                return self.bn(middle) + middle
            case "layer runs twice":
                return self.bn(self.conv(self.conv(source)))
            case _:
                return self.bn(self.bn(self.conv(source)))


@pytest.mark.parametrize(
    "wiring",
    [
        "norm first",
        "relu between",
        "read by a module too",
        "read by an operation too",
        "layer runs twice",
        "norm runs twice",
    ],
)
def test_a_batch_norm_that_is_not_alone_after_a_layer_is_left_alone(wiring: str) -> None:
    network, images = with_statistics(_Wired(wiring)), images_of(2, 2, 4, 4)
    smaller = folded(network, images[:1])
    assert norms_left(smaller) == ["bn"]
    assert torch.equal(smaller(images), network(images))


def test_a_batch_norm_without_statistics_is_left_alone() -> None:
    norm = nn.BatchNorm2d(2, track_running_stats=False)
    network = with_statistics(named(("conv", nn.Conv2d(2, 2, 1)), ("bn", norm)))
    assert norms_left(folded(network, images_of(1, 2, 4, 4))) == ["bn"]


def test_a_batch_norm_over_positions_of_a_linear_layer_is_left_alone() -> None:
    # Of (batch, positions, features) it scales positions, which are no filters.
    network = with_statistics(named(("fc", nn.Linear(4, 2)), ("bn", nn.BatchNorm1d(3))))
    tokens = images_of(2, 3, 4)
    smaller = folded(network, tokens[:1])
    assert norms_left(smaller) == ["bn"]
    assert torch.equal(smaller(tokens), network(tokens))


@pytest.mark.parametrize("rule", ["gradient", "z-plus", "gamma", "integrated-gradients"])
def test_relevance_is_that_of_the_folded_network(rule: str) -> None:
    network, images = compact(), images_of(4, 2, 6, 6)
    smaller, labels = folded(network, images[:1]), torch.tensor([0, 1, 2, 0])
    asked = RelevanceSection.model_validate({"rule": rule, "steps": 3})
    for relevance in (weight_relevance, message_relevance):
        of_whole = relevance(network, images, labels, settings=asked)
        of_folded = relevance(smaller, images, labels, settings=asked, batch_size=3)
        assert list(of_whole) == list(prunable_layers(network))
        for name, value in of_whole.items():
            assert bool(value.isfinite().all())
            assert value.shape == prunable_layers(network)[name].weight.shape
            torch.testing.assert_close(of_folded[name], value, rtol=1e-9, atol=1e-12)
    sums = relevance_sums(network, images, labels, settings=asked)
    assert all(value.alpha.dtype == torch.float64 for value in sums.values())
