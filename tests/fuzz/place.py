"""A folder with an honest network, and the traps that a path can lead to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.networks.cards import CARD_YAML, write_checkpoint

__all__ = ["SYSTEM", "place"]

SYSTEM = """\
model: {network: tiny.yaml}
data: {calibration: 30, validation: 40, test: 50, seed: 0}
split: {cut: pool1}
pruning: {ratio: 0.5, criterion: flexrel-paper}
codec: {dtype: uint8, compress: zstd}
edge: {device: raspberry-pi-4, count: 3}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s, delay: 5 ms}
server: {device: t4, workers: 2}
workload: {rate: 12 /s, duration: 20 s}
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_checkpoint(folder, b"some weights", CARD_YAML)
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    (folder / "scenario.yaml").write_text(SYSTEM)
    return folder
