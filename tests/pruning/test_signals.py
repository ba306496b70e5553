"""Every signal against its slow definition."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.networks.modules import Add
from flexrel_sim.pruning import CRITERIA, SIGNALS
from flexrel_sim.pruning.evidence import Evidence
from flexrel_sim.pruning.folding import norm_pairs
from flexrel_sim.pruning.signals import signal
from flexrel_sim.scenario.schema import RelevanceSection
from tests.pruning.chains import named, randomised, seeded

IMAGES = torch.rand(5, 2, 6, 5, generator=seeded(3), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 1, 0])


def chain_of(convolution: nn.Conv2d) -> nn.Sequential:
    shape = convolution(torch.zeros(1, 4, 6, 5)).shape
    network = named(
        ("before", nn.Conv2d(2, 4, 1)),
        ("relu1", nn.ReLU()),
        ("layer", convolution),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(shape[1:].numel(), 3)),
    )
    return randomised(network, 4)


NETWORK = chain_of(nn.Conv2d(4, 6, 3, padding=1, groups=2))


def evidence_of(network: nn.Module, images: Tensor = IMAGES) -> Evidence:
    return Evidence(network, images, LABELS[: len(images)], RelevanceSection())


def slowly_lamp(weights: list[float]) -> list[float]:
    """Give eq. 4: w[u]^2 over the sum of w[v]^2 for v >= u, in the order of magnitudes."""
    order = sorted(range(len(weights)), key=lambda index: abs(weights[index]))
    scores = [0.0] * len(weights)
    for u, index in enumerate(order):
        total = math.fsum(weights[other] ** 2 for other in order[u:])
        scores[index] = weights[index] ** 2 / total if total else 0.0
    return scores


@given(weights=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9))
def test_lamp_is_its_equation_4(weights: list[float]) -> None:
    network = named(("flatten", nn.Flatten()), ("fc", nn.Linear(len(weights), 1)))
    network.fc.weight.data = torch.tensor([weights], dtype=torch.float64)
    evidence = evidence_of(network, torch.zeros(1, len(weights), dtype=torch.float64))
    (scores,) = signal("lamp", evidence, "weights").values()
    assert scores[0].tolist() == pytest.approx(slowly_lamp(weights), rel=1e-9, abs=1e-300)


def test_of_equal_weights_lamp_gives_the_first_the_least() -> None:
    network = named(("flatten", nn.Flatten()), ("fc", nn.Linear(4, 1)))
    network.fc.weight.data = torch.tensor([[2.0, -2.0, 2.0, 0.0]], dtype=torch.float64)
    evidence = evidence_of(network, torch.zeros(1, 4, dtype=torch.float64))
    assert signal("lamp", evidence, "weights")["fc"][0].tolist() == [1 / 3, 1 / 2, 1.0, 0.0]


def test_magnitude_l2_is_the_square_and_a_filters_is_the_mean_of_squares() -> None:
    evidence = evidence_of(NETWORK)
    per_weight = signal("magnitude-l2", evidence, "weights")
    per_filter = signal("magnitude-l2", evidence, "filters")
    for name, layer in evidence.layers.items():
        torch.testing.assert_close(per_weight[name], layer.weight**2)
        rows = [row.norm() ** 2 / row.numel() for row in layer.weight]
        torch.testing.assert_close(per_filter[name], torch.stack(rows))


def test_fpgm_is_the_mean_distance_to_the_layers_other_filters() -> None:
    scores = signal("fpgm", evidence_of(NETWORK), "filters")
    for name, layer in evidence_of(NETWORK).layers.items():
        for j, row in enumerate(layer.weight):
            distances = [(row - other).norm().item() for other in layer.weight]
            assert scores[name][j].item() == pytest.approx(sum(distances) / len(distances))


def activations(network: nn.Sequential, name: str) -> tuple[Tensor, Tensor]:
    at = [child for child, _ in network.named_children()].index(name)
    with torch.no_grad():
        source = network[:at](IMAGES)
        return source, network[at](source)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, (3, 2), stride=2, groups=2, bias=False),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=4),
    ],
)
def test_wanda_is_the_weight_times_the_norm_of_what_it_reads(convolution: nn.Conv2d) -> None:
    network = chain_of(convolution)
    scores = signal("wanda", evidence_of(network), "weights")
    source, output = activations(network, "layer")
    padded = nn.functional.pad(
        source, [side for side in reversed(convolution.padding) for _ in range(2)]
    )
    inputs, outputs = 4 // convolution.groups, convolution.out_channels // convolution.groups
    (dy, dx), (sy, sx) = convolution.dilation, convolution.stride
    for j, k, u, v in product(*(range(size) for size in convolution.weight.shape)):
        channel = j // outputs * inputs + k
        read = [
            padded[i, channel, y * sy + u * dy, x * sx + v * dx].item()
            for i, y, x in product(range(5), range(output.shape[2]), range(output.shape[3]))
        ]
        expected = abs(convolution.weight[j, k, u, v].item()) * math.hypot(*read)
        assert scores["layer"][j, k, u, v].item() == pytest.approx(expected, rel=1e-9)
    source, _ = activations(network, "last")
    torch.testing.assert_close(scores["last"], network.last.weight.abs() * source.norm(dim=0))


def test_activation_is_the_norm_of_a_filters_output_before_its_relu() -> None:
    scores = signal("activation", evidence_of(NETWORK), "filters")
    _, output = activations(NETWORK, "layer")
    torch.testing.assert_close(scores["layer"], output.movedim(1, 0).flatten(1).norm(dim=1))
    _, output = activations(NETWORK, "last")
    torch.testing.assert_close(scores["last"], output.norm(dim=0))


@pytest.mark.parametrize("name", ["taylor", "taylor-logit", "snip"])
def test_first_order_signals_are_weight_times_gradient(name: str) -> None:
    network = chain_of(nn.Conv2d(4, 6, 3, padding=1, groups=2)).requires_grad_(True)
    logits = network(IMAGES)
    if name == "taylor-logit":
        value = logits[range(5), LABELS].mean()
    else:
        value = nn.functional.cross_entropy(logits, LABELS)
    value.backward()
    per_weight = signal(name, evidence_of(network), "weights")
    per_filter = signal(name, evidence_of(network), "filters")
    for layer in ("before", "layer", "last"):
        products = network.get_submodule(layer).weight * network.get_submodule(layer).weight.grad
        torch.testing.assert_close(per_weight[layer], products.abs().detach())
        rows = products.abs() if name == "snip" else products
        torch.testing.assert_close(per_filter[layer], rows.flatten(1).mean(1).abs().detach())


def test_batches_of_samples_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["taylor", "taylor-logit", "snip", "wanda", "relevance", "message"]
    whole = [signal(name, evidence_of(NETWORK), "weights") for name in names]
    monkeypatch.setattr("flexrel_sim.pruning.evidence.BATCH", 2)
    for name, expected in zip(names, whole, strict=True):
        torch.testing.assert_close(signal(name, evidence_of(NETWORK), "weights"), expected)


def with_norms() -> nn.Sequential:
    network = named(
        ("conv1", nn.Conv2d(2, 3, 3)),
        ("bn1", nn.BatchNorm2d(3)),
        ("relu1", nn.ReLU(inplace=True)),
        ("conv2", nn.Conv2d(3, 4, 3)),
        ("bn2", nn.BatchNorm2d(4, affine=False)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(8, 3)),
    )
    return randomised(network, 5)


def test_bn_scale_is_the_size_of_gamma_and_1_where_nothing_scales() -> None:
    network = with_norms()
    scores = signal("bn-scale", evidence_of(network), "filters")
    assert torch.equal(scores["conv1"], network.bn1.weight.detach().abs())
    assert scores["conv2"].tolist() == [1] * 4
    assert scores["fc"].tolist() == [1] * 3


def test_bn_scale_needs_batch_norms() -> None:
    with pytest.raises(ValueError, match="'bn-scale' needs batch norms with scales, and none"):
        signal("bn-scale", evidence_of(NETWORK), "filters")


def test_norm_pairs_are_those_that_alone_read_a_layer() -> None:
    class Preactivated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.add = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), Add()

        def forward(self, source: Tensor) -> Tensor:
            output = self.conv(source)
            return self.add(output, self.norm(output))

    network = named(
        ("both", Preactivated()), ("conv", nn.Conv2d(2, 3, 1)), ("bn", nn.BatchNorm2d(3))
    )
    assert list(norm_pairs(network, IMAGES)) == ["conv"]


def test_lrp_is_the_relevance_of_a_filters_output() -> None:
    evidence = evidence_of(NETWORK)
    scores = signal("lrp", evidence, "filters")
    assert all(torch.equal(scores[name], sums.beta.abs()) for name, sums in evidence.sums.items())


@pytest.mark.parametrize("name", [s.name for s in SIGNALS.values() if s.level == "filters"])
def test_signals_of_filters_tell_no_weights_apart(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' tells filters apart, not weights"):
        signal(name, evidence_of(with_norms()), "weights")


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_is_finite_and_never_negative_and_leaves_the_network_alone(name: str) -> None:
    network = with_norms()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    evidence = evidence_of(network)
    for granularity in ("weights", "filters") if SIGNALS[name].level == "weights" else ("filters",):
        for layer, values in signal(name, evidence, granularity).items():
            whole = evidence.layers[layer].weight.shape
            assert values.shape == (whole if granularity == "weights" else whole[:1])
            assert bool(values.isfinite().all())
            assert bool((values >= 0).all())
            assert not values.requires_grad
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in evidence.network.modules())


def test_every_criterion_names_known_signals() -> None:
    assert {name for c in CRITERIA.values() for name in c.signals} == set(SIGNALS)
