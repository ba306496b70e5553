import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from flexrel_sim.pruning.propagation import LayerFlow, prepared, propagate
from flexrel_sim.pruning.relevance import (
    layer_sums,
    message_relevance,
    message_sums,
    prunable_layers,
)
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.pruning.chains import around, convolutions, named, padding_of, randomised, seeded
from tests.pruning.graphs import branched, drawn

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

RULES = ["gradient", "z-plus", "gamma", "integrated-gradients"]


def asked(rule: str = "gradient", *, absolute: bool = True) -> RelevanceSection:
    total = "absolute" if absolute else "signed"
    return RelevanceSection.model_validate({"rule": rule, "sum": total, "steps": 3})


def images_of(samples: int, seed: int = 0, shape: tuple[int, ...] = (2, 6, 5)) -> Tensor:
    return torch.rand(samples, *shape, generator=seeded(seed), dtype=torch.float64)


def literal_message(layer: nn.Conv2d | nn.Linear, flow: LayerFlow, *, absolute: bool) -> Tensor:
    """Give |sum over i of a_ik * w_kj * s_ij|, of magnitudes if asked, one addition at a time."""
    activation, factor = flow.activation, flow.factor
    weight = layer.weight.detach()
    message = torch.zeros(weight.shape, dtype=torch.float64)
    if isinstance(layer, nn.Linear):
        for j, k in itertools.product(*map(range, weight.shape)):
            flows = [
                (a[k] * weight[j, k] * s[j]).item() for a, s in zip(activation, factor, strict=True)
            ]
            message[j, k] = abs(sum(abs(f) if absolute else f for f in flows))
        return message
    left, right, top, bottom = padding_of(layer)
    padded = functional.pad(activation, (left, right, top, bottom)).tolist()
    outputs = factor.tolist()
    for o, c, u, v in itertools.product(*map(range, weight.shape)):
        channel = o // (layer.out_channels // layer.groups) * weight.shape[1] + c
        total = 0.0
        for n, y, x in itertools.product(
            range(len(outputs)), range(factor.shape[2]), range(factor.shape[3])
        ):
            row = padded[n][channel][y * layer.stride[0] + u * layer.dilation[0]]
            read = row[x * layer.stride[1] + v * layer.dilation[1]]
            flow_through = read * weight[o, c, u, v].item() * outputs[n][o][y][x]
            total += abs(flow_through) if absolute else flow_through
        message[o, c, u, v] = abs(total)
    return message


def assert_literal(
    network: nn.Module, images: Tensor, names: list[str], wanted: RelevanceSection
) -> None:
    labels = torch.arange(len(images)) % 3
    fast = message_relevance(network, images, labels, settings=wanted, batch_size=2)
    network = prepared(network)
    layers = prunable_layers(network)
    flows = propagate(network, layers, images, labels, settings=wanted)
    assert list(fast) == list(layers)
    for name in names:
        expected = literal_message(layers[name], flows[name], absolute=wanted.sum == "absolute")
        assert fast[name].dtype == torch.float64
        torch.testing.assert_close(fast[name], expected, rtol=1e-10, atol=1e-11)


@settings(max_examples=30)
@given(
    layer=convolutions(),
    seed=st.integers(0, 10**6),
    rule=st.sampled_from(RULES),
    absolute=st.booleans(),
)
def test_message_of_any_convolution_is_the_literal_sum(
    layer: nn.Conv2d, seed: int, rule: str, absolute: bool
) -> None:
    network = randomised(around(layer, (6, 5)), seed)
    assert_literal(network, images_of(2, seed), ["layer"], asked(rule, absolute=absolute))


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_message_is_the_literal_sum_in_a_network_with_branches(rule: str, absolute: bool) -> None:
    network, images = drawn(branched(), 0, bias=0.3), images_of(3, shape=(2, 7, 6))
    names = ["stem", "inner.left.0", "inner.left.2", "down.left.0", "down.right.0", "last"]
    assert_literal(network, images, names, asked(rule, absolute=absolute))


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_batches_of_any_size_give_the_same_message(rule: str, absolute: bool) -> None:
    network, images = drawn(branched(), 1), images_of(7, shape=(2, 7, 6))
    labels, wanted = torch.arange(7) % 3, asked(rule, absolute=absolute)
    whole = message_relevance(network, images, labels, settings=wanted)
    for batch_size in (1, 3, 7):
        streamed = message_relevance(
            network, images, labels, settings=wanted, batch_size=batch_size
        )
        for name, value in whole.items():
            torch.testing.assert_close(streamed[name], value, rtol=1e-11, atol=1e-12)


def test_where_all_factors_are_one_the_message_is_wandas_with_a_sum_of_magnitudes() -> None:
    # |w_kj| * sum over i of |a_ik|; Wanda takes the root of the sum of squares instead.
    layer, activation = nn.Linear(4, 3).double(), images_of(5, shape=(4,)) - 0.5
    sums = message_sums(layer, activation, torch.ones(5, 3, dtype=torch.float64), absolute=True)
    assert torch.equal(sums, sums[:1].expand(3, 4))
    torch.testing.assert_close(sums[0], activation.abs().sum(0))


def test_of_one_sample_through_one_linear_layer_the_order_is_wandas() -> None:
    network = randomised(named(("fc", nn.Linear(4, 3))), 0)
    image = images_of(1, shape=(4,)) - 0.5
    message = message_relevance(network, image, torch.tensor([1]), settings=asked())["fc"]
    wanda = network.fc.weight.detach().abs() * image.abs().square().sum(0).sqrt()
    torch.testing.assert_close(message[1], wanda[1])
    assert not message[[0, 2]].any()  # other answers take no part in this one


def test_the_signed_message_is_weight_times_gradient_of_the_logits() -> None:
    network, images = drawn(branched(), 2), images_of(5, shape=(2, 7, 6))
    labels = torch.arange(5) % 3
    logits = network(images).gather(1, labels[:, None]).sum()
    layers = prunable_layers(network)
    gradients = torch.autograd.grad(logits, [layer.weight for layer in layers.values()])
    message = message_relevance(network, images, labels, settings=asked(absolute=False))
    for (name, layer), gradient in zip(layers.items(), gradients, strict=True):
        taylor = (layer.weight.detach() * gradient).abs()
        torch.testing.assert_close(message[name], taylor, rtol=1e-9, atol=1e-11)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES))
def test_a_signed_message_never_exceeds_the_absolute_one(seed: int, rule: str) -> None:
    network, images = drawn(branched(), seed), images_of(3, seed, (2, 7, 6))
    labels = torch.tensor([0, 1, 2])
    signed = message_relevance(network, images, labels, settings=asked(rule, absolute=False))
    absolute = message_relevance(network, images, labels, settings=asked(rule))
    for name, value in absolute.items():
        assert bool((signed[name] <= value * (1 + 1e-9) + 1e-12).all())


@settings(max_examples=15)
@given(layer=convolutions(), seed=st.integers(0, 10**6))
def test_messages_into_an_output_sum_to_its_relevance(layer: nn.Conv2d, seed: int) -> None:
    # Without a bias, sum over k of a_k w_kj s_j is b_j s_j = R_j under the gradient rule.
    layer = layer.double()
    layer.bias = None
    activation = images_of(2, seed, (4, 6, 5))
    output = layer(activation).detach()
    factor = torch.randn(output.shape, generator=seeded(seed), dtype=torch.float64)
    messages = layer.weight.detach() * message_sums(layer, activation, factor, absolute=False)
    sums = layer_sums(layer, activation, output * factor, absolute=False)
    torch.testing.assert_close(messages.flatten(1).sum(1), sums.beta, rtol=1e-9, atol=1e-10)
