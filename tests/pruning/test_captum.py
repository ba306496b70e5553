"""Propagation against captum, an independent implementation."""

import copy

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.pruning.propagation import LayerFlow, prepared, propagate
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.pruning.chains import named, seeded
from tests.pruning.graphs import drawn

captum = pytest.importorskip("captum.attr")
lrp_rules = pytest.importorskip("captum.attr._utils.lrp_rules")

# Captum warns that it sets hooks and gradients, and that rules are reset.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LABELS = torch.tensor([0, 1, 2])


def small_vgg(*, bias: bool) -> nn.Sequential:
    network = named(
        ("conv1", nn.Conv2d(2, 6, 3, padding=1, bias=bias)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(6, 6, 3, padding=1, bias=bias)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("conv3", nn.Conv2d(6, 8, 3, padding=1, bias=bias)),
        ("relu3", nn.ReLU()),
        ("pool3", nn.AvgPool2d(2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(32, 12, bias=bias)),
        ("relu_fc1", nn.ReLU()),
        ("drop", nn.Dropout(0.5)),
        ("fc2", nn.Linear(12, 3, bias=bias)),
    )
    drawn(network, 0, bias=0.2)
    with torch.no_grad():
        network.fc2.weight.abs_()  # logits above zero: captum's gamma is for those
    return network


def images_of(samples: int = 3) -> Tensor:
    return torch.rand(samples, 2, 8, 8, generator=seeded(1), dtype=torch.float64)


def flows_of(network: nn.Module, images: Tensor, asked: RelevanceSection) -> dict[str, LayerFlow]:
    network = prepared(network)
    return propagate(network, prunable_layers(network), images, LABELS, settings=asked)


def captum_lrp(network: nn.Module, images: Tensor, rule: type, **options: object) -> Tensor:
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.rule = rule(**options)
            module.rule.STABILITY_FACTOR = 1e-14
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.Flatten):
            module.rule = lrp_rules.EpsilonRule(1e-14)
    return captum.LRP(network).attribute(images, target=LABELS)


def test_the_gradient_rule_is_captums_lrp_epsilon_and_its_input_x_gradient() -> None:
    network, images = small_vgg(bias=True), images_of()
    source = flows_of(network, images, RelevanceSection())["conv1"].source
    lrp = captum_lrp(network, images, lrp_rules.EpsilonRule)
    torch.testing.assert_close(source, lrp, rtol=1e-7, atol=1e-9)
    product = captum.InputXGradient(network).attribute(images.clone(), target=LABELS)
    torch.testing.assert_close(source, product.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", "fc1", "fc2"])
def test_the_gradient_rule_is_captums_gradient_x_activation_at_every_layer(name: str) -> None:
    network, images = small_vgg(bias=True), images_of()
    flow = flows_of(network, images, RelevanceSection())[name]
    product = captum.LayerGradientXActivation(network, network.get_submodule(name))
    for relevance, at_input in ((flow.source, True), (flow.sink, False)):
        theirs = product.attribute(images, target=LABELS, attribute_to_layer_input=at_input)
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        torch.testing.assert_close(relevance, theirs.detach(), rtol=1e-9, atol=1e-12)


def test_gamma_is_captums_on_images_and_logits_that_are_not_negative() -> None:
    network, images = small_vgg(bias=False), images_of()
    source = flows_of(network, images, RelevanceSection(rule="gamma", gamma=0.4))["conv1"].source
    lrp = captum_lrp(network, images, lrp_rules.GammaRule, gamma=0.4)
    torch.testing.assert_close(source, lrp, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
def test_z_plus_is_captums_alpha1_beta0_where_biases_are_not_negative(bias: bool) -> None:
    # Captum keeps a negative bias in its denominator, which then may vanish.
    network, images = small_vgg(bias=bias), images_of()
    with torch.no_grad():
        for layer in prunable_layers(network).values():
            if layer.bias is not None:
                layer.bias.abs_()
    source = flows_of(network, images, RelevanceSection(rule="z-plus"))["conv1"].source
    lrp = captum_lrp(network, images, lrp_rules.Alpha1_Beta0_Rule)
    torch.testing.assert_close(source, lrp, rtol=1e-7, atol=1e-9)


def test_integrated_gradients_are_captums_at_the_image() -> None:
    network, images = small_vgg(bias=True), images_of()
    asked = RelevanceSection(rule="integrated-gradients", steps=8)
    source = flows_of(network, images, asked)["conv1"].source
    theirs = captum.IntegratedGradients(network).attribute(
        images, target=LABELS, n_steps=8, method="riemann_middle"
    )
    torch.testing.assert_close(source, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["conv1", "conv3", "fc1"])
def test_the_mean_gradient_of_a_hidden_layer_is_captums_internal_influence(name: str) -> None:
    network, images = small_vgg(bias=True), images_of()
    asked = RelevanceSection(rule="integrated-gradients", steps=8)
    factor = flows_of(network, images, asked)[name].factor
    theirs = captum.InternalInfluence(network, network.get_submodule(name)).attribute(
        images, target=LABELS, n_steps=8, method="riemann_middle"
    )
    torch.testing.assert_close(factor, theirs.detach(), rtol=1e-9, atol=1e-12)
