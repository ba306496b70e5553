"""Whether training came to something: finite numbers, and answers better than chance."""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from flexrel_sim.accuracy import Recalls
from flexrel_sim.errors import WorkError

__all__ = ["RECIPE_REMEDY", "demand_finite", "demand_learned"]

RECIPE_REMEDY: Final = "lower training.learning_rate, or train longer"
"""What a card's recipe can do about it."""


def demand_finite(what: str, network: nn.Module, loss: float, epoch: int, remedy: str) -> None:
    """Refuse a training that has diverged.

    Parameters
    ----------
    what
        What is trained, for the message.
    network
        Its weights after the epoch.
    loss
        Mean loss of the epoch.
    epoch
        Its number, from 1.
    remedy
        Which setting to change.

    Raises
    ------
    WorkError
        If the loss, or a weight or statistic, is NaN or infinite.
    """
    broken = [
        name
        for name, held in network.state_dict().items()
        if held.is_floating_point() and not bool(held.isfinite().all())
    ]
    if math.isfinite(loss) and not broken:
        return
    weights = f", and {broken[0]!r} holds NaN or infinity" if broken else ""
    raise WorkError(
        f"{what}: training diverged in epoch {epoch}: its loss is {loss:.3g}{weights};"
        f" {remedy}; nothing was written"
    )


def demand_learned(what: str, recalls: Recalls, epochs: int, remedy: str) -> None:
    """Refuse a trained network that answers as if by chance.

    Parameters
    ----------
    what
        What was trained, for the message.
    recalls
        Its right answers on held-out samples.
    epochs
        How long it was trained.
    remedy
        Which settings to change.

    Raises
    ------
    WorkError
        If the mean recall of the classes can't be told from one over their number, which any
        constant answer has whatever their frequencies, and is nearer to that than to one: a few
        samples can't tell either, and may all be right.
    """
    balanced = recalls.figures["balanced_accuracy"]
    chance = 1 / recalls.classes.size
    if recalls.classes.size == 1 or balanced.low > chance or balanced.value > (1 + chance) / 2:
        return
    accuracy = recalls.figures["accuracy"].value
    raise WorkError(
        f"{what}: learned nothing in {epochs} epochs: the mean recall of the classes is"
        f" {balanced.value:.3f} [{balanced.low:.3f}, {balanced.high:.3f}], and {chance:.3f} is"
        f" chance (accuracy {accuracy:.4f} on held-out samples); {remedy}; nothing was written"
    )
