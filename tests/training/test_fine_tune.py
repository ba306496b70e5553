"""Training of pruned networks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import yaml
from safetensors.torch import load
from torch import nn

from flexrel_sim.datasets import DATASETS, DatasetInfo, train_samples
from flexrel_sim.errors import WorkError
from flexrel_sim.networks import Card
from flexrel_sim.networks.build import build_network
from flexrel_sim.networks.weights import fill
from flexrel_sim.pruning.prune import prune
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.schema import FineTuningSection, PruningSection
from flexrel_sim.training import fine_tune as module
from flexrel_sim.training.fine_tune import fine_tune
from tests.networks.cards import CARD_YAML, trained_tiny

DIGITS = DATASETS["digits"]

SETTINGS = FineTuningSection(epochs=2, samples=300, batch_size=50, learning_rate=3e-3)


def pruned(granularity: str = "weights", ratio: float = 0.8) -> nn.Module:
    samples = train_samples("digits", 50)
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    asked = {"criterion": "magnitude", "granularity": granularity, "ratio": ratio}
    section = PruningSection.model_validate(asked)
    network = build_network(Card.model_validate(yaml.safe_load(CARD_YAML)).architecture).eval()
    fill(network, load(trained_tiny().checkpoint))
    return prune(network, section, images, labels)


def test_what_was_removed_stays_removed_and_the_rest_learns() -> None:
    network = pruned()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tuned = fine_tune(network, DIGITS, SETTINGS)
    for name, layer in prunable_layers(tuned.network).items():
        old = network.get_submodule(name).weight
        assert (layer.weight[old == 0] == 0).all()
        assert not torch.equal(layer.weight, old)
    assert max(tuned.accuracies) > tuned.accuracies[0]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(child.training for child in tuned.network.modules())
    assert not any(weight.requires_grad for weight in tuned.network.parameters())


def test_a_network_of_fewer_filters_learns_too() -> None:
    network = pruned("filters", 0.2)
    tuned = fine_tune(network, DIGITS, SETTINGS.model_copy(update={"epochs": 5}))
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert {name: value.shape for name, value in tuned.network.state_dict().items()} == shapes
    assert max(tuned.accuracies) > tuned.accuracies[0]


def test_it_is_deterministic_by_its_seed_and_leaves_the_global_generator_alone() -> None:
    network = pruned()
    state = torch.get_rng_state()
    first = fine_tune(network, DIGITS, SETTINGS)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again = fine_tune(network, DIGITS, SETTINGS)
    other = fine_tune(network, DIGITS, SETTINGS.model_copy(update={"seed": 1}))
    same = [
        all(torch.equal(a, b) for a, b in zip(*pair, strict=True))
        for pair in (
            (first.network.parameters(), again.network.parameters()),
            (first.network.parameters(), other.network.parameters()),
        )
    ]
    assert same == [True, False]
    assert first.accuracies == again.accuracies


def answering(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> list[torch.Tensor]:
    """Pretend accuracies, and record a weight whenever one is asked for."""
    answers: Iterator[float] = iter(accuracies)
    seen: list[torch.Tensor] = []

    def accuracy(network: nn.Module, *_: torch.Tensor) -> float:
        seen.append(network.get_submodule("fc2").weight.detach().clone())
        return next(answers)

    monkeypatch.setattr(module, "share_correct", accuracy)
    return seen


@pytest.mark.parametrize(
    ("accuracies", "best"), [((0.5, 0.7, 0.6), 1), ((0.5, 0.4, 0.3), 0), ((0.5, 0.7, 0.7), 1)]
)
def test_the_first_best_epoch_is_kept(
    monkeypatch: pytest.MonkeyPatch, accuracies: tuple[float, ...], best: int
) -> None:
    network = pruned()
    seen = answering(monkeypatch, *accuracies)
    tuned = fine_tune(network, DIGITS, SETTINGS)
    assert tuned.accuracies == accuracies
    assert torch.equal(tuned.network.get_submodule("fc2").weight, seen[best])
    assert len({tuple(weight.flatten().tolist()) for weight in seen}) == 3


def test_it_stops_when_patience_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 0.5, 0.6, 0.6, 0.55, 0.9)
    settings = SETTINGS.model_copy(update={"epochs": 9, "patience": 2})
    assert fine_tune(pruned(), DIGITS, settings).accuracies == (0.5, 0.6, 0.6, 0.55)


def test_no_epochs_change_nothing() -> None:
    network = pruned()
    tuned = fine_tune(network, DIGITS, SETTINGS.model_copy(update={"epochs": 0}))
    assert len(tuned.accuracies) == 1
    state = network.state_dict()
    assert all(torch.equal(state[n], value) for n, value in tuned.network.state_dict().items())


def test_the_recipes_samples_count_where_the_settings_name_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int | None] = []

    def recorded(dataset: DatasetInfo, samples: int | None) -> object:
        asked.append(samples)
        return train_samples(dataset, samples)

    monkeypatch.setattr(module, "train_samples", recorded)
    none = FineTuningSection(epochs=0)
    fine_tune(pruned(), DIGITS, none, 100)
    fine_tune(pruned(), DIGITS, none)
    fine_tune(pruned(), DIGITS, none.model_copy(update={"samples": 50}), 100)
    assert asked == [100, None, 50]


def test_a_tenth_is_held_back_and_the_rest_trains() -> None:
    samples = train_samples("digits", 300)
    (kept, _), (back, _) = module._held_back(samples)
    assert (len(kept), len(back)) == (270, 30)
    parts = torch.cat([kept, back]).flatten(1).tolist()
    assert sorted(parts) == sorted(torch.from_numpy(samples.images).flatten(1).tolist())


def test_fine_tuning_that_diverges_is_refused_and_not_taken_for_epoch_0() -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e20})
    with pytest.raises(WorkError, match="fine-tuning: training diverged in epoch 1: its loss is"):
        fine_tune(pruned(), DIGITS, settings, None)
