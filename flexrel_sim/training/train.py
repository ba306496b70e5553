"""Training a network from its card, the same bytes every time on the same machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from safetensors.torch import save
from torch import nn

from flexrel_sim.accuracy import Recalls
from flexrel_sim.datasets import DatasetInfo, held_out, train_samples
from flexrel_sim.errors import InputError
from flexrel_sim.networks import Card, Consent, Training
from flexrel_sim.networks.answers import answers
from flexrel_sim.networks.build import build_network, weights_of
from flexrel_sim.threads import one_thread
from flexrel_sim.training.outcome import RECIPE_REMEDY, demand_finite

__all__ = ["TrainedNetwork", "train_network"]


@dataclass(frozen=True)
class TrainedNetwork:
    """What training gave.

    Parameters
    ----------
    checkpoint
        The weights as the bytes of a safetensors file.
    recalls
        Right answers by class, on the part of the dataset that training never saw.
    """

    checkpoint: bytes
    recalls: Recalls = field(compare=False)

    @property
    def held_out_correct(self) -> int:
        """Right answers on that part."""
        return int(self.recalls.right.sum())

    @property
    def held_out_samples(self) -> int:
        """Samples of that part."""
        return int(self.recalls.samples.sum())


def train_network(
    card: Card,
    dataset: DatasetInfo,
    after_epoch: Callable[[int, float], None] | None = None,
    consent: Consent | None = None,
) -> TrainedNetwork:
    """Train a network from scratch.

    Parameters
    ----------
    card
        Architecture and recipe.
    dataset
        What `training_dataset` gave for the card.
    after_epoch
        Called with the epoch, from 1, and its mean loss.
    consent
        Which factories may be called; None for none.

    Returns
    -------
    TrainedNetwork
        The checkpoint and its accuracy. No choice is made on the held-out samples, so that their
        accuracy is an honest one. Bytes are the same on the same processor and torch; elsewhere
        rounding may differ.

    Raises
    ------
    InputError
        If the card has no recipe.
    WorkError
        If training diverges.
    DatasetError
        If the dataset is no longer what it was when it was opened.
    """
    if card.training is None:
        raise InputError(f"{card.name}: training: is missing; add a recipe, or use it as it came")
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(card.training.seed)
        network = build_network(card.architecture, consent)
        recipe = card.training
        _fit(card.name, network.train(), recipe, dataset, after_epoch)
        samples = held_out(dataset)
        predicted = answers(network.eval(), torch.from_numpy(samples.images)).numpy()
    recalls = Recalls.of(samples.labels, predicted)
    state = weights_of(network).state_dict()
    weights = {name: tensor.contiguous() for name, tensor in state.items()}
    return TrainedNetwork(save(weights), recalls)


def _fit(
    name: str,
    network: nn.Module,
    recipe: Training,
    dataset: DatasetInfo,
    after_epoch: Callable[[int, float], None] | None,
) -> None:
    samples = train_samples(dataset, recipe.samples)
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * math.ceil(len(labels) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(recipe.batch_size):
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        demand_finite(name, network, total / len(labels), epoch, RECIPE_REMEDY)
        if after_epoch is not None:
            after_epoch(epoch, total / len(labels))
