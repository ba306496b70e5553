"""Where to cut: costs and bytes in, the best cut out. No torch."""

from flexrel_sim.placement.cuts import BoundaryTensor, Cut, CutTable, Uncounted

__all__ = ["BoundaryTensor", "Cut", "CutTable", "Uncounted"]
