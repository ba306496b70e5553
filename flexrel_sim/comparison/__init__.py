"""Comparisons: many criteria on many networks and seeds. `comparison.measure` alone needs torch."""

from flexrel_sim.comparison.check import ComparisonFile, load_comparison
from flexrel_sim.comparison.result import Comparison, Curve, Saving, load_curves
from flexrel_sim.comparison.run import compare
from flexrel_sim.comparison.schema import ComparisonScenario

__all__ = [
    "Comparison",
    "ComparisonFile",
    "ComparisonScenario",
    "Curve",
    "Saving",
    "compare",
    "load_comparison",
    "load_curves",
]
