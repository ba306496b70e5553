"""What choosing the weights costs, in forward passes of the calibration samples. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from flexrel_sim.pruning import CRITERIA, SIGNALS
from flexrel_sim.pruning.catalogue import Form
from flexrel_sim.pruning.settings import tried_ratios
from flexrel_sim.scenario.schema import PruningSection, RelevanceSection

__all__ = ["forward_passes"]

# One to the logits; back to the activations is as much, and to the weights once more.
_PASSES: Final = {"nothing": 0.0, "forward": 1.0, "backward": 3.0}

# A z rule runs its own weights too; under z-plus nothing flows back through the network's.
_PROPAGATION: Final = {"gradient": 2.0, "z-plus": 3.0, "gamma": 4.0}


def forward_passes(
    pruning: PruningSection, calibration: int, validation: int, *, batch_norms: bool = True
) -> float:
    """Count what pruning costs for every calibration sample, in forward passes.

    Parameters
    ----------
    pruning
        What is pruned, and how.
    calibration, validation
        How many samples there are; `delta: auto` runs the validation samples for every try.
    batch_norms
        Whether the network has any to re-estimate.

    Returns
    -------
    float
        Passes through the dense network, also where what is run has shrunk already. Scoring is
        counted for every step of the schedule, and once more for ``cut_ratio``; `auto` scores once
        for all tries, or each of them where channels at the cut go first. Re-estimated batch norms
        take a pass for every network that is pruned. A z rule takes two more in layers that read
        negative numbers. Not counted: fine-tuning, and single images that show the network's form.
    """
    if not pruning.prunes:
        return 0.0
    criterion = CRITERIA[pruning.criterion]
    of_all = bool(pruning.ratio) or pruning.pattern != "none"
    renewal = float(pruning.batch_norm == "re-estimate" and batch_norms)
    once = _scoring(criterion.signals_with(pruning.relevance.form), pruning.relevance)
    steps = pruning.schedule.steps if of_all else 0
    passes = once * (steps + (pruning.cut_ratio > 0)) + renewal * max(steps, 1)
    if pruning.delta == "auto" and criterion.uses_delta:
        passes += _auto(pruning, renewal + validation / calibration)
    return passes


def _auto(pruning: PruningSection, of_pruned: float) -> float:
    """Count the tries, each of which takes ``of_pruned`` passes per pruned network."""
    criterion, auto = CRITERIA[pruning.criterion], pruning.auto
    tried: Sequence[Form | None] = auto.form or [pruning.relevance.form]
    forms = [criterion.signals_with(form) for form in tried]
    passes = _scoring({name for signals in forms for name in signals}, pruning.relevance)
    tries_per_form = len(auto.deltas) * len(auto.normalise or [1])
    if pruning.cut_ratio:
        passes += sum(tries_per_form * _scoring(signals, pruning.relevance) for signals in forms)
    return passes + len(forms) * tries_per_form * len(tried_ratios(pruning)) * of_pruned


def _scoring(signals: Collection[str], relevance: RelevanceSection) -> float:
    """Count the passes of all that signals look at; each quantity is computed once."""
    # What is computed once and shared: by what it needs, and for propagation by its end.
    needed = {(SIGNALS[name].needs, name == "message") for name in signals}
    return sum(
        _propagation(relevance) + to_weights if needs == "propagation" else _PASSES[needs]
        for needs, to_weights in needed
    )


def _propagation(relevance: RelevanceSection) -> float:
    if relevance.rule == "integrated-gradients":
        # The image as it is, and there and back for every step towards it.
        return 1.0 + 2.0 * relevance.steps
    return _PROPAGATION[relevance.rule]
