"""What commands do with a scenario or comparison, in calls; each loads what is heavy itself."""

from flexrel_sim.api.networks import Cuts, TrainedBottleneck, cuts, export, prune, train_bottleneck
from flexrel_sim.api.studies import Run, compare, run, silent, simulate

__all__ = [
    "Cuts",
    "Run",
    "TrainedBottleneck",
    "compare",
    "cuts",
    "export",
    "prune",
    "run",
    "silent",
    "simulate",
    "train_bottleneck",
]
