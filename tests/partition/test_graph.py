from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.datasets import held_out
from flexrel_sim.networks import load_card, outline
from flexrel_sim.partition import EDGE, SERVER, boundaries, split_network, trace
from flexrel_sim.pruning.prune import prune
from flexrel_sim.scenario.schema import PruningSection
from tests.networks.cards import SHIPPED_CARD, shipped_network
from tests.partition.halves import through


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
            assert torch.equal(through(head, tail, images), whole), cut


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
    for cut, empty, full in ((SERVER, 0, 1), (EDGE, 1, 0)):
        halves = split_network(network, cut)
        assert list(halves[empty].children()) == []
        assert list(halves[full].children()) == list(network.children())


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


def every_cut_holds(network: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        whole = network(images)
        for cut in boundaries(network):
            assert torch.equal(through(*split_network(network, cut), images), whole), cut


def nested() -> nn.Sequential:
    inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(inner, nn.Linear(3, 3)), nn.ReLU())


def names(network: nn.Module) -> list[str]:
    return [operation.name for operation in trace(network).operations]


def test_chains_in_a_chain_are_cut_inside_and_keep_their_names_and_weights() -> None:
    network = nested()
    assert names(network) == ["0", "1.0.0", "1.0.1", "1.1", "2"]
    every_cut_holds(network, torch.randn(4, 3))
    for cut in boundaries(network):
        head, tail = split_network(network, cut)
        assert head.state_dict().keys() | tail.state_dict().keys() == network.state_dict().keys()


def test_a_module_that_ends_at_a_cut_names_it_too() -> None:
    network = nested()
    graph = trace(network)
    assert graph.blocks == {"1": "1.1", "1.0": "1.0.1"}
    assert graph.cut("1.0") is graph.cut("1.0.1")
    # What ends the network has one name only.
    whole = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="one of server, 0, 1.0, edge, got '1'"):
        split_network(whole, "1")


class Block(nn.Module):
    """Two branches and a shortcut, in functions and in layers."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(3, 3)
        self.right = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.scale = nn.Parameter(torch.full((3,), 0.5))

    def forward(self, source: Tensor) -> Tensor:
        left = self.left(source) * self.scale.abs()
        return torch.cat([left + self.right(source), source], 1)


def test_cuts_inside_branches_send_every_tensor_that_is_still_read() -> None:
    network = nn.Sequential(Block(), nn.Linear(6, 2))
    graph = trace(network)
    crossing = {
        cut.name: [graph.names[value] for value in cut.values] for cut in graph.cuts.values()
    }
    assert crossing == {
        "server": ["input"],
        "0.left": ["input", "0.left"],
        "0.mul": ["input", "0.mul"],
        "0.right.0": ["input", "0.mul", "0.right.0"],
        "0.right.1": ["input", "0.mul", "0.right.1"],
        "0.add": ["input", "0.add"],
        "0.cat": ["0.cat"],
        "edge": ["1"],
    }
    every_cut_holds(network, torch.randn(4, 3))


def test_what_is_computed_of_weights_alone_is_not_sent_and_both_halves_may_have_it() -> None:
    class Twice(Block):
        def forward(self, source: Tensor) -> Tensor:
            scale = self.scale.abs()
            return self.left(source * scale) * scale

    graph = trace(Twice())
    assert {len(cut.values) for cut in graph.cuts.values()} == {1}
    every_cut_holds(Twice(), torch.randn(4, 3))
    assert all("scale" in half.state_dict() for half in split_network(Twice(), "left"))


def test_sizes_and_tuples_do_not_cross_so_no_cut_is_where_one_is_alive() -> None:
    class Sized(Block):
        def forward(self, source: Tensor) -> Tensor:
            count, features = source.shape[0], source.size(1)
            low, high = self.left(source).unsqueeze(1).repeat(1, 2, 1).chunk(2, 1)
            both = self.right(low.reshape(count, features) + high.squeeze(1))
            return both.reshape(count, features)

    network = Sized()
    # 'count' is read to the end: only the ends are free of it.
    assert boundaries(network) == ("server", "edge")
    every_cut_holds(network, torch.randn(4, 3))

    class Chunked(Block):
        def forward(self, source: Tensor) -> Tensor:
            low, high = self.left(source).chunk(2, 1)
            return torch.cat([high, low], 1)

    assert boundaries(Chunked()) == ("server", "left", "getitem@2", "edge")
    every_cut_holds(Chunked(), torch.randn(4, 3))


def test_a_module_that_decides_by_its_input_is_one_operation_and_all_around_it_is_cut() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, source: Tensor) -> Tensor:
            return self.layer(source) if source.sum() > 0 else source

    network = nn.Sequential(nn.Linear(3, 3), Deciding(), nn.ReLU())
    assert names(network) == ["0", "1", "2"]
    every_cut_holds(network, torch.randn(4, 3))
    assert names(Deciding()) == ["network"]
    every_cut_holds(Deciding(), torch.ones(4, 3))


def test_torchs_own_modules_are_one_operation() -> None:
    network = nn.TransformerEncoderLayer(4, 2)
    assert names(network) == ["network"]
    assert boundaries(network) == (SERVER, EDGE)


def test_a_chain_with_a_forward_or_hooks_of_its_own_is_traced_with_them() -> None:
    class Doubled(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            return 2 * super().forward(input)

    hooked = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    hooked.register_forward_hook(lambda _module, _inputs, output: output + 1)
    network = nn.Sequential(Doubled(nn.Linear(3, 3)), hooked, nn.ReLU())
    network.register_forward_hook(lambda _module, _inputs, output: output * 3)
    assert names(network) == ["0.0", "0.mul", "1.0", "1.1", "1.add", "2", "mul"]
    every_cut_holds(network, torch.randn(4, 3))


def test_arguments_with_defaults_keep_them() -> None:
    class Optional(Block):
        def forward(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
            output = self.left(source)
            return output if mask is None else output * mask

    assert names(Optional()) == ["left"]
    every_cut_holds(Optional(), torch.randn(4, 3))


def test_a_layer_that_comes_twice_is_two_operations() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    assert names(network) == ["0", "1", "0@2"]
    every_cut_holds(network, torch.ones(1, 3))


def test_a_layer_named_like_a_cut_without_layers_does_not_hide_it() -> None:
    network = nn.Sequential()
    network.add_module("edge", nn.Linear(3, 3))
    network.add_module("server", nn.ReLU())
    assert boundaries(network) == ("server", "edge@2", "edge")


def test_what_the_network_answers_twice_or_packed_comes_packed() -> None:
    class Packed(Block):
        def forward(self, source: Tensor) -> dict[str, Tensor]:
            output = self.left(source)
            return {"raw": output, "logits": self.right(output)}

    network, images = Packed(), torch.randn(4, 3)
    whole = network(images)
    for cut in boundaries(network)[:-1]:
        answers = through(*split_network(network, cut), images)
        assert all(torch.equal(answers[name], whole[name]) for name in whole)
    assert split_network(network, EDGE)[0](images).keys() == whole.keys()


def test_work_whose_result_nobody_reads_stays_where_it_was() -> None:
    class InPlace(Block):
        def forward(self, source: Tensor) -> Tensor:
            output = self.left(source)
            output.add_(1)
            torch.relu(output)
            return output * 2

    network = InPlace()
    assert boundaries(network) == ("server", "left", "edge")
    every_cut_holds(network, torch.randn(4, 3))
