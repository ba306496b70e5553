import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.networks.modules import Add, BasicBlock, Concat, Preprocess
from flexrel_sim.pruning.propagation import LayerFlow, prepared, propagate
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.pruning.chains import convolutions, named, seeded
from tests.pruning.graphs import Explicit, Residual, branched, drawn

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

GAMMAS = {"gradient": None, "z-plus": math.inf, "gamma": 0.4}
RULES = list(GAMMAS)


def rule_of(name: str, **changes: object) -> RelevanceSection:
    return RelevanceSection.model_validate({"rule": name, "gamma": 0.4} | changes)


def images_of(samples: int, seed: int = 0, shape: tuple[int, ...] = (2, 7, 6)) -> Tensor:
    return torch.rand(samples, *shape, generator=seeded(seed), dtype=torch.float64)


def flows_of(
    network: nn.Module, images: Tensor, labels: Tensor, asked: RelevanceSection
) -> dict[str, LayerFlow]:
    network = prepared(network)
    return propagate(network, prunable_layers(network), images, labels, settings=asked)


def assert_explicit(network: nn.Sequential, images: Tensor, rule: str) -> None:
    labels = torch.arange(len(images)) % 3
    flows = flows_of(network, images, labels, rule_of(rule))
    layers = prunable_layers(network)
    for i, image in enumerate(images):
        explicit = Explicit(GAMMAS[rule])
        with torch.no_grad():
            logits = network(image[None])
        start = torch.where(torch.arange(3) == labels[i], logits, 0)
        at_image = explicit.back(network, image[None], start)
        first = next(iter(flows.values()))
        torch.testing.assert_close(first.source[i], at_image[0], rtol=1e-9, atol=1e-11)
        for name, layer in layers.items():
            flow = flows[name]
            near = {"rtol": 1e-9, "atol": 1e-11}
            torch.testing.assert_close(flow.sink[i], explicit.sinks[layer][0], **near)
            if name in ("stem", "middle", "last", "layer"):  # the only readers of their input
                torch.testing.assert_close(flow.source[i], explicit.sources[layer][0], **near)
            # Where z = 0 nothing flows, whatever the factor; the gradient is the limit there.
            expected = explicit.factors[layer][0]
            defined = expected.isfinite()
            torch.testing.assert_close(flow.factor[i][defined], expected[defined], **near)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_its_definition_by_jacobians(rule: str, bias: bool) -> None:
    network = branched(bias=bias)
    for seed in range(3):
        drawn(network, seed, bias=0.3)
        assert_explicit(network, images_of(2, seed), rule)


@pytest.mark.parametrize("rule", RULES)
def test_the_pieces_of_the_branched_network_are_all_at_work(rule: str) -> None:
    network = drawn(branched(), 0, bias=0.3)
    flows = flows_of(network, images_of(2), torch.tensor([0, 1]), rule_of(rule))
    assert bool((flows["middle"].activation < 0).any())
    assert all(bool((flow.sink != 0).any()) for flow in flows.values())


@settings(max_examples=25)
@given(layer=convolutions(), seed=st.integers(0, 10**6), rule=st.sampled_from(RULES))
def test_any_convolution_follows_the_definition(layer: nn.Conv2d, seed: int, rule: str) -> None:
    shape = layer(torch.zeros(1, 4, 6, 5)).shape
    network = named(
        ("before", nn.Conv2d(2, 4, 1)),
        ("relu1", nn.ReLU()),
        ("layer", layer),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(shape[1:].numel(), 3)),
    )
    drawn(network, seed)
    assert_explicit(network, images_of(1, seed, (2, 6, 5)) - 0.3, rule)


def worked_by_hand() -> nn.Sequential:
    # x = (2, 3) gives b = (2*2 - 3, 2 + 3) = (1, 5) and the logit 3*1 - 0.4*5 = 1.
    network = named(
        ("fc1", nn.Linear(2, 2, bias=False)), ("relu", nn.ReLU()), ("fc2", nn.Linear(2, 1))
    )
    weights = {
        "fc1.weight": [[2.0, -1.0], [1.0, 1.0]],
        "fc2.weight": [[3.0, -0.4]],
        "fc2.bias": [0.0],
    }
    network.load_state_dict(
        {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    )
    return network


@pytest.mark.parametrize(
    ("rule", "hidden", "source"),
    [
        # Contributions to the logit are 3 and -2; to b they are (4, -3) and (2, 3).
        ("gradient", [3.0, -2.0], [3 * 4 - 2 * 2 / 5, -3 * 3 - 2 * 3 / 5]),
        # Only 3 is positive: all of the logit to b_0, and of b_0 only 4 is positive.
        ("z-plus", [1.0, 0.0], [1.0, 0.0]),
        # gamma = 1: 3 counts twice, z = 4; of b_0 (8 and -3) of 5, of b_1 (4 and 6) of 10.
        ("gamma", [6 / 4, -2 / 4], [1.5 * 8 / 5 - 0.5 * 0.4, -1.5 * 3 / 5 - 0.5 * 0.6]),
    ],
)
def test_rules_worked_by_hand(rule: str, hidden: list[float], source: list[float]) -> None:
    images = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    asked = rule_of(rule, gamma=1.0)
    flows = flows_of(worked_by_hand(), images, torch.tensor([0]), asked)
    assert flows["fc2"].sink.item() == pytest.approx(1.0)
    assert flows["fc2"].source[0].tolist() == pytest.approx(hidden)
    assert flows["fc1"].sink[0].tolist() == pytest.approx(hidden)
    assert flows["fc1"].source[0].tolist() == pytest.approx(source)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES))
def test_without_biases_what_reaches_the_image_is_the_logit(seed: int, rule: str) -> None:
    # Of a branch's negative end nothing may speak for it, and then z-plus has nobody to give it to.
    network = drawn(branched(bias=False, linear_ends=rule != "z-plus"), seed)
    images, labels = images_of(3, seed), torch.tensor([0, 1, 2])
    flows = flows_of(network, images, labels, rule_of(rule))
    with torch.no_grad():
        logits = network(images).gather(1, labels[:, None])[:, 0]
        positive = bool((flows["last"].activation @ network.last.weight.clamp(min=0).T > 0).all())
    assume(rule != "z-plus" or positive)
    for name in ("stem", "middle", "last"):
        total = flows[name].source.flatten(1).sum(1)
        torch.testing.assert_close(total, logits, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", ["z-plus", "gamma"])
def test_a_z_rule_absorbs_in_biases_exactly_their_share(rule: str) -> None:
    network = drawn(branched(), 3, bias=0.3)
    flow = flows_of(network, images_of(3), torch.tensor([0, 1, 2]), rule_of(rule))["last"]
    bias, logits = network.last.bias, flow.sink.sum(1)
    of_its_sign = torch.where(flow.sink > 0, bias.clamp(min=0), bias.clamp(max=0))
    counted = bias.clamp(min=0) if rule == "z-plus" else bias + 0.4 * of_its_sign
    absorbed = (flow.factor * counted).sum(1)
    torch.testing.assert_close(flow.source.sum(1) + absorbed, logits)


@pytest.mark.parametrize("rule", RULES)
def test_a_factor_carries_relevance_through_every_weight(rule: str) -> None:
    # What flows through all weights of a fully connected layer is what its outputs pass on.
    network = drawn(branched(), 1)
    flow = flows_of(network, images_of(2), torch.tensor([0, 1]), rule_of(rule))["last"]
    weight = network.last.weight.detach()
    by_sign = torch.where(flow.sink[..., None] > 0, weight.clamp(min=0), weight.clamp(max=0))
    modified = {
        "gradient": weight[None],
        "z-plus": weight.clamp(min=0)[None],
        "gamma": weight + 0.4 * by_sign,
    }[rule]
    messages = flow.activation[:, None, :] * modified * flow.factor[:, :, None]
    torch.testing.assert_close(messages.sum(1), flow.source)


def test_relevance_of_no_contribution_ends_there_instead_of_dividing_by_zero() -> None:
    network = worked_by_hand()
    with torch.no_grad():
        network.fc2.weight.fill_(-1.0)
    images = torch.tensor([[2.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
    flows = flows_of(network, images, torch.tensor([0, 0]), rule_of("z-plus"))
    assert flows["fc2"].sink.tolist() == [[-6.0], [0.0]]
    assert not flows["fc2"].source.any()
    assert not flows["fc1"].source.any()


def conserved(network: nn.Sequential, images: Tensor) -> tuple[Tensor, Tensor]:
    """Give what reaches the images under z-plus, and the logits."""
    labels = torch.zeros(len(images), dtype=torch.int64)
    flows = flows_of(network, images, labels, rule_of("z-plus"))
    return next(iter(flows.values())).source.flatten(1).sum(1), network(images)[:, 0].detach()


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_z_plus_conserves_a_logit_that_something_speaks_for_and_loses_any_other(seed: int) -> None:
    """Between ReLUs nothing is lost: all of the logit arrives, or none of it."""
    network = named(
        ("conv", nn.Conv2d(2, 3, 3, bias=False)),
        ("relu", nn.ReLU()),
        ("conv2", nn.Conv2d(3, 2, 2, bias=False)),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(24, 3, bias=False)),
    )
    drawn(network, seed)
    images = images_of(4, seed)
    arrived, logits = conserved(network, images)
    spoken_for = (network[:5](images) * network.last.weight[0].clamp(min=0)).sum(1) > 0
    torch.testing.assert_close(arrived, torch.where(spoken_for, logits, 0.0))
    with torch.no_grad():
        network.last.weight[0] = -network.last.weight[0].abs()
    arrived, logits = conserved(network, images)
    assert bool((logits <= 0).all())
    assert bool((arrived == 0).all())


def test_z_plus_loses_exactly_the_relevance_of_branch_ends_that_nothing_speaks_for() -> None:
    # x = (2, 3) makes the ends (-4, 3), and the logit -2 * -4 + 5 * 3 = 23.
    network = named(
        ("first", nn.Linear(2, 2, bias=False)),
        ("ends", nn.Linear(2, 2, bias=False)),
        ("last", nn.Linear(2, 1, bias=False)),
    )
    with torch.no_grad():
        network.first.weight.copy_(torch.eye(2))
        network.ends.weight.copy_(torch.tensor([[-0.5, -1.0], [0.0, 1.0]]))
        network.last.weight.copy_(torch.tensor([[-2.0, 5.0]]))
    images = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    arrived, logits = conserved(network, images)
    assert float(logits) == pytest.approx(23.0)
    # The first end has negative contributions only, and its 8 end there.
    assert float(arrived) == pytest.approx(15.0)


@pytest.mark.parametrize("rule", ["z-plus", "gamma"])
def test_a_saturated_relu6_still_passes_all_relevance(rule: str) -> None:
    network = named(("fc1", nn.Linear(1, 1, bias=False)), ("relu", nn.ReLU6()))
    network.add_module("fc2", nn.Linear(1, 1, bias=False).double())
    with torch.no_grad():
        network.fc1.weight.fill_(10.0)
        network.fc2.weight.fill_(0.5)
    image = torch.ones(1, 1, dtype=torch.float64)
    flows = flows_of(network, image, torch.tensor([0]), rule_of(rule))
    assert flows["fc1"].source.item() == pytest.approx(3.0)


def test_a_preprocess_and_a_concatenation_are_known_to_z_rules() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 1)
            self.concat = Concat()

        def forward(self, source: Tensor) -> Tensor:
            return self.concat(self.left(source), self.right(source))

    network = named(
        ("preprocess", Preprocess([0.1], [0.5])),
        ("fork", Fork()),
        ("relu", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(5 * 42, 3, bias=False)),
    )
    images, labels = images_of(2), torch.tensor([0, 1])
    flows = flows_of(drawn(network, 0), images, labels, rule_of("gamma"))
    split = flows["fork.left"].sink.flatten(1).sum(1) + flows["fork.right"].sink.flatten(1).sum(1)
    torch.testing.assert_close(split, flows["last"].sink.sum(1))


@pytest.mark.parametrize("kind", [nn.Sigmoid, nn.SiLU, nn.Tanh])
def test_a_z_rule_refuses_a_module_that_it_does_not_know(kind: type[nn.Module]) -> None:
    network = named(("fc", nn.Linear(4, 3)), ("odd", kind()))
    images, labels = images_of(1, shape=(4,)), torch.tensor([0])
    match = f"layer 'odd' must be one of .*Conv2d, .*ReLU6, .*got {kind.__name__}"
    with pytest.raises(ValueError, match=match):
        flows_of(network, images, labels, rule_of("z-plus"))
    assert flows_of(network, images, labels, rule_of("gradient"))["fc"].source.any()


def test_a_module_with_weights_of_its_own_is_not_overlooked() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.relu = nn.Parameter(torch.ones(3)), nn.ReLU()

        def forward(self, source: Tensor) -> Tensor:
            return self.relu(source) * self.scale

    network = named(("fc", nn.Linear(4, 3)), ("scaled", Scaled()))
    with pytest.raises(ValueError, match="'scaled' must be one of .*got Scaled; use pruning.rel"):
        flows_of(network, images_of(1, shape=(4,)), torch.tensor([0]), rule_of("gamma"))


@pytest.mark.parametrize("rule", ["z-plus", "gamma"])
def test_a_z_rule_refuses_a_batch_norm_that_is_not_folded(rule: str) -> None:
    network = named(("block", BasicBlock(2, 2, 1)), ("flatten", nn.Flatten()))
    match = "layer 'block.bn1' must be folded into the layer before it, got BatchNorm2d"
    with pytest.raises(ValueError, match=match):
        flows_of(network, images_of(1), torch.tensor([0]), rule_of(rule))


def test_an_empty_shortcut_passes_on_what_it_gets() -> None:
    network = named(
        ("block", Residual(nn.Conv2d(2, 2, 1), nn.Sequential())),
        ("flatten", nn.Flatten()),
    )
    assert flows_of(network, images_of(1), torch.tensor([0]), rule_of("z-plus"))


@pytest.mark.parametrize("rule", [*RULES, "integrated-gradients"])
def test_a_layer_that_runs_twice_or_never_is_refused(rule: str) -> None:
    layer = nn.Linear(4, 4)
    images, labels = images_of(1, shape=(4,)), torch.tensor([0])
    match = "layer 'a' must run once, and the network calls it again; give each call a layer"
    with pytest.raises(ValueError, match=match):
        flows_of(named(("a", layer), ("b", layer)), images, labels, rule_of(rule))
    network = named(("a", nn.Linear(4, 4)))
    layers = {"stray": nn.Linear(4, 4)}
    with pytest.raises(ValueError, match="layer 'stray' must run, and the network does not"):
        propagate(network, layers, images, labels, settings=rule_of(rule))
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("rule", [*RULES, "integrated-gradients"])
def test_propagation_leaves_the_prepared_network_and_the_images_as_they_were(rule: str) -> None:
    network = prepared(drawn(branched(), 2))
    images, labels = images_of(2), torch.tensor([0, 1])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = network(images)
    layers = prunable_layers(network)
    with torch.no_grad():
        flows = propagate(network, layers, images, labels, settings=rule_of(rule))
    assert list(flows) == list(layers)
    assert torch.equal(network(images), logits)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert not images.requires_grad
    for flow in flows.values():
        parts = (flow.activation, flow.source, flow.sink, flow.factor)
        assert not any(part.requires_grad for part in parts)


@pytest.mark.parametrize("rule", [*RULES, "integrated-gradients"])
def test_some_layers_get_what_they_get_among_all(rule: str) -> None:
    network = prepared(drawn(branched(), 2))
    images, labels = images_of(2), torch.tensor([0, 1])
    layers = prunable_layers(network)
    every = propagate(network, layers, images, labels, settings=rule_of(rule))
    one = {"middle": layers["middle"]}
    alone = propagate(network, one, images, labels, settings=rule_of(rule))
    assert list(alone) == ["middle"]
    assert torch.equal(alone["middle"].sink, every["middle"].sink)


@pytest.mark.parametrize("rule", [*RULES, "integrated-gradients"])
def test_a_predicted_target_is_the_largest_logit(rule: str) -> None:
    network, images = drawn(branched(), 4), images_of(4)
    with torch.no_grad():
        best = network(images).argmax(1)
    predicted = flows_of(network, images, (best + 1) % 3, rule_of(rule, target="predicted"))
    labelled = flows_of(network, images, best, rule_of(rule))
    assert all(torch.equal(predicted[name].source, labelled[name].source) for name in labelled)


@pytest.mark.parametrize("rule", RULES)
def test_samples_of_a_batch_do_not_meet(rule: str) -> None:
    network, images, labels = drawn(branched(), 5), images_of(3), torch.tensor([0, 1, 2])
    together = flows_of(network, images, labels, rule_of(rule))
    for i in range(3):
        alone = flows_of(network, images[i : i + 1], labels[i : i + 1], rule_of(rule))
        for name, flow in alone.items():
            torch.testing.assert_close(flow.source[0], together[name].source[i])


def test_prepared_is_a_copy_with_nothing_in_place() -> None:
    network = nn.Sequential(
        nn.Linear(2, 2), nn.ReLU(inplace=True), nn.ReLU6(inplace=True), nn.Dropout(inplace=True)
    ).train()
    copied = prepared(network)
    assert not any(getattr(module, "inplace", False) for module in copied.modules())
    assert not any(module.training for module in copied.modules())
    assert not any(weight.requires_grad for weight in copied.parameters())
    assert network[1].inplace is True
    assert network.training is True
    assert all(weight.requires_grad for weight in network.parameters())


def test_an_add_is_a_sum() -> None:
    left, right = images_of(1), images_of(1, 1)
    assert torch.equal(Add()(left, right), left + right)


class Aside(nn.Module):
    """Adds what a second layer makes of nothing but ones."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.aside = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.main(images) + self.aside(torch.ones_like(images).requires_grad_())


def test_a_layer_that_does_not_see_the_image_is_refused() -> None:
    network = prepared(Aside())
    layers = {"main": network.main, "aside": network.aside}
    with pytest.raises(ValueError, match="layer 'aside' must lie between the image and the logits"):
        propagate(
            network, layers, torch.ones(2, 4), torch.zeros(2, dtype=torch.int64),
            settings=RelevanceSection(),
        )  # fmt: skip
