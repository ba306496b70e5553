"""Published networks in their whole depth: head, then tail, at every cut; images are small."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flexrel_sim.networks.build import build_network
from flexrel_sim.partition import split_graph, trace
from tests.networks.test_families import MOBILENET, RESNET18, RESNET50, VGG16, VIT_B16, architecture
from tests.partition.halves import through

SMALL_IMAGES = {"input_shape": [3, 32, 32], "classes": 10}

# Fewer channels where the family lets us choose them: what is cut is the same graph.
NETWORKS: dict[str, dict[str, Any]] = {
    "VGG16": VGG16 | SMALL_IMAGES,
    "ResNet18": RESNET18 | SMALL_IMAGES | {"widths": [8, 12, 16, 20]},
    "ResNet50": RESNET50 | SMALL_IMAGES | {"widths": [4, 6, 8, 10]},
    "MobileNetV2": MOBILENET | SMALL_IMAGES,
    "ViT-B/16": VIT_B16 | SMALL_IMAGES | {"width": 24, "hidden": 32},
}

CUTS = {"VGG16": 41, "ResNet18": 70, "ResNet50": 176, "MobileNetV2": 154, "ViT-B/16": 164}


@pytest.mark.parametrize("name", NETWORKS)
def test_tail_after_head_is_the_whole_network_bit_for_bit_at_every_cut(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(NETWORKS[name])).float().eval()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float32)
    graph = trace(network)
    assert len(graph.cuts) == CUTS[name]
    with torch.inference_mode():
        whole = network(images)
        for cut in graph.cuts.values():
            assert torch.equal(through(*split_graph(graph, cut), images), whole), cut.name
