import pytest
import torch
from torch import nn

from flexrel_sim.pruning.calls import calls_of
from flexrel_sim.pruning.folding import folded


class AsksForNumbers(nn.Module):
    """Takes another way for bright images: shapes alone don't run it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images):
        hidden = self.layer(images)
        if images.mean().item() >= 0:
            hidden = self.norm(hidden)
        return hidden.flatten(1)


def plain():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))


@pytest.mark.parametrize(("network", "device"), [(plain(), "meta"), (AsksForNumbers(), "cpu")])
def test_a_pass_is_for_shapes_alone_unless_the_network_asks_for_numbers(network, device):
    network.eval()
    watched = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    (call,), result = calls_of(network, torch.zeros(1, 1, 6, 6), watched)
    assert call.module is watched[0]
    assert call.output.shape == (1, 2, 4, 4)
    assert result.grad_fn is not None
    assert {call.source.device.type, result.device.type} == {device}
    assert all(weight.device.type == "cpu" for weight in network.parameters())
    assert not watched[0]._forward_hooks


@pytest.mark.parametrize("network", [plain(), AsksForNumbers()])
def test_folding_needs_no_numbers_and_takes_them_where_it_must(network):
    network.eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    images = torch.rand(4, 1, 6, 6)
    fewer = folded(network, images[:1])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fewer.modules())
    torch.testing.assert_close(fewer(images), network(images))
