"""Where to cut: costs and bytes in, the best cut out. No torch."""

from flexrel_sim.placement.best import best_prefix, minimum_cut
from flexrel_sim.placement.cuts import BoundaryTensor, Cut, CutTable, NotEntered, Uncounted
from flexrel_sim.placement.problem import Objective, Problem, Value

__all__ = [
    "BoundaryTensor",
    "Cut",
    "CutTable",
    "NotEntered",
    "Objective",
    "Problem",
    "Uncounted",
    "Value",
    "best_prefix",
    "minimum_cut",
]
