"""Cards: what a network is, how it was trained, and the checkpoint that came of it. No torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.vgg import LayerPlan, vgg_plan
from flexrel_sim.scenario import Section, load_model

__all__ = [
    "FAMILIES",
    "Card",
    "CardFile",
    "CheckpointRecord",
    "checkpoint_file",
    "load_card",
    "sha256_of",
    "write_checkpoint_record",
]

FAMILIES: Final = {"vgg": "blocks of 3x3 convolutions and max-pools, then fully connected layers"}
"""Families of networks that a card can describe."""

_Width = Annotated[int, Field(ge=1)]


class Architecture(Section):
    """What the network is made of."""

    family: Literal["vgg"]
    """Family of networks; `flexrel-sim networks` lists them."""
    input_shape: list[_Width] = Field(min_length=3, max_length=3)
    """Channels, height, width of an image."""
    blocks: list[Annotated[list[_Width], Field(min_length=1)]] = Field(min_length=1)
    """Output channels of the convolutions of each block; a max-pool ends a block."""
    classifier: list[_Width]
    """Features of the hidden fully connected layers."""
    classes: int = Field(ge=2)
    """Number of classes."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden feature in training."""

    @model_validator(mode="after")
    def _can_be_planned(self) -> Self:
        try:
            self.plan()
        except ValueError as error:
            remedy = "use fewer blocks or larger images"
            context = {"rule": str(error), "remedy": remedy}
            raise PydanticCustomError("architecture", "{rule}", context) from None
        return self

    def plan(self) -> tuple[LayerPlan, ...]:
        """List the layers in order."""
        channels, height, width = self.input_shape
        return vgg_plan((channels, height, width), self.blocks, self.classifier, self.classes)


class Training(Section):
    """The recipe: Adam with a cosine schedule on cross-entropy."""

    dataset: str
    """Dataset whose training part the network sees; it never sees the held-out part."""
    epochs: int = Field(ge=1)
    """Passes over the training part."""
    batch_size: int = Field(ge=1)
    """Samples per step."""
    learning_rate: float = Field(gt=0)
    """Initial step size."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    seed: int = Field(ge=0)
    """Seed of the initial weights, the order of samples and the dropout."""


class CheckpointRecord(Section):
    """What training gave; written by `flexrel-sim train`."""

    file: str
    """The checkpoint, beside the card."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Hash of the checkpoint."""
    held_out_accuracy: float = Field(ge=0, le=1)
    """Accuracy on all held-out samples."""
    held_out_samples: int = Field(ge=1)
    """How many those are."""
    torch: str
    """Version of torch that trained it."""
    reproduce: str
    """Command that trains it again."""


class Card(Section):
    """A network's card."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the network."""
    architecture: Architecture
    """What the network is made of."""
    training: Training
    """How it is trained."""
    checkpoint: CheckpointRecord | None = None
    """What training gave."""

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Where the network can be cut: after any layer but the last."""
        return tuple(layer.name for layer in self.architecture.plan()[:-1])

    @property
    def prunable(self) -> tuple[str, ...]:
        """Layers whose weights can be pruned."""
        return tuple(
            layer.name for layer in self.architecture.plan() if layer.kind in ("conv2d", "linear")
        )

    def prunable_units(self, granularity: Literal["weights", "filters"]) -> dict[str, int]:
        """Count what can be removed of each layer; the last layer's filters are the answers."""
        layers = [layer for layer in self.architecture.plan() if layer.outputs]
        if granularity == "filters":
            return {layer.name: layer.outputs for layer in layers[:-1]}
        return {layer.name: layer.weights for layer in layers}


@dataclass(frozen=True)
class CardFile:
    """A card and where it was read from."""

    file: Path
    card: Card

    @property
    def checkpoint(self) -> Path:
        """Where its checkpoint is, or belongs."""
        record = self.card.checkpoint
        return self.file.parent / (record.file if record else f"{self.card.name}.safetensors")


def load_card(file: Path) -> CardFile:
    """Read a card.

    Parameters
    ----------
    file
        A YAML file.

    Returns
    -------
    CardFile
        The card.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    return CardFile(file, load_model(Card, file))


def checkpoint_file(card_file: CardFile) -> Path:
    """Find a card's checkpoint, and make sure that it is the one the card records.

    Parameters
    ----------
    card_file
        The card.

    Returns
    -------
    pathlib.Path
        The checkpoint.

    Raises
    ------
    CheckpointError
        If it is missing, or its hash is not the recorded one (truncated, changed, or swapped).
    """
    file, record = card_file.checkpoint, card_file.card.checkpoint
    train = f"train it with 'flexrel-sim train {card_file.file}'"
    if record is None:
        raise CheckpointError(f"{card_file.file}: checkpoint: is not recorded; {train}")
    if not file.is_file():
        raise CheckpointError(f"{file}: checkpoint: is missing; restore it, or {train}")
    if sha256_of(file) != record.sha256:
        raise CheckpointError(
            f"{file}: checkpoint: is truncated or not the file on its card"
            f" ({file.stat().st_size:,} bytes, another sha256); restore it, or"
            f" {train[:-1]} --force'"
        )
    return file


def write_checkpoint_record(card_file: CardFile, record: CheckpointRecord) -> None:
    """Write the ``checkpoint`` section of a card, and leave the rest as its author wrote it.

    Parameters
    ----------
    card_file
        The card; its checkpoint section is its last.
    record
        What to write.
    """
    text = card_file.file.read_text(encoding="utf-8")
    kept = text.partition("\ncheckpoint:")[0].rstrip("\n")
    data: dict[str, Any] = {"checkpoint": record.model_dump()}
    section = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    card_file.file.write_text(f"{kept}\n{section}", encoding="utf-8")


def sha256_of(file: Path) -> str:
    """Hash a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
