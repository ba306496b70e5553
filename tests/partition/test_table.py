"""The table of cuts: a chain and a residual block by hand, and totals at every cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml
from torch import nn

from flexrel_sim.networks.build import build_network
from flexrel_sim.partition import boundaries, cut_table, split_graph, trace
from flexrel_sim.placement import BoundaryTensor, Cut, Uncounted
from tests.networks.test_families import SMALL, architecture

RESIDUAL_CARD = """\
name: own
architecture:
  {family: resnet, input_shape: [1, 8, 8], classes: 10, stem: small, widths: [4], blocks: [1]}
"""


def test_a_residual_block_is_cut_through_both_of_its_branches() -> None:
    data = yaml.safe_load(RESIDUAL_CARD)["architecture"]
    network = build_network(architecture(data)).eval()
    table = cut_table(trace(network), torch.zeros(1, 1, 8, 8))
    found = {cut.name: cut for cut in table.cuts}
    stem, conv = 64 * 4 * 9, 64 * 4 * 4 * 9
    weights = 4 * (4 * 9 + 8 + 2 * (4 * 4 * 9 + 8) + 50)
    head = 4 * (4 * 9 + 8 + 4 * 4 * 9)
    assert found["layer1.0.conv1"] == Cut(
        name="layer1.0.conv1",
        blocks=(),
        boundary=(
            BoundaryTensor("relu", (4, 8, 8), "float32", 1024),
            BoundaryTensor("layer1.0.conv1", (4, 8, 8), "float32", 1024),
        ),
        crosses_link=True,
        operations=4,
        head_macs=stem + conv,
        tail_macs=conv + 40,
        head_weight_bytes=head,
        tail_weight_bytes=weights - head,
    )
    assert found["layer1.0.conv1"].boundary_bytes == 2048
    assert found["layer1.0.relu2"].blocks == ("layer1", "layer1.0")
    assert found["server"].boundary == (BoundaryTensor("input", (1, 8, 8), "float32", 256),)
    assert found["edge"].boundary_bytes == 0
    assert (found["edge"].tail_macs, found["edge"].tail_weight_bytes) == (0, 0)
    assert table.uncounted == ()


@pytest.mark.parametrize("name", SMALL)
def test_both_sides_of_every_cut_are_what_the_halves_are_and_do(name: str) -> None:
    network = build_network(architecture(SMALL[name])).eval()
    image = torch.rand(1, *SMALL[name]["input_shape"])
    graph = trace(network)
    table = cut_table(graph, image)
    assert tuple(cut.name for cut in table.cuts) == boundaries(network)
    for cut in table.cuts:
        head, tail = split_graph(graph, graph.cut(cut.name))
        for half, weight_bytes in ((head, cut.head_weight_bytes), (tail, cut.tail_weight_bytes)):
            assert weight_bytes == 4 * sum(weight.numel() for weight in half.parameters())
        with torch.inference_mode():
            boundary: Any = head(image)
        sent = boundary if isinstance(boundary, tuple) else (boundary,)
        assert [tensor.shape for tensor in cut.boundary] == [one.shape[1:] for one in sent]
        assert cut.head_macs + cut.tail_macs == table.cuts[0].tail_macs


def test_a_weight_that_both_halves_read_is_among_the_bytes_of_both() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    table = cut_table(trace(network), torch.zeros(1, 3))
    sides = [(cut.head_weight_bytes, cut.tail_weight_bytes) for cut in table.cuts]
    assert sides == [(0, 48), (48, 48), (48, 48), (48, 0)]


def test_work_that_is_not_counted_is_listed() -> None:
    class Sorting(nn.Module):
        def forward(self, source: torch.Tensor) -> torch.Tensor:
            return source.sort().values

    table = cut_table(trace(nn.Sequential(nn.Linear(3, 3), Sorting())), torch.zeros(1, 3))
    assert table.uncounted == (Uncounted("1", "sorting", "sort", 1),)
