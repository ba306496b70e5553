"""A small network of digits, trained once per process, and its card."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from torch import nn

from flexrel_sim.datasets import DATASETS
from flexrel_sim.networks import (
    Card,
    CardFile,
    CheckpointRecord,
    load_card,
    write_checkpoint_record,
)
from flexrel_sim.networks.build import load_network
from flexrel_sim.training import TrainedNetwork, train_network

SHIPPED_CARD = Path(__file__).parents[2] / "models" / "vgg-mnist5k.yaml"

CARD_YAML = """\
# An author's own words.
name: tiny
architecture:
  family: vgg
  input_shape: [1, 8, 8]
  blocks: [[4, 6], [8]]  # small on purpose
  classifier: [16]
  classes: 10
  dropout: 0.1
training: {dataset: digits, epochs: 2, batch_size: 32, learning_rate: 0.01, seed: 0}
"""

TINY_LAYERS = (
    *("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"),
    *("conv2_1", "relu2_1", "pool2"),
    *("flatten", "fc1", "relu_fc1", "drop_fc1", "fc2"),
)


def write_card(folder: Path, text: str = CARD_YAML, name: str = "tiny.yaml") -> CardFile:
    """Write a card without a checkpoint and read it back."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load_card(file)


def record_for(checkpoint: bytes, **changes: object) -> CheckpointRecord:
    """Describe a checkpoint."""
    values: dict[str, object] = {
        "file": "tiny.safetensors",
        "sha256": hashlib.sha256(checkpoint).hexdigest(),
        "held_out_accuracy": 0.5,
        "held_out_samples": 719,
        "torch": "2.10",
        "reproduce": "flexrel-sim train tiny.yaml",
    }
    return CheckpointRecord.model_validate(values | changes)


def write_checkpoint(folder: Path, checkpoint: bytes, text: str = CARD_YAML) -> CardFile:
    """Write a card with a checkpoint beside it, recorded with its hash."""
    card_file = write_card(folder, text)
    (folder / "tiny.safetensors").write_bytes(checkpoint)
    write_checkpoint_record(card_file, record_for(checkpoint))
    return load_card(card_file.file)


@cache
def trained_tiny() -> TrainedNetwork:
    """Train the small network, once."""
    import yaml

    card = Card.model_validate(yaml.safe_load(CARD_YAML))
    return train_network(card, DATASETS["digits"])


@cache
def _shipped() -> nn.Sequential:
    network = load_network(load_card(SHIPPED_CARD))
    assert isinstance(network, nn.Sequential)
    return network


def shipped_network() -> nn.Sequential:
    """Give the shipped network; nobody may change it."""
    return _shipped()
