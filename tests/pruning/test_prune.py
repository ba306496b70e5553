"""A pruning section to a pruned network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.pruning import CRITERIA
from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.filters import kept_channels
from flexrel_sim.pruning.prune import (
    chosen_weights,
    evidence_for,
    kept_weights,
    prune,
)
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.pruning.remove import batch_norm_renewed
from flexrel_sim.pruning.scores import scoring
from flexrel_sim.scenario.schema import PruningSection
from tests.pruning.chains import named, randomised, seeded
from tests.pruning.test_channels import BUILT, IMAGES, counted

LABELS = torch.tensor([0, 1, 2])
NETWORK = BUILT["resnet"]


def section(**changes: Any) -> PruningSection:
    plain = {"ratio": 0.5, "min_kept": 0.0, "criterion": "magnitude"}
    return PruningSection.model_validate(plain | changes)


def weights_kept(asked: PruningSection, **others: Any) -> dict[str, Tensor]:
    evidence = evidence_for(NETWORK, asked, IMAGES, LABELS)
    return kept_weights(evidence, asked, scoring(asked), **others)


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "fire", "bypass"])
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("granularity", ["weights", "filters"])
def test_every_criterion_prunes_networks_with_branches(
    name: str, criterion: str, granularity: str
) -> None:
    asked = section(criterion=criterion, granularity=granularity)
    if criterion == "bn-scale" and name in ("fire", "bypass"):
        pytest.skip("no batch norms")
    if CRITERIA[criterion].level == "filters" and granularity == "weights":
        with pytest.raises(ValueError, match="tells filters apart, not weights"):
            prune(BUILT[name], asked, IMAGES, LABELS)
        return
    pruned = prune(BUILT[name], asked, IMAGES, LABELS)
    assert pruned(IMAGES).isfinite().all()
    left = sum(int(layer.weight.count_nonzero()) for layer in prunable_layers(pruned).values())
    assert left < counted(BUILT[name]).weights


def test_filters_know_no_pattern() -> None:
    asked = section(granularity="filters", pattern="2:4")
    with pytest.raises(ValueError, match="pattern '2:4' is one of weights, and filters are pruned"):
        prune(NETWORK, asked, IMAGES, LABELS)


def test_a_pattern_keeps_half_of_the_inputs_whatever_the_ratio() -> None:
    pruned = prune(NETWORK, section(pattern="2:4", ratio=0.0), IMAGES, LABELS)
    weight = prunable_layers(pruned)["layer1.0.conv1"].weight
    assert ((weight != 0).sum(1) == 2).all()


@settings(max_examples=20)
@given(ratio=st.floats(0.05, 0.9))
def test_a_ratio_of_weights_macs_is_never_exceeded_and_is_nearly_reached(ratio: float) -> None:
    keep = weights_kept(section(ratio=ratio, ratio_of="macs"))
    evidence = evidence_for(NETWORK, section(), IMAGES, LABELS)
    sides = {name: (4 if "layer2" in name else 8) for name in evidence.layers}
    costs = {name: 1 if name == "fc" else sides[name] ** 2 for name in keep}
    whole = sum(mask.numel() * costs[name] for name, mask in keep.items())
    gone = sum(int((~mask).sum()) * costs[name] for name, mask in keep.items())
    assert ratio * whole - 64 < gone <= ratio * whole


@pytest.mark.parametrize("what", ["weights", "macs"])
@settings(max_examples=20)
@given(ratio=st.floats(0.05, 0.9))
def test_a_ratio_of_size_for_filters_lands_just_above_the_wanted_size(
    what: str, ratio: float
) -> None:
    asked = section(ratio=ratio, ratio_of=what, granularity="filters")
    evidence = evidence_for(NETWORK, asked, IMAGES, LABELS)
    coupled = CoupledNetwork(NETWORK, IMAGES[:1])
    keep = kept_channels(coupled, evidence, asked, scoring(asked))
    wanted = (1 - ratio) * getattr(coupled.sizes({}), what)
    assert getattr(coupled.sizes(keep), what) >= wanted
    free = {name: group for name, group in coupled.groups.items() if int(keep[name].sum()) > 1}
    if free:
        # The next channel to go would be the worst that is left of all.
        scores = {name: group.scores(_filters(evidence)) for name, group in free.items()}
        worst = min(free, key=lambda name: float(scores[name][keep[name]].min()))
        keep[worst] = keep[worst] & (scores[worst] != scores[worst][keep[worst]].min())
        assert getattr(coupled.sizes(keep), what) < wanted


def _filters(evidence: Any) -> dict[str, Tensor]:
    return {name: value.flatten(1).mean(1) for name, value in evidence.magnitude.items()}


def test_a_ratio_of_macs_needs_positions() -> None:
    with pytest.raises(ValueError, match="a ratio of MACs needs the layers' output positions"):
        chosen_weights({"a": torch.zeros(2)}, {"a": nn.Linear(2, 1)}, section(ratio_of="macs"))


@pytest.mark.parametrize("how", [{}, {"scope": "layer"}, {"pattern": "2:4"}, {"min_kept": 0.9}])
@given(seed=st.integers(0, 10**6), ratio=st.floats(0, 0.9), share=st.floats(0, 1))
@settings(max_examples=15)
def test_what_is_gone_never_comes_back_and_counts(
    how: dict[str, Any], seed: int, ratio: float, share: float
) -> None:
    layers = prunable_layers(NETWORK)
    rng = seeded(seed)
    scores = {n: torch.rand(layer.weight.shape, generator=rng) for n, layer in layers.items()}
    gone = {n: torch.rand(layer.weight.shape, generator=rng) < share for n, layer in layers.items()}
    asked = section(ratio=ratio, exclude=["conv1"], **how)
    del scores["conv1"]
    keep = chosen_weights(scores, layers, asked, gone=gone)
    assert not any((keep[name] & gone[name]).any() for name in keep)
    if not how:
        removed = sum(int((~mask).sum()) for mask in keep.values())
        already = sum(int(gone[name].sum()) for name in keep)
        total = sum(mask.numel() for mask in keep.values())
        assert removed >= max(already, round(ratio * total))
        assert removed <= max(already, round(ratio * total)) + len(keep)


def test_a_layer_competes_alone_or_with_its_like() -> None:
    keep = weights_kept(section(scope="layer"))
    assert all(int(mask.sum()) == mask.numel() - round(mask.numel() / 2) for mask in keep.values())
    keep = weights_kept(section(scope="isomorphic"))
    kinds: dict[Any, list[Tensor]] = {}
    for name, layer in prunable_layers(NETWORK).items():
        kinds.setdefault((type(layer), layer.weight.shape[2:]), []).append(keep[name])
    assert len(kinds) == 3
    for masks in kinds.values():
        whole = sum(mask.numel() for mask in masks)
        assert sum(int(mask.sum()) for mask in masks) == whole - round(whole / 2)


def test_a_floor_of_one_layer_holds_its_whole_group() -> None:
    asked = section(
        granularity="filters", ratio=0.9, min_kept={"layer1.0.conv2": 0.75, "default": 0.1}
    )
    pruned = prune(NETWORK, asked, IMAGES, LABELS)
    assert prunable_layers(pruned)["conv1"].weight.shape[0] == 3
    assert prunable_layers(pruned)["layer1.0.conv1"].weight.shape[0] == 1


def test_an_excluded_layer_keeps_its_whole_group() -> None:
    asked = section(granularity="filters", ratio=0.9, exclude=["layer1.1.conv2"])
    layers = prunable_layers(prune(NETWORK, asked, IMAGES, LABELS))
    assert [layers[name].weight.shape[0] for name in ("conv1", "layer1.0.conv2")] == [4, 4]
    everything = section(granularity="filters", exclude=list(prunable_layers(NETWORK)))
    assert counted(prune(NETWORK, everything, IMAGES, LABELS)) == counted(NETWORK)


def with_dropout() -> nn.Sequential:
    network = named(
        ("conv", nn.Conv2d(2, 4, 3)),
        ("bn", nn.BatchNorm2d(4)),
        ("drop", nn.Dropout(0.5)),
        ("conv2", nn.Conv2d(4, 4, 1)),
        ("bn2", nn.BatchNorm2d(4)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(144, 3)),
    )
    return randomised(network, 1)


def test_renewed_batch_norms_know_the_activations_and_nothing_else_changes() -> None:
    network = with_dropout()
    images = torch.rand(101, 2, 8, 8, generator=seeded(2), dtype=torch.float64)
    renewed = batch_norm_renewed(network, images)
    again = batch_norm_renewed(network, images)
    before, after = network.state_dict(), renewed.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.split(".")[1] for name in changed} == statistics
    # No dropout is drawn, and nothing hangs on the global generator.
    assert all(torch.equal(after[name], value) for name, value in again.state_dict().items())
    assert not any(module.training for module in renewed.modules())
    assert renewed.bn.momentum == network.bn.momentum
    halves = images[:51], images[51:]
    means = [network.conv(half).mean((0, 2, 3)) for half in halves]
    torch.testing.assert_close(after["bn.running_mean"], (means[0] + means[1]).detach() / 2)


def test_a_network_without_batch_norms_has_nothing_to_renew() -> None:
    renewed = batch_norm_renewed(BUILT["fire"], IMAGES)
    assert torch.equal(renewed(IMAGES), BUILT["fire"](IMAGES))


@pytest.mark.parametrize("what", [{"ratio": 0.5}, {"ratio": 0.0, "cut_ratio": 0.5}])
def test_batch_norms_are_renewed_after_any_removal_and_only_if_asked(what: dict[str, Any]) -> None:
    kept, renewed = (
        prune(NETWORK, section(batch_norm=how, **what), IMAGES, LABELS, head=["conv1"])
        for how in ("keep", "re-estimate")
    )
    assert not torch.equal(kept.bn1.running_mean, renewed.bn1.running_mean)
    assert torch.equal(kept.conv1.weight, renewed.conv1.weight)
    asked = section(batch_norm="re-estimate", ratio=0.0)
    assert prune(NETWORK, asked, IMAGES, LABELS) is NETWORK


def test_a_nan_is_refused_under_a_pattern_too() -> None:
    network = with_dropout()
    with torch.no_grad():
        network.conv2.weight[0, 0] = math.nan
    asked = section(pattern="2:4")
    images = torch.rand(3, 2, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="scores must be finite, and some of layer 'conv2' are"):
        prune(network, asked, images, LABELS)
