"""A folder as a user has it: a small trained network, a scenario, and a cache of its own."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flexrel_sim.datasets import train_samples
from flexrel_sim.networks import (
    CheckpointRecord,
    load_card,
    training_dataset,
    write_checkpoint_record,
)
from flexrel_sim.training import train_network

CARD = """\
name: tiny
architecture:
  family: vgg
  input_shape: [1, 8, 8]
  blocks: [[6], [8]]
  classifier: [16]
  classes: 10
training: {dataset: digits, epochs: 4, batch_size: 32, learning_rate: 0.01, seed: 3}
"""

SCENARIO = """\
name: small
model: {network: tiny.yaml}
data: {calibration: 50, validation: 100, test: 150, seed: 1}
pruning: {criterion: flexrel-paper, delta: 0.3, granularity: filters, ratio: 0.25}
split: {cut: pool1}
codec: {dtype: uint8, compress: zstd}
edge: {device: raspberry-pi-zero-2w}
link: {uplink: 1 Mbit/s, downlink: 10 Mbit/s, delay: 4 ms}
server: {device: t4, workers: 1}
workload: {arrivals: poisson, rate: 40 /s, duration: 4 s}
simulation: {replications: 3, warmup: 0.5 s, seed: 1}
"""

SWEEP = """\
sweep:
  - pruning:
      - {granularity: weights, criterion: flexrel-paper}
      - {granularity: weights, criterion: magnitude, delta: null, normalise: none}
    pruning.ratio: [0, 0.5, 0.9]
  - split.cut: [server, pool1, edge]
    link.uplink: [0.01 Mbit/s, 1 Mbit/s, 4 Mbit/s]
constraints: {accuracy: ">= 0.3"}
"""


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    card_file = folder / "tiny.yaml"
    card_file.write_text(CARD)
    card = load_card(card_file)
    trained = train_network(card.card, training_dataset(card))
    card.checkpoint.write_bytes(trained.checkpoint)
    record = CheckpointRecord(
        file=card.checkpoint.name,
        sha256=hashlib.sha256(trained.checkpoint).hexdigest(),
        held_out_accuracy=trained.held_out_correct / trained.held_out_samples,
        held_out_samples=trained.held_out_samples,
        torch=torch.__version__,
        reproduce="flexrel-sim train tiny.yaml",
    )
    write_checkpoint_record(card, record)
    (folder / "small.yaml").write_text(SCENARIO)
    (folder / "study.yaml").write_text(SCENARIO + SWEEP)
    return folder


def own_images(folder: Path) -> Path:
    """Write 1,000 digits as a user's own file, ``own.npz``."""
    samples = train_samples("digits", 1000)
    images = (255 * samples.images).round().astype(np.uint8)
    np.savez(folder / "own.npz", images=images, labels=samples.labels)
    return folder / "own.npz"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def workspace(
    trained_folder: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "work"
    shutil.copytree(trained_folder, folder)
    monkeypatch.setenv("FLEXREL_CACHE", str(shared_cache))
    monkeypatch.chdir(folder)
    return folder
