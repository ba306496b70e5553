from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load

from flexrel_sim.datasets import DATASETS, held_out
from flexrel_sim.errors import ScenarioError
from flexrel_sim.networks import Card, training_dataset
from flexrel_sim.networks.answers import count_correct
from flexrel_sim.networks.build import build_network
from flexrel_sim.training import TrainedNetwork, train_network
from tests.networks.cards import CARD_YAML, trained_tiny, write_card
from tests.workspace import own_images


def trained(card: Card, after_epoch: Callable[[int, float], None] | None = None) -> TrainedNetwork:
    return train_network(card, DATASETS["digits"], after_epoch)


def card_of(*, architecture: dict[str, object] | None = None, **training: object) -> Card:
    data = yaml.safe_load(CARD_YAML)
    data["training"] |= training
    data["architecture"] |= architecture or {}
    return Card.model_validate(data)


def test_training_twice_gives_the_same_bytes() -> None:
    again = trained(card_of())
    assert again == trained_tiny()
    assert again.checkpoint == trained_tiny().checkpoint


def test_training_gives_the_same_bytes_whatever_the_threads_and_the_global_seed() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(1234)
        assert trained(card_of(epochs=1)) == trained(card_of(epochs=1))
        torch.manual_seed(99)
        assert trained(card_of()).checkpoint == trained_tiny().checkpoint
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_training_leaves_the_global_generator_and_thread_count_as_they_were() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        trained(card_of(epochs=1))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_training_that_fails_leaves_generator_and_thread_count_as_they_were() -> None:
    class StoppedError(Exception):
        pass

    def stop(epoch: int, loss: float) -> None:
        raise StoppedError(f"epoch {epoch}, loss {loss}")

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        with pytest.raises(StoppedError, match="epoch 1, loss"):
            trained(card_of(), stop)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"learning_rate": 0.02}, {"weight_decay": 0.5}, {"batch_size": 64}],
)
def test_every_setting_of_the_recipe_matters(change: dict[str, object]) -> None:
    base, changed = (trained(card_of(epochs=1, **extra)) for extra in ({}, change))
    assert base.checkpoint != changed.checkpoint


def test_each_epoch_is_told_with_its_falling_mean_loss() -> None:
    told: list[tuple[int, float]] = []
    found = trained(card_of(epochs=3), lambda *epoch: told.append(epoch))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    losses = [loss for _, loss in told]
    assert 2.4 > losses[0] > losses[1] > losses[2] > 0
    assert found.held_out_correct > 0.5 * found.held_out_samples


def test_the_checkpoint_is_the_network_that_was_counted_on_all_held_out_samples() -> None:
    tiny = trained_tiny()
    network = build_network(card_of().architecture)
    network.load_state_dict(load(tiny.checkpoint))
    samples = held_out("digits")
    answers = network.eval()(torch.from_numpy(samples.images)).argmax(1).numpy()
    assert tiny.held_out_samples == len(samples.labels) == 719
    assert tiny.held_out_correct == (answers == samples.labels).sum()
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    assert count_correct(network, images, labels) == tiny.held_out_correct


def test_a_network_is_trained_on_the_users_own_images(tmp_path: Path) -> None:
    own_images(tmp_path)
    card_file = write_card(tmp_path, CARD_YAML.replace("digits, epochs: 2", "own.npz, epochs: 8"))
    found = train_network(card_file.card, training_dataset(card_file))
    # 60 % of every class train, so that the rest is as honest as a catalogue's held-out part.
    assert found.held_out_samples == 400
    assert found.held_out_correct > 0.5 * found.held_out_samples


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dataset: digits", "dataset: didgits", "training.dataset: unknown dataset, got 'didgits'"),
        ("dataset: digits", "dataset: own.npz", r"training.dataset: \S+own.npz: must be an .npz"),
        ("dataset: digits", "dataset: mnist5k", r"architecture: must take the images \[1, 28, 28"),
        ("classes: 10", "classes: 9", "architecture: must take .* 10 classes of 'digits', got"),
        ("epochs: 2", "epochs: 2, samples: 2000", "training.samples: must be at most 1078,"),
    ],
)
def test_data_that_is_not_there_or_does_not_fit_is_refused_on_the_cards_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    card_file = write_card(tmp_path, CARD_YAML.replace(old, new))
    with pytest.raises(ScenarioError, match=rf"tiny.yaml:(3|10): {said}"):
        training_dataset(card_file)
