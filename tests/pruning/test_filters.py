"""Channels at the cut, and convolutions in groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flexrel_sim.networks.shrunk import shrink
from flexrel_sim.networks.weights import fill
from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.filters import kept_channels
from flexrel_sim.pruning.prune import evidence_for, prune
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.pruning.scores import score, scoring
from tests.pruning.chains import named, randomised
from tests.pruning.masking import channels_masked
from tests.pruning.test_channels import BUILT, IMAGES
from tests.pruning.test_prune import LABELS, NETWORK, section

HEAD = ["conv1", *(f"layer1.{block}.conv{i}" for block in (0, 1) for i in (1, 2))]
BRANCHES = ("expand1x1", "expand3x3")


@pytest.mark.parametrize(("ratio", "left"), [(0.25, 3), (0.5, 2), (0.99, 1)])
def test_cut_ratio_removes_that_fraction_of_the_channels_at_the_cut(
    ratio: float, left: int
) -> None:
    asked = section(cut_ratio=ratio, ratio=0.0)
    pruned = prune(NETWORK, asked, IMAGES, LABELS, head=HEAD)
    before, after = prunable_layers(NETWORK), prunable_layers(pruned)
    shapes = {name: layer.weight.shape[0] for name, layer in after.items()}
    coupled = {"conv1", "layer1.0.conv2", "layer1.1.conv2"}
    assert {shapes[name] for name in coupled} == {left}
    assert all(shapes[n] == before[n].weight.shape[0] for n in shapes if n not in coupled)
    both = prune(NETWORK, section(cut_ratio=ratio), IMAGES, LABELS, head=HEAD)
    assert prunable_layers(both)["conv1"].weight.shape[0] == left


def test_cut_ratio_needs_channels_that_can_go() -> None:
    asked = section(cut_ratio=0.5)
    with pytest.raises(ValueError, match="no channels cross the cut that could be removed; set"):
        prune(NETWORK, asked, IMAGES, LABELS, head=list(prunable_layers(NETWORK)))
    kept = section(cut_ratio=0.5, exclude=["conv1"])
    with pytest.raises(ValueError, match="cut_ratio removes filters of conv1, which exclude keeps"):
        prune(NETWORK, kept, IMAGES, LABELS, head=HEAD)


FIRE = ["stem", "middle.squeeze", "middle.expand1x1", "middle.expand3x3"]


@pytest.mark.parametrize(("ratio", "left"), [(0.2, 5), (0.5, 3), (0.99, 2)])
def test_cut_ratio_counts_the_channels_of_all_branches_that_are_joined_at_the_cut(
    ratio: float, left: int
) -> None:
    network = BUILT["fire"]
    asked = section(cut_ratio=ratio, ratio=0.0)
    pruned = prune(network, asked, IMAGES, LABELS, head=FIRE)
    crossing = [pruned[:3](IMAGES).shape[1], network[:3](IMAGES).shape[1]]
    # 6 channels cross, 3 of each branch; the best of each branch stays.
    assert crossing == [left, 6]
    scores = score(scoring(asked), evidence_for(network, asked, IMAGES, LABELS), "filters")
    branches = [scores[f"middle.{name}"] for name in BRANCHES]
    # The best of each branch, then the best of the others.
    others = torch.cat([of_branch.sort().values[:-1] for of_branch in branches])
    best = others.argsort(descending=True)[: left - 2]
    counts = [1 + int((best // 2 == branch).sum()) for branch in (0, 1)]
    shapes = [pruned.middle.get_submodule(name).weight.shape[0] for name in BRANCHES]
    assert shapes == counts
    assert pruned.stem.weight.shape == network.stem.weight.shape


def in_groups() -> nn.Sequential:
    network = named(
        ("conv", nn.Conv2d(2, 8, 3, padding=1)),
        ("relu", nn.ReLU()),
        ("grouped", nn.Conv2d(8, 12, 3, padding=1, groups=4)),
        ("relu2", nn.ReLU()),
        ("conv2", nn.Conv2d(12, 5, 1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(320, 3)),
    )
    return randomised(network, 2)


def test_filters_of_a_convolution_in_groups_are_refused_with_all_layers_to_exclude() -> None:
    refused = r"convolutions in groups \(grouped\) can't .* put conv, grouped in pruning.exclude"
    with pytest.raises(ValueError, match=refused):
        prune(in_groups(), section(granularity="filters"), IMAGES, LABELS)
    with pytest.raises(ValueError, match="put conv in pruning.exclude"):
        prune(in_groups(), section(cut_ratio=0.5, ratio=0.0), IMAGES, LABELS, head=["conv"])


@pytest.mark.parametrize("criterion", ["magnitude", "flexrel-paper", "wanda"])
def test_around_a_convolution_in_groups_removal_is_masking(criterion: str) -> None:
    network = in_groups()
    asked = section(
        criterion=criterion, granularity="filters", ratio=0.4, exclude=["conv", "grouped"]
    )
    evidence = evidence_for(network, asked, IMAGES, LABELS)
    coupled = CoupledNetwork(network, IMAGES[:1])
    keep = kept_channels(coupled, evidence, asked, scoring(asked))
    assert {name: int(mask.sum()) for name, mask in keep.items()} == {"conv2": 3}
    masked = channels_masked(network, coupled, keep, IMAGES[:1])
    smaller = prune(network, asked, IMAGES, LABELS)
    torch.testing.assert_close(smaller(IMAGES), masked(IMAGES), rtol=1e-5, atol=1e-5)
    assert smaller.conv2.weight.shape[0] == 3


def test_single_weights_of_a_convolution_in_groups_are_pruned() -> None:
    pruned = prune(in_groups(), section(criterion="flexrel-paper"), IMAGES, LABELS)
    assert (pruned.grouped.weight == 0).any()


def test_what_is_written_around_a_convolution_in_groups_is_read_again() -> None:
    asked = section(granularity="filters", ratio=0.4, exclude=["conv", "grouped"])
    smaller = prune(in_groups(), asked, IMAGES, LABELS)
    fresh = in_groups()
    shrink(fresh, smaller.state_dict())
    fill(fresh, smaller.state_dict())
    assert fresh.grouped.groups == 4
    assert torch.equal(fresh(IMAGES.float()), smaller.float()(IMAGES.float()))


def test_a_floor_after_removal_at_the_cut_is_of_the_layers_before_it() -> None:
    wide = nn.Conv2d(2, 20, 3, padding=1), nn.Conv2d(20, 100, 1)
    layers = ("conv", wide[0]), ("conv2", wide[1]), ("flatten", nn.Flatten())
    network = randomised(named(*layers, ("fc", nn.Linear(6400, 3))), 4)
    for share, kept in ((0.35, 35), (0.07, 7)):
        asked = section(
            granularity="filters", cut_ratio=0.4, ratio=0.9, min_kept=share, scope="layer"
        )
        pruned = prune(network, asked, IMAGES, LABELS, head=["conv", "conv2"])
        # 60 of 100 are left by the cut: 35 and 7 of 100, not 21 and 5 of 60, stay at least.
        assert len(pruned.conv2.weight) == max(kept, 6)


def test_a_layer_that_is_made_for_its_number_of_channels_is_named_with_a_remedy() -> None:
    layers = ("conv", nn.Conv2d(2, 6, 1)), ("norm", nn.LayerNorm([6, 8, 8])), ("act", nn.GELU())
    rest = ("conv2", nn.Conv2d(6, 5, 1)), ("flatten", nn.Flatten()), ("fc", nn.Linear(320, 3))
    network = randomised(named(*layers, *rest), 3)
    with pytest.raises(ValueError, match=r"layer 'norm' can't do .*\); put what it reads in prun"):
        prune(network, section(granularity="filters"), IMAGES, LABELS)
    asked = section(granularity="filters", exclude=["conv"])
    assert len(prune(network, asked, IMAGES, LABELS).conv2.weight) < 5
