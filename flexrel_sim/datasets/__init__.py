"""Real images that come inside packages or from the user, and who may see which. No torch."""

from flexrel_sim.datasets.catalogue import DATASETS
from flexrel_sim.datasets.deployment import SEVERITIES, corrupted
from flexrel_sim.datasets.info import DatasetInfo
from flexrel_sim.datasets.inspection import Inspection, inspect_draw
from flexrel_sim.datasets.opened import open_dataset
from flexrel_sim.datasets.split import (
    EvaluationSamples,
    Samples,
    evaluation_samples,
    held_out,
    held_out_count,
    train_samples,
)

__all__ = [
    "DATASETS",
    "SEVERITIES",
    "DatasetInfo",
    "EvaluationSamples",
    "Inspection",
    "Samples",
    "corrupted",
    "evaluation_samples",
    "held_out",
    "held_out_count",
    "inspect_draw",
    "open_dataset",
    "train_samples",
]
