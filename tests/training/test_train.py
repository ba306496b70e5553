import pytest
import torch
import yaml
from safetensors.torch import load

from flexrel_sim.datasets import held_out
from flexrel_sim.errors import DatasetError, FlexRelError
from flexrel_sim.networks import Card
from flexrel_sim.networks.answers import count_correct
from flexrel_sim.networks.build import build_network
from flexrel_sim.training import train_network
from tests.networks.cards import CARD_YAML, trained_tiny


def card_of(*, architecture: dict[str, object] | None = None, **training: object) -> Card:
    data = yaml.safe_load(CARD_YAML)
    data["training"] |= training
    data["architecture"] |= architecture or {}
    return Card.model_validate(data)


def test_training_twice_gives_the_same_bytes() -> None:
    again = train_network(card_of())
    assert again == trained_tiny()
    assert again.checkpoint == trained_tiny().checkpoint


def test_training_gives_the_same_bytes_whatever_the_threads_and_the_global_seed() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(1234)
        assert train_network(card_of(epochs=1)) == train_network(card_of(epochs=1))
        torch.manual_seed(99)
        assert train_network(card_of()).checkpoint == trained_tiny().checkpoint
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_training_leaves_the_global_generator_and_thread_count_as_they_were() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        train_network(card_of(epochs=1))
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
            train_network(card_of(), stop)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"learning_rate": 0.02}, {"weight_decay": 0.5}, {"batch_size": 64}],
)
def test_every_setting_of_the_recipe_matters(change: dict[str, object]) -> None:
    base, changed = (train_network(card_of(epochs=1, **extra)) for extra in ({}, change))
    assert base.checkpoint != changed.checkpoint


def test_each_epoch_is_told_with_its_falling_mean_loss() -> None:
    told: list[tuple[int, float]] = []
    trained = train_network(card_of(epochs=3), lambda *epoch: told.append(epoch))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    losses = [loss for _, loss in told]
    assert 2.4 > losses[0] > losses[1] > losses[2] > 0
    assert trained.held_out_correct > 0.5 * trained.held_out_samples


def test_the_checkpoint_is_the_network_that_was_counted_on_all_held_out_samples() -> None:
    trained = trained_tiny()
    network = build_network(card_of().architecture)
    network.load_state_dict(load(trained.checkpoint))
    samples = held_out("digits")
    answers = network.eval()(torch.from_numpy(samples.images)).argmax(1).numpy()
    assert trained.held_out_samples == len(samples.labels) == 719
    assert trained.held_out_correct == (answers == samples.labels).sum()
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    assert count_correct(network, images, labels) == trained.held_out_correct


def test_training_on_an_unknown_dataset_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match="'?didgits'?.*"):
        train_network(card_of(dataset="didgits"))


def test_training_on_images_of_another_shape_is_refused_before_any_work() -> None:
    with pytest.raises(FlexRelError, match="mnist5k"):
        train_network(card_of(dataset="mnist5k"))


def test_training_with_fewer_classes_than_the_dataset_has_is_refused_before_any_work() -> None:
    with pytest.raises(FlexRelError, match="digits"):
        train_network(card_of(architecture={"classes": 9}))
