"""Pruning: criteria (data, no torch), and `pruning.prune`, which applies them."""

from flexrel_sim.pruning.catalogue import CRITERIA, DEFAULT_DELTA, Criterion, Signal

__all__ = ["CRITERIA", "DEFAULT_DELTA", "Criterion", "Signal"]
