"""What a schedule removes, what it resumes from, and what goes at the cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flexrel_sim.datasets import EvaluationSamples, evaluation_samples
from flexrel_sim.errors import WorkError
from flexrel_sim.measure import pruned
from flexrel_sim.measure.network import measure_network
from flexrel_sim.measure.pruned import head_layers, pruned_network
from flexrel_sim.networks import CardFile
from flexrel_sim.networks.answers import share_correct
from flexrel_sim.networks.build import load_network
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.schema import PruningSection
from tests.measure.scenarios import spec_of

THREE = {"ratio": 0.8, "min_kept": 0.0, "schedule": {"steps": 3}}


@pytest.fixture
def samples() -> EvaluationSamples:
    return evaluation_samples("digits", 30, 40, 50, 0)


@pytest.fixture
def network(tiny: CardFile) -> nn.Module:
    return load_network(tiny)


def section(**changes: Any) -> PruningSection:
    return PruningSection.model_validate({"ratio": 0.5} | changes)


def zeros(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: layer.weight == 0 for name, layer in prunable_layers(network).items()}


def test_three_steps_end_at_the_wanted_ratio_and_what_is_gone_stays_gone(
    network: nn.Module, samples: EvaluationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, torch.Tensor]] = []

    def recorded(*args: Any, **named: Any) -> nn.Module:
        steps.append(zeros(once(*args, **named)))
        return once(*args, **named)

    once = pruned.prune
    monkeypatch.setattr(pruned, "prune", recorded)
    last = zeros(pruned_network(network, section(**THREE), samples).network)
    total = sum(mask.numel() for mask in last.values())
    counts = [sum(int(mask.sum()) for mask in step.values()) for step in steps]
    # Equal factors of what is kept: 0.2^(1/3), 0.2^(2/3), 0.2.
    assert counts == [round((1 - 0.2 ** (step / 3)) * total) for step in (1, 2)] + [
        round(0.8 * total)
    ]
    assert sum(int(mask.sum()) for mask in last.values()) == counts[-1]
    for before, after in ((steps[0], steps[1]), (steps[1], last)):
        assert all(bool(after[name][mask].all()) for name, mask in before.items())


@pytest.mark.parametrize("changes", [{}, {"cut_ratio": 0.3}])
def test_floors_of_a_schedule_are_those_of_the_layers_before_it(
    network: nn.Module, samples: EvaluationSamples, changes: dict[str, float]
) -> None:
    asked = {"granularity": "filters", "min_kept": 0.45, "ratio": 0.5}
    settings = section(**asked | {"schedule": {"steps": 4}} | changes)
    after = prunable_layers(pruned_network(network, settings, samples, cut="pool2").network)
    before = prunable_layers(network)
    for name in list(before)[:-1]:
        assert len(after[name].weight) >= 0.45 * len(before[name].weight)


@pytest.mark.parametrize("granularity", ["weights", "filters"])
def test_finished_steps_are_taken_up_again(
    network: nn.Module,
    samples: EvaluationSamples,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    granularity: str,
) -> None:
    settings = section(**(THREE | {"granularity": granularity}))
    first = pruned_network(network, settings, samples, key="k").network
    assert len(list((cache / "steps").iterdir())) == 3

    def refuse(*_: Any, **__: Any) -> nn.Module:
        raise AssertionError("pruned again")

    monkeypatch.setattr(pruned, "prune", refuse)
    second = pruned_network(network, settings, samples, key="k").network
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, first.state_dict()[name])
    for key in ("other", ""):
        with pytest.raises(AssertionError, match="pruned again"):
            pruned_network(network, settings, samples, key=key)


def test_what_auto_tried_and_chose_is_recorded(
    tiny: CardFile, network: nn.Module, samples: EvaluationSamples
) -> None:
    auto = {"deltas": [0.0, 0.4], "ratios": [0.5, 0.9]}
    asked = {"criterion": "flexrel-paper", "delta": "auto", "auto": auto, "ratio": 0.5}
    found = pruned_network(network, section(**asked), samples)
    assert found.choice["delta"] in (0.0, 0.4)
    assert [tried["delta"] for tried in found.choice["tried"]] == [0.0, 0.4]
    assert found.choice["reached"]
    given = pruned_network(network, section(**asked | {"delta": found.choice["delta"]}), samples)
    assert given.choice == {}
    for name, mask in zeros(found.network).items():
        assert torch.equal(mask, zeros(given.network)[name])
    (profile,) = measure_network([spec_of(tiny, pruning=asked)])
    assert profile.calibration.choice["delta"] == found.choice["delta"]
    assert len(profile.calibration.choice["tried"]) == 2


@pytest.mark.parametrize(("cut", "channels", "pixels"), [("pool2", 8, 4), ("relu1_1", 4, 64)])
def test_the_channels_at_the_cut_shrink_the_payload_by_exactly_their_share(
    tiny: CardFile, cut: str, channels: int, pixels: int
) -> None:
    (profile,) = measure_network(
        [
            spec_of(
                tiny,
                split={"cut": cut},
                codec={"dtype": "float32", "checksum": False},
                pruning={"cut_ratio": 0.5, "criterion": "magnitude"},
            )
        ]
    )
    assert set(profile.payload_bytes.tolist()) == {4 * channels // 2 * pixels}


def test_the_head_is_all_layers_with_weights_before_the_cut(network: nn.Module) -> None:
    layers = ["conv1_1", "conv1_2", "conv2_1", "fc1", "fc2"]
    cuts = {"server": 0, "conv1_1": 1, "pool1": 2, "flatten": 3, "relu_fc1": 4, "edge": 5}
    for cut, count in cuts.items():
        assert head_layers(network, cut) == set(layers[:count])


def test_auto_tries_what_it_deploys_channels_at_the_cut_gone(
    network: nn.Module, samples: EvaluationSamples
) -> None:
    auto = {"deltas": [0.0, 1.0], "ratios": [0.3, 0.6]}
    asked = section(criterion="flexrel-paper", delta="auto", auto=auto, cut_ratio=0.5, ratio=0.6)
    parts = torch.from_numpy(samples.validation.images), torch.from_numpy(samples.validation.labels)
    tried = pruned_network(network, asked, samples, cut="pool1").choice["tried"]
    for one in tried:
        at = asked.model_copy(update={"delta": one["delta"]})
        for ratio, accuracy in zip(one["ratios"], one["accuracies"], strict=True):
            alike = at.model_copy(update={"ratio": ratio})
            deployed = pruned_network(network, alike, samples, cut="pool1").network
            assert share_correct(deployed, *parts) == accuracy
    only = asked.model_copy(update={"ratio": 0.0})
    tried = pruned_network(network, only, samples, cut="pool1").choice["tried"]
    assert [one["ratios"] for one in tried] == [(0.0,), (0.0,)]


def test_nothing_to_prune_is_the_network_itself(
    network: nn.Module, samples: EvaluationSamples
) -> None:
    found = pruned_network(network, section(ratio=0.0), samples)
    assert found.network is network
    assert (found.choice, found.seconds) == ({}, 0.0)


def test_fine_tuning_without_a_recipe_is_refused(
    network: nn.Module, samples: EvaluationSamples
) -> None:
    settings = section(schedule={"fine_tuning": {"epochs": 1}})
    with pytest.raises(WorkError, match="needs a network with a training recipe"):
        pruned_network(network, settings, samples)
