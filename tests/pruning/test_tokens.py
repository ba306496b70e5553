"""A linear layer on tokens: each token is one more position, as in a convolution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flexrel_sim.networks.build import build_network
from flexrel_sim.pruning.prune import prune
from flexrel_sim.pruning.relevance import layer_sums, message_sums
from flexrel_sim.scenario.schema import PruningSection
from tests.networks.test_families import SMALL, architecture


def test_relevance_at_a_linear_layer_sums_over_tokens_as_over_samples() -> None:
    layer = nn.Linear(3, 4)
    source, sink = torch.randn(2, 5, 3), torch.randn(2, 5, 4)
    by_token = layer_sums(layer, source, sink, absolute=True)
    by_row = layer_sums(layer, source.flatten(0, 1), sink.flatten(0, 1), absolute=True)
    torch.testing.assert_close(by_token.alpha, by_row.alpha)
    torch.testing.assert_close(by_token.beta, by_row.beta)
    messages = message_sums(layer, source, sink, absolute=False)
    slow = sum(
        torch.outer(s, a) for a, s in zip(source.flatten(0, 1), sink.flatten(0, 1), strict=True)
    )
    torch.testing.assert_close(messages.to(slow.dtype), slow)


@pytest.mark.parametrize("criterion", ["flexrel-lamp", "flexrel-paper", "wanda", "taylor"])
def test_weights_of_a_transformer_are_pruned_to_the_ratio(criterion: str) -> None:
    network = build_network(architecture(SMALL["vit"])).float().eval()
    images, labels = torch.rand(12, 3, 8, 12, dtype=torch.float32), torch.arange(12) % 3
    pruned = prune(network, PruningSection(ratio=0.5, criterion=criterion), images, labels)
    layers = [m for m in pruned.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    gone = sum(int((layer.weight == 0).sum()) for layer in layers)
    assert gone == round(0.5 * sum(layer.weight.numel() for layer in layers))
