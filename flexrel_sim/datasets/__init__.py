"""Real images that come inside packages, and who may see which. No torch, no download."""

from flexrel_sim.datasets.catalogue import DATASETS, DatasetInfo, read_raw
from flexrel_sim.datasets.split import (
    EvaluationSamples,
    Samples,
    evaluation_samples,
    held_out,
    train_samples,
)

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "EvaluationSamples",
    "Samples",
    "evaluation_samples",
    "held_out",
    "read_raw",
    "train_samples",
]
