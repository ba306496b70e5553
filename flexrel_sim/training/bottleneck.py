"""Training a bottleneck for a network that stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flexrel_sim.networks.bottleneck import build_bottleneck
from flexrel_sim.networks.bottleneck_card import BottleneckTraining
from flexrel_sim.threads import one_thread
from flexrel_sim.training.outcome import demand_finite

__all__ = ["train_bottleneck"]


def train_bottleneck(
    halves: tuple[nn.Module, nn.Module],
    samples: tuple[Tensor, Tensor],
    size: tuple[int, int],
    recipe: BottleneckTraining,
    after_epoch: Callable[[int, float], None] | None = None,
) -> nn.ModuleDict:
    """Train an encoder and a decoder for a cut.

    Parameters
    ----------
    halves
        Head and tail, in evaluation mode; left as they are.
    samples
        Images ``(samples, channels, height, width)`` and labels, of the training part.
    size
        Channels that cross the link, and stride.
    recipe
        How long and how fast.
    after_epoch
        Called with the epoch, from 1, and its mean loss.

    Returns
    -------
    torch.nn.ModuleDict
        The bottleneck, in evaluation mode. What is minimised is the cross-entropy of the answers,
        and the squared error of the boundary over its variance. Deterministic, like training.

    Raises
    ------
    ValueError
        If the boundary takes no bottleneck of that size, or would get wider by it.
    WorkError
        If training diverges.
    """
    head, tail = halves
    images, labels = samples
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        with torch.no_grad():
            _demand_narrower(tuple(head(images[:1]).shape[1:]), *size)
            boundary = torch.cat([head(part) for part in images.split(256)])
        bottleneck = build_bottleneck(tuple(boundary.shape[1:]), *size)
        variance = boundary.var().clamp(min=1e-12)
        optimizer = torch.optim.Adam(bottleneck.parameters(), lr=recipe.learning_rate)
        steps = recipe.epochs * math.ceil(len(labels) / recipe.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(1, recipe.epochs + 1):
            total = 0.0
            for batch in torch.randperm(len(labels)).split(recipe.batch_size):
                wanted = boundary[batch]
                restored = bottleneck["decoder"](bottleneck["encoder"](wanted))
                loss = nn.functional.cross_entropy(tail(restored), labels[batch])
                loss = loss + nn.functional.mse_loss(restored, wanted) / variance
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(batch)
            mean = total / len(labels)
            demand_finite("bottleneck", bottleneck, mean, epoch, "lower its learning rate")
            if after_epoch is not None:
                after_epoch(epoch, mean)
    return bottleneck.eval().requires_grad_(False)


def _demand_narrower(boundary: tuple[int, ...], channels: int, stride: int) -> None:
    most = boundary[0] * stride**2 - 1
    if channels > most:
        raise ValueError(
            f"a bottleneck must send fewer numbers than the {boundary[0]} channels of the boundary"
            f" {boundary} do: at stride {stride} at most {most} channels, got {channels}"
        )
