import torch

from flexrel_sim.networks.build import build_network
from flexrel_sim.partition import split_graph, trace, walk
from tests.networks.test_families import SMALL, architecture


def test_at_every_cut_the_walk_has_what_the_head_gives_and_nothing_that_is_read_no_more() -> None:
    network = build_network(architecture(SMALL["resnet"])).float().eval()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float32)
    graph = trace(network)
    cuts = {cut.position: cut for cut in graph.cuts.values()}
    with torch.inference_mode():
        for position, values in walk(graph, images):
            cut = cuts[position]
            boundary = split_graph(graph, cut)[0](images)
            sent = boundary if isinstance(boundary, tuple) else (boundary,)
            assert values.keys() == set(cut.values)
            for value, tensor in zip(cut.values, sent, strict=True):
                assert torch.equal(values[value], tensor)
