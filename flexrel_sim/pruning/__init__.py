"""Pruning: criteria (data, no torch), and `pruning.prune`, which applies them."""

from flexrel_sim.pruning.catalogue import CRITERIA, SIGNALS, Criterion, SignalInfo

__all__ = ["CRITERIA", "SIGNALS", "Criterion", "SignalInfo"]
