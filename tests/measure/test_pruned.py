from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import flexrel_sim.measure.pruned as pruned_module
from flexrel_sim.datasets import evaluation_samples
from flexrel_sim.measure.pruned import pruned_network
from flexrel_sim.networks import load_card
from flexrel_sim.networks.build import load_network
from flexrel_sim.partition import split_network
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.schema import PruningSection

SAMPLES = evaluation_samples("digits", 40, 60, 80, 1)


@pytest.fixture
def network(workspace: Path) -> nn.Module:
    return load_network(load_card(workspace / "tiny.yaml"))


def weights_left(network: nn.Module) -> float:
    layers = prunable_layers(network).values()
    return sum(int(layer.weight.count_nonzero()) for layer in layers) / sum(
        layer.weight.numel() for layer in layers
    )


def test_steps_reach_the_ratio_and_what_is_gone_stays_gone(network: nn.Module) -> None:
    states = []
    for steps in (1, 3):
        settings = PruningSection(criterion="relevance", ratio=0.8, schedule={"steps": steps})
        states.append(pruned_network(network, settings, SAMPLES).network)
        assert weights_left(states[-1]) == pytest.approx(0.2, abs=1e-3)


def test_a_finished_schedule_is_taken_up_and_not_run_again(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    settings = PruningSection(
        criterion="magnitude", granularity="filters", ratio=0.4, schedule={"steps": 2}
    )
    first = pruned_network(network, settings, SAMPLES, key="k").network

    def never(*_: object, **__: object) -> nn.Module:
        raise AssertionError("pruned again")

    monkeypatch.setattr(pruned_module, "prune", never)
    again = pruned_network(network, settings, SAMPLES, key="k").network
    images = torch.from_numpy(SAMPLES.test.images)
    assert torch.equal(first(images), again(images))
    with pytest.raises(AssertionError, match="pruned again"):
        pruned_network(network, settings, SAMPLES, key="another")


def test_channels_at_the_cut_shrink_the_boundary_by_exactly_their_share(network: nn.Module) -> None:
    images = torch.from_numpy(SAMPLES.test.images[:1])
    settings = PruningSection(criterion="magnitude", cut_ratio=0.5)
    pruned = pruned_network(network, settings, SAMPLES, cut="pool1").network
    whole, half = (
        np.prod(split_network(one, "pool1")[0](images).shape) for one in (network, pruned)
    )
    assert 2 * half == whole


def test_auto_is_resolved_and_recorded(network: nn.Module) -> None:
    settings = PruningSection(
        ratio=0.5, delta="auto", auto={"deltas": [0.2, 0.6], "ratios": [0.5, 0.8]}
    )
    choice = pruned_network(network, settings, SAMPLES).choice
    assert choice["delta"] in (0.2, 0.6)
    assert [tried["delta"] for tried in choice["tried"]] == [0.2, 0.6]


def test_nothing_to_remove_changes_nothing(network: nn.Module) -> None:
    settings = PruningSection(schedule={"fine_tuning": {"epochs": 3}})
    assert pruned_network(network, settings, SAMPLES).network is network
