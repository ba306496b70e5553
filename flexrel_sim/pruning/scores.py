"""Signals to scores: reduce to the units that are removed, normalise, combine with δ."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.catalogue import Criterion, Signal

__all__ = ["magnitude", "random_signal", "score"]

Signals = dict[str, Tensor]
"""Layer name to one value per weight."""


def magnitude(layers: dict[str, nn.Conv2d | nn.Linear]) -> Signals:
    """Give |w| of every layer, in float64."""
    return {name: layer.weight.detach().double().abs() for name, layer in layers.items()}


def random_signal(
    layers: dict[str, nn.Conv2d | nn.Linear],
    seed: int,
    granularity: Literal["weights", "filters"] = "weights",
) -> Signals:
    """Give uniform noise in the shape of every layer's weights: one draw per unit removed."""
    rng = torch.Generator().manual_seed(seed)
    signals = {}
    for name, layer in layers.items():
        shape = list(layer.weight.shape)
        # A mean over weights would make the chance of a filter hang on its size.
        units = shape if granularity == "weights" else [shape[0], *([1] * (len(shape) - 1))]
        signals[name] = torch.rand(units, generator=rng, dtype=torch.float64).expand(shape)
    return signals


def score(
    criterion: Criterion,
    signals: dict[Signal, Signals],
    *,
    delta: float,
    granularity: Literal["weights", "filters"],
    normalise: Literal["layer", "global", "none"],
) -> Signals:
    """Score every unit that can be removed.

    Parameters
    ----------
    criterion
        What to look at.
    signals
        The criterion's signals, one value per weight.
    delta
        Weight of the second signal; ignored by criteria of one signal.
    granularity
        Score single weights, or whole filters by the mean over their weights.
    normalise
        Rescale each signal to 0..1 within each layer, over the whole network, or not at all.

    Returns
    -------
    dict
        Layer name to scores: in the shape of the weights, or ``(filters,)``.
    """
    prepared = [
        # Chance has the same scale everywhere; rescaling would favour layers of few units.
        _normalised(_reduced(signals[name], granularity), "none" if name == "random" else normalise)
        for name in criterion.signals
    ]
    if not criterion.uses_delta:
        return prepared[0]
    first, second = prepared
    return {name: (1 - delta) * first[name] + delta * second[name] for name in first}


def _reduced(signals: Signals, granularity: str) -> Signals:
    if granularity == "weights":
        return signals
    return {name: signal.flatten(1).mean(1) for name, signal in signals.items()}


def _normalised(signals: Signals, where: str) -> Signals:
    if where == "none":
        return signals
    if where == "layer":
        return {name: _rescaled(s, s.min(), s.max()) for name, s in signals.items()}
    low = torch.stack([s.min() for s in signals.values()]).min()
    high = torch.stack([s.max() for s in signals.values()]).max()
    return {name: _rescaled(s, low, high) for name, s in signals.items()}


def _rescaled(signal: Tensor, low: Tensor, high: Tensor) -> Tensor:
    # A constant signal ranks nothing; it must not divide by zero. NaN stays NaN, and is refused.
    return torch.zeros_like(signal) if high == low else (signal - low) / (high - low)
