"""Cards of learned bottlenecks: what one is, and which cut it was trained for. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from flexrel_sim.errors import CheckpointError
from flexrel_sim.files import write_whole
from flexrel_sim.networks.card import CheckpointRecord
from flexrel_sim.reading import is_file, sha256_of
from flexrel_sim.scenario import Section, load_model
from flexrel_sim.scenario.section import SEED_MAX

__all__ = [
    "BottleneckCard",
    "BottleneckFile",
    "BottleneckTraining",
    "load_bottleneck_card",
    "write_bottleneck_card",
]


class BottleneckTraining(Section):
    """The recipe: Adam with a cosine schedule; the network stays as it is."""

    epochs: int = Field(20, ge=1, le=10_000)
    """Passes over the training part of the network's own dataset."""
    batch_size: int = Field(64, ge=1)
    """Samples per step."""
    learning_rate: float = Field(0.003, gt=0)
    """Initial step size."""
    seed: int = Field(0, ge=0, le=SEED_MAX)
    """Seed of the initial weights and of the order of samples."""


class BottleneckCard(Section):
    """An encoder and a decoder for one cut of one network."""

    network: str
    """Name of the network."""
    cut: str
    """Where it is cut."""
    boundary: list[Annotated[int, Field(ge=1, le=1 << 24)]] = Field(min_length=1, max_length=3)
    """Shape of the tensor there."""
    channels: int = Field(ge=1, le=1 << 16)
    """Channels, or numbers of a vector, that cross the link instead."""
    stride: int = Field(1, ge=1, le=1 << 10)
    """Every how many pixels, in both directions, it keeps one."""
    training: BottleneckTraining = BottleneckTraining()
    """How it is trained."""
    trained_for: str = Field(pattern="^[0-9a-f]{64}$")
    """Hash of network, pruning and cut: another network needs another bottleneck."""
    checkpoint: CheckpointRecord
    """Its weights."""


@dataclass(frozen=True)
class BottleneckFile:
    """A card and where it was read from."""

    file: Path
    card: BottleneckCard

    @property
    def checkpoint(self) -> Path:
        """Where its weights are."""
        return self.file.parent / self.card.checkpoint.file


def load_bottleneck_card(file: Path) -> BottleneckFile:
    """Read the card of a bottleneck.

    Parameters
    ----------
    file
        A YAML file.

    Returns
    -------
    BottleneckFile
        The card, whose checkpoint is the one that it records.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    CheckpointError
        If the weights are missing, or others.
    """
    found = BottleneckFile(file, load_model(BottleneckCard, file))
    weights, remedy = found.checkpoint, "train it again with 'flexrel-sim train-bottleneck'"
    if not is_file(weights):
        raise CheckpointError(f"{weights}: is missing; {remedy}")
    if sha256_of(weights, remedy, CheckpointError) != found.card.checkpoint.sha256:
        raise CheckpointError(f"{weights}: is not the checkpoint that {file} records; {remedy}")
    return found


def write_bottleneck_card(file: Path, card: BottleneckCard) -> None:
    """Write a card, all of it or nothing."""
    content = card.model_dump(mode="json", exclude_none=True)
    write_whole(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
