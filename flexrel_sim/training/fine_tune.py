"""Fine-tuning a pruned network: what was removed stays removed."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flexrel_sim.datasets import DatasetInfo, Samples, train_samples
from flexrel_sim.networks.answers import share_correct
from flexrel_sim.scenario.schema import FineTuningSection
from flexrel_sim.threads import one_thread
from flexrel_sim.training.outcome import demand_finite

__all__ = ["FineTuned", "fine_tune"]

_HELD_BACK = 0.1


_REMEDY = "lower pruning.schedule.fine_tuning.learning_rate"


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning gave.

    Parameters
    ----------
    network
        The best state that was seen, in evaluation mode.
    accuracies
        Accuracy on the held-back training samples, before and after every epoch.
    """

    network: nn.Module
    accuracies: tuple[float, ...]


def fine_tune(
    network: nn.Module,
    dataset: DatasetInfo,
    settings: FineTuningSection,
    recipe_samples: int | None = None,
) -> FineTuned:
    """Train a pruned network further.

    Parameters
    ----------
    network
        Left as it is. Weights of convolutions and fully connected layers that are zero stay zero.
    dataset
        The network's own, as `training_dataset` gave it; only its training part is seen.
    settings
        How long, how fast, and when to stop.
    recipe_samples
        Training samples of the network's recipe, where the settings name no number.

    Returns
    -------
    FineTuned
        The epoch, 0 among them, that was best on a tenth of the samples, held back from training.
        Deterministic, like training.

    Raises
    ------
    WorkError
        If it diverges: its result would be the network as it was, and look like a tuned one.
    """
    samples = train_samples(dataset, settings.samples or recipe_samples)
    tuned = copy.deepcopy(network).requires_grad_(True)
    frozen = _masks(tuned)
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        kept, back = _held_back(samples)
        accuracies = [share_correct(tuned.eval(), *back)]
        best, best_state = 0, copy.deepcopy(tuned.state_dict())
        optimizer = torch.optim.Adam(tuned.parameters(), lr=settings.learning_rate)
        steps = settings.epochs * math.ceil(len(kept[1]) / settings.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
        for epoch in range(1, settings.epochs + 1):
            tuned.train()
            total = 0.0
            for batch in torch.randperm(len(kept[1])).split(settings.batch_size):
                loss = nn.functional.cross_entropy(tuned(kept[0][batch]), kept[1][batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                _freeze(frozen)
                total += loss.item() * len(batch)
            mean = total / max(len(kept[1]), 1)
            demand_finite("fine-tuning", tuned, mean, epoch, _REMEDY)
            accuracies.append(share_correct(tuned.eval(), *back))
            if accuracies[-1] > accuracies[best]:
                best, best_state = epoch, copy.deepcopy(tuned.state_dict())
            elif epoch - best >= settings.patience:
                break
    tuned.load_state_dict(best_state)
    return FineTuned(tuned.eval().requires_grad_(False), tuple(accuracies))


def _masks(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [
        (module.weight, module.weight.detach() == 0)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


def _freeze(frozen: list[tuple[Tensor, Tensor]]) -> None:
    # Adam moves a weight by its momentum even where its gradient is zero.
    with torch.no_grad():
        for weight, gone in frozen:
            weight.masked_fill_(gone, 0)


def _held_back(samples: Samples) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    order = torch.randperm(len(samples.labels))
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    count = max(1, round(_HELD_BACK * len(order)))
    back, kept = order[:count], order[count:]
    return (images[kept], labels[kept]), (images[back], labels[back])
