import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.pruning.propagation import LayerFlow, prepared, propagate
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.pruning_sections import RelevanceSection
from tests.pruning.chains import named, seeded
from tests.pruning.graphs import branched, drawn


def images_of(samples: int, seed: int = 0) -> Tensor:
    return torch.rand(samples, 2, 7, 6, generator=seeded(seed), dtype=torch.float64)


def flows_of(
    network: nn.Module, images: Tensor, labels: Tensor, steps: int
) -> dict[str, LayerFlow]:
    network = prepared(network)
    asked = RelevanceSection(rule="integrated-gradients", steps=steps)
    return propagate(network, prunable_layers(network), images, labels, settings=asked)


@pytest.mark.parametrize("name", ["stem", "middle", "last"])
def test_a_layers_relevance_is_its_change_times_the_mean_gradient_on_the_path(name: str) -> None:
    network, image, steps = drawn(branched(), 0, bias=0.3), images_of(1), 5
    at = [child for child, _ in network.named_children()].index(name)
    before, layer, after = network[:at], network[at], network[at + 1 :]
    sums: list[Tensor | float] = [0.0, 0.0]
    for step in range(steps):
        source = before(image * (step + 0.5) / steps).detach().requires_grad_()
        sink = layer(source)
        gradients = torch.autograd.grad(after(sink)[0, 2], [source, sink])
        sums = [total + gradient / steps for total, gradient in zip(sums, gradients, strict=True)]
    with torch.no_grad():
        ends = [(part(image), part(0 * image)) for part in (before, nn.Sequential(before, layer))]
    flow = flows_of(network, image, torch.tensor([2]), steps)[name]
    torch.testing.assert_close(flow.activation, ends[0][0])
    torch.testing.assert_close(flow.source, (ends[0][0] - ends[0][1]) * sums[0])
    torch.testing.assert_close(flow.sink, (ends[1][0] - ends[1][1]) * sums[1])
    torch.testing.assert_close(flow.factor, sums[1])


def test_at_the_image_relevance_sums_to_the_difference_of_the_logits() -> None:
    network, images, labels = drawn(branched(), 1, bias=0.3), images_of(3), torch.tensor([0, 1, 2])
    with torch.no_grad():
        change = (network(images) - network(0 * images)).gather(1, labels[:, None])[:, 0]
    errors = [
        (flows_of(network, images, labels, steps)["stem"].source.flatten(1).sum(1) - change).abs()
        for steps in (8, 512)
    ]
    assert errors[1].max() < 2e-3 * change.abs().max()
    assert errors[1].max() < errors[0].max()


def test_of_a_linear_network_one_step_gives_the_change_exactly() -> None:
    network = drawn(named(("flatten", nn.Flatten()), ("last", nn.Linear(84, 3))), 0)
    images, labels = images_of(2), torch.tensor([0, 2])
    flow = flows_of(network, images, labels, 1)["last"]
    torch.testing.assert_close(flow.source, images.flatten(1) * network.last.weight[labels])
    unbiased = network(images) - network.last.bias
    torch.testing.assert_close(flow.sink.sum(1), unbiased.gather(1, labels[:, None])[:, 0])
