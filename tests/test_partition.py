from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.datasets import held_out
from flexrel_sim.networks import load_card, outline
from flexrel_sim.partition import EDGE, SERVER, boundaries, split_network, stages
from flexrel_sim.pruning.prune import prune
from flexrel_sim.scenario.schema import PruningSection
from tests.networks.cards import SHIPPED_CARD, shipped_network


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(held_out("mnist5k").images[::400])


@pytest.fixture(scope="module", params=["none", "weights", "filters"])
def network(request: pytest.FixtureRequest, images: Tensor) -> nn.Sequential:
    if request.param == "none":
        return shipped_network()
    settings = PruningSection(granularity=request.param, ratio=0.5)
    labels = torch.from_numpy(held_out("mnist5k").labels[::400])
    return prune(shipped_network(), settings, images, labels)


def test_tail_after_head_is_the_whole_network_bit_for_bit_at_every_cut(
    network: nn.Sequential, images: Tensor
) -> None:
    with torch.inference_mode():
        whole = network(images)
        for cut in boundaries(network):
            head, tail = split_network(network, cut)
            assert torch.equal(tail(head(images)), whole), cut


def test_head_ends_with_the_cut_and_the_halves_share_the_networks_layers(
    network: nn.Sequential,
) -> None:
    layers = dict(network.named_children())
    for cut in boundaries(network):
        head, tail = split_network(network, cut)
        halves = [*head.named_children(), *tail.named_children()]
        assert halves == list(layers.items())
        if cut not in (EDGE, SERVER):
            assert list(dict(head.named_children()))[-1] == cut


def test_the_server_has_all_at_cut_server_and_the_edge_all_at_cut_edge() -> None:
    network = shipped_network()
    assert [len(half) for half in split_network(network, SERVER)] == [0, len(network)]
    assert [len(half) for half in split_network(network, EDGE)] == [len(network), 0]


def test_boundaries_of_a_network_are_those_on_its_card() -> None:
    parts = outline(load_card(SHIPPED_CARD))
    assert boundaries(shipped_network()) == ("server", *parts.boundaries, "edge")


@pytest.mark.parametrize("cut", ["b", "pool9", ""])
def test_an_unknown_cut_is_refused_with_the_list_of_cuts(cut: str) -> None:
    # After the last layer nothing is left to send: that is 'edge'.
    network = nn.Sequential()
    network.add_module("a", nn.Identity())
    network.add_module("b", nn.Identity())
    with pytest.raises(ValueError, match=f"cut must be one of server, a, edge, got '{cut}'"):
        split_network(network, cut)


def nested() -> nn.Sequential:
    inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(inner, nn.Linear(3, 3)), nn.ReLU())


def test_chains_in_a_chain_are_cut_inside_and_keep_their_names_and_weights() -> None:
    network = nested()
    assert list(stages(network)) == ["0", "1.0.0", "1.0.1", "1.1", "2"]
    batch = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for cut in boundaries(network):
        head, tail = split_network(network, cut)
        assert stages(head) | stages(tail) == stages(network)
        assert head.state_dict().keys() | tail.state_dict().keys() == network.state_dict().keys()
        assert torch.equal(tail(head(batch)), network(batch))


def test_a_network_that_is_no_chain_is_one_stage_and_runs_whole_on_one_side() -> None:
    network = nn.TransformerEncoderLayer(4, 2)
    assert stages(network) == {"network": network}
    assert boundaries(network) == (SERVER, EDGE)
    head, tail = split_network(network, EDGE)
    assert (list(stages(head).values()), len(tail)) == ([network], 0)


def test_a_chain_with_a_forward_or_hooks_of_its_own_is_one_stage() -> None:
    class Doubled(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            return 2 * super().forward(input)

    hooked = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    hooked.register_forward_hook(lambda _module, _inputs, output: output + 1)
    network = nn.Sequential(Doubled(nn.Linear(3, 3)), hooked, nn.ReLU())
    assert list(stages(network)) == ["0", "1", "2"]


def test_a_layer_that_comes_twice_is_two_stages() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    batch = torch.ones(1, 3)
    assert list(stages(network)) == ["0", "1", "2"]
    head, tail = split_network(network, "1")
    assert torch.equal(tail(head(batch)), network(batch))
