import copy
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.pruning.relevance import prunable_layers, weight_relevance
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.networks.cards import shipped_network
from tests.pruning.chains import (
    around,
    convolutions,
    literal_relevance,
    named,
    products,
    randomised,
    seeded,
)

# Torch tells, once per process, how it pads evenly sized kernels to 'same'.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

Target = Literal["label", "predicted"]


def asked(target: Target = "label", *, absolute: bool = True) -> RelevanceSection:
    return RelevanceSection(target=target, sum="absolute" if absolute else "signed")


def images_of(samples: int, seed: int = 0, shape: tuple[int, ...] = (2, 6, 5)) -> Tensor:
    return torch.randn(samples, *shape, generator=seeded(seed), dtype=torch.float64)


def perceptron(*, inplace: bool = False) -> nn.Sequential:
    return named(
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(8, 5)),
        ("relu", nn.ReLU(inplace=inplace)),
        ("fc2", nn.Linear(5, 3)),
    )


def assert_literal(
    network: nn.Sequential, images: Tensor, target: Target, *, absolute: bool, batch_size: int
) -> None:
    labels = torch.arange(len(images)) % 3
    chosen = labels if target == "label" else network(images).argmax(1)
    fast = weight_relevance(
        network, images, labels, settings=asked(target, absolute=absolute), batch_size=batch_size
    )
    layers = prunable_layers(network)
    assert list(fast) == list(layers)
    for name, layer in layers.items():
        pair = products(network, name, images, chosen.tolist())
        expected = literal_relevance(layer, *pair, absolute=absolute)
        assert fast[name].dtype == torch.float64
        torch.testing.assert_close(fast[name], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1), "same"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (3, 2)])
def test_relevance_of_a_convolution_is_the_literal_im2col_sum(
    kernel: tuple[int, int], padding: tuple[int, int] | str, groups: int, absolute: bool
) -> None:
    layer = nn.Conv2d(4, 4, kernel, padding=padding, groups=groups)
    network = randomised(around(layer, (6, 5)), 1)
    assert_literal(network, images_of(2), "label", absolute=absolute, batch_size=2)


@pytest.mark.parametrize("target", ["label", "predicted"])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
def test_relevance_under_stride_and_dilation_is_the_literal_im2col_sum(
    stride: tuple[int, int], dilation: tuple[int, int], target: Target
) -> None:
    layer = nn.Conv2d(2, 3, (3, 2), stride=stride, dilation=dilation, padding=(1, 1))
    network = randomised(around(layer, (6, 5)), 2)
    assert_literal(network, images_of(2), target, absolute=True, batch_size=1)


@settings(max_examples=40)
@given(
    layer=convolutions(),
    seed=st.integers(0, 10**6),
    samples=st.integers(1, 3),
    batch_size=st.integers(1, 4),
    target=st.sampled_from(["label", "predicted"]),
    absolute=st.booleans(),
)
def test_relevance_of_any_convolution_is_the_literal_im2col_sum(
    layer: nn.Conv2d, seed: int, samples: int, batch_size: int, target: Target, absolute: bool
) -> None:
    network = randomised(around(layer, (6, 5)), seed)
    images = images_of(samples, seed)
    assert_literal(network, images, target, absolute=absolute, batch_size=batch_size)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("target", ["label", "predicted"])
def test_relevance_of_linear_layers_is_the_literal_sum(target: Target, absolute: bool) -> None:
    network = randomised(perceptron(), 3)
    images = images_of(7, shape=(2, 2, 2))
    assert_literal(network, images, target, absolute=absolute, batch_size=3)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7, 100])
def test_streaming_in_batches_of_any_size_gives_the_same_relevance(batch_size: int) -> None:
    network = randomised(around(nn.Conv2d(4, 4, 3), (6, 5)), 4)
    images, labels = images_of(7), torch.arange(7) % 3
    whole = weight_relevance(network, images, labels, settings=asked(), batch_size=7)
    streamed = weight_relevance(network, images, labels, settings=asked(), batch_size=batch_size)
    for name, relevance in whole.items():
        torch.testing.assert_close(streamed[name], relevance, rtol=1e-12, atol=1e-12)


def hand_worked() -> nn.Sequential:
    # x = (2, 3) gives b = (2*2 - 3 + 1, 2 + 3 - 1) = (2, 4), and the logits
    # (2 + 2*4, -2 + 3*4 + 1) = (10, 11).
    network = named(("fc1", nn.Linear(2, 2)), ("relu", nn.ReLU()), ("fc2", nn.Linear(2, 2)))
    weights = {
        "fc1.weight": [[2.0, -1.0], [1.0, 1.0]],
        "fc1.bias": [1.0, -1.0],
        "fc2.weight": [[1.0, 2.0], [-1.0, 3.0]],
        "fc2.bias": [0.0, 1.0],
    }
    network.load_state_dict({name: torch.tensor(weight) for name, weight in weights.items()})
    return network


def test_signed_relevance_of_a_network_worked_by_hand() -> None:
    # For logit 0: gradients at b are (1, 2), so rel(b) = (2, 8);
    # at x they are (1*2 + 2*1, -1*1 + 2*1) = (4, 1), so rel(x) = (8, 3).
    # At the logits the gradient is (1, 0), so rel = (10, 0).
    images = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    relevance = weight_relevance(
        hand_worked(), images, torch.tensor([0]), settings=asked(absolute=False)
    )
    assert relevance["fc1"].tolist() == [[8 + 2, 3 + 2], [8 + 8, 3 + 8]]
    assert relevance["fc2"].tolist() == [[2 + 10, 8 + 10], [2 + 0, 8 + 0]]


def test_absolute_relevance_does_not_let_samples_cancel() -> None:
    # For logit 1 (the predicted one: 11 against 10): gradients at b are (-1, 3), rel(b) = (-2, 12);
    # at x (-2 + 3, 1 + 3) = (1, 4), rel(x) = (2, 12); at the logits rel = (0, 11).
    images = torch.tensor([[2.0, 3.0], [2.0, 3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    signed = weight_relevance(hand_worked(), images, labels, settings=asked(absolute=False))
    absolute = weight_relevance(hand_worked(), images, labels, settings=asked(absolute=True))
    assert signed["fc1"].tolist() == [[10 + 0, 15 + 0], [10 + 20, 15 + 20]]
    assert absolute["fc1"].tolist() == [[10 + 4, 15 + 4], [10 + 20, 15 + 20]]


def test_a_predicted_target_starts_from_the_largest_logit() -> None:
    images = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    wrong, right = torch.tensor([0]), torch.tensor([1])
    predicted = weight_relevance(hand_worked(), images, wrong, settings=asked("predicted"))
    labelled = weight_relevance(hand_worked(), images, right, settings=asked("label"))
    assert all(torch.equal(predicted[name], labelled[name]) for name in labelled)


def test_relevance_is_activation_times_the_finite_difference_of_the_logit() -> None:
    network = randomised(perceptron(), 5)
    image = images_of(1, shape=(2, 2, 2))
    relevance = weight_relevance(network, image, torch.tensor([2]), settings=asked(absolute=False))
    step = 1e-6
    slopes = []
    for k in range(8):
        nudge = torch.zeros(8, dtype=torch.float64)
        nudge[k] = step
        up, down = (network(image + sign * nudge.view_as(image))[0, 2] for sign in (1, -1))
        slopes.append((up - down).item() / (2 * step))
    by_input = image.flatten() * torch.tensor(slopes, dtype=torch.float64)
    # Weights of one output differ by the relevance of their inputs alone.
    difference = relevance["fc1"] - relevance["fc1"][:, :1]
    expected = (by_input - by_input[0]).expand(5, 8)
    torch.testing.assert_close(difference, expected, rtol=1e-6, atol=1e-7)


def test_relevance_leaves_network_images_and_labels_as_they_were() -> None:
    network = named(
        ("conv", nn.Conv2d(2, 3, 3)),
        ("relu", nn.ReLU(inplace=True)),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(36, 3)),
    )
    network.conv.weight.requires_grad_(False)
    images, labels = images_of(4), torch.tensor([0, 1, 2, 0])
    before = copy.deepcopy((network.state_dict(), images, labels))
    weight_relevance(network, images, labels, settings=asked(), batch_size=4)
    weight_relevance(network, images, labels, settings=asked(), batch_size=3)
    assert all(
        torch.equal(before[0][name], weight) for name, weight in network.state_dict().items()
    )
    assert torch.equal(before[1], images)
    assert torch.equal(before[2], labels)
    grads = {name: weight.requires_grad for name, weight in network.named_parameters()}
    assert grads == {
        "conv.weight": False,
        "conv.bias": True,
        "last.weight": True,
        "last.bias": True,
    }
    assert all(weight.grad is None for weight in network.parameters())
    assert not images.requires_grad
    assert network.relu.inplace is True
    assert not any(module._forward_hooks for module in network.modules())


def test_an_in_place_relu_gives_the_same_relevance() -> None:
    plain, inplace = perceptron(), perceptron(inplace=True)
    inplace.load_state_dict(randomised(plain, 6).state_dict())
    images, labels = images_of(5, shape=(2, 2, 2)), torch.arange(5) % 3
    expected = weight_relevance(plain, images, labels, settings=asked())
    got = weight_relevance(inplace, images, labels, settings=asked())
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_relevance_is_computed_even_where_gradients_are_switched_off() -> None:
    network, images = randomised(perceptron(), 7), images_of(3, shape=(2, 2, 2))
    labels = torch.tensor([0, 1, 2])
    expected = weight_relevance(network, images, labels, settings=asked())
    with torch.no_grad():
        got = weight_relevance(network, images, labels, settings=asked())
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_the_hooks_are_removed_even_if_the_network_fails() -> None:
    network = perceptron()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        weight_relevance(
            network, images_of(1, shape=(2, 3, 2)), torch.tensor([0]), settings=asked()
        )
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_a_convolution_that_does_not_pad_with_zeros_is_refused(mode: str) -> None:
    network = named(("conv", nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)))
    with pytest.raises(ValueError, match=f"layer 'conv' must pad with zeros, got '{mode}'"):
        weight_relevance(network, images_of(1), torch.tensor([0]), settings=asked())


def test_prunable_layers_are_convolutions_and_linear_layers_in_order() -> None:
    layers = prunable_layers(shipped_network())
    assert list(layers) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "fc1", "fc2"]


@settings(max_examples=20)
@given(layer=convolutions(), seed=st.integers(0, 10**6), absolute=st.booleans())
def test_the_mean_relevance_of_a_filter_is_that_of_its_output_and_a_constant_of_its_group(
    layer: nn.Conv2d, seed: int, absolute: bool
) -> None:
    network = randomised(around(layer, (6, 5)), seed)
    images, labels = images_of(3, seed), torch.tensor([0, 1, 2])
    relevance = weight_relevance(network, images, labels, settings=asked(absolute=absolute))[
        "layer"
    ]
    _, sink = products(network, "layer", images, labels.tolist())
    beta = (sink.abs() if absolute else sink).sum((0, 2, 3))
    constant = (relevance.flatten(1).mean(1) - beta).reshape(layer.groups, -1)
    torch.testing.assert_close(constant, constant[:, :1].expand_as(constant), rtol=1e-9, atol=1e-9)
