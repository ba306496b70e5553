"""What a criterion's evidence costs, in forward passes. No torch."""

from __future__ import annotations

from typing import Final

from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["forward_passes"]

# One to the logits; back to the activations is as much, and to the weights once more.
_PASSES: Final = {"nothing": 0.0, "forward": 1.0, "backward": 3.0, "propagation": 2.0}


def forward_passes(pruning: PruningSection, calibration: int, validation: int) -> float:
    """Count what pruning costs for every calibration sample, in forward passes.

    Parameters
    ----------
    pruning
        What is pruned, and how.
    calibration, validation
        How many samples there are; `delta: auto` runs the validation samples for every try.

    Returns
    -------
    float
        Passes of the criterion's dearest signal, times the steps of the schedule. A z rule
        multiplies by its own weights once more each way, integrated gradients make two passes for
        every step, and message relevance is one weight gradient more. Fine-tuning is not counted.
    """
    if not pruning.prunes:
        return 0.0
    criterion = CRITERIA[pruning.criterion]
    signals = criterion.signals_with(pruning.relevance.form)
    passes = max(_PASSES[need] for need in criterion.needs)
    if "propagation" in criterion.needs:
        if pruning.relevance.rule in ("z-plus", "gamma"):
            passes *= 2
        elif pruning.relevance.rule == "integrated-gradients":
            passes *= pruning.relevance.steps
        passes += "message" in signals
    passes *= pruning.schedule.steps
    if pruning.delta == "auto" and criterion.uses_delta:
        auto = pruning.auto
        tries = len(auto.deltas) * len(auto.normalise or [1]) * len(auto.form or [1])
        passes += tries * len(auto.ratios) * validation / calibration
    return passes
