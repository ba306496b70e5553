from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flexrel_sim.comparison import Comparison, compare, load_comparison
from tests.workspace import shared_cache, trained_folder, workspace

__all__ = ["shared_cache", "trained_folder", "workspace"]

COMPARISON = """\
name: who
pairs:
  - {label: tiny, network: tiny.yaml}
  - {label: three classes, network: tiny.yaml, deployment: {classes: [0, 3, 7]}}
seeds: [0, 1]
data: {calibration: 40, validation: 60, test: 80, seed: 1}
entries:
  - {label: flexrel, pruning: {criterion: flexrel}}
  - label: auto
    pruning: {criterion: flexrel-paper, delta: auto, auto: {deltas: [0.2, 0.6], ratios: [0.5, 0.8]}}
  - {label: magnitude, pruning: {criterion: magnitude}}
  - {label: activation, pruning: {criterion: activation}, pairs: [tiny]}
tracks:
  - {label: weights, pruning: {granularity: weights}, measure: bytes, kept: [0.6, 0.3, 0.1]}
  - label: filters
    pruning: {granularity: filters, ratio_of: macs, batch_norm: re-estimate}
    measure: macs
    also: [weights]
    kept: [0.8, 0.5]
    pairs: [tiny]
  - label: tuned
    pruning: {granularity: weights, schedule: {fine_tuning: {epochs: 1, samples: 200}}}
    kept: [0.5, 0.2]
    pairs: [tiny]
    entries: [flexrel, magnitude]
losses: [0.01, 0.1]
claims:
  - {label: family against magnitude, entries: [flexrel, auto], rivals: [magnitude]}
"""


@pytest.fixture(scope="session")
def compared(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(trained_folder, folder / "work")
    (folder / "work" / "who.yaml").write_text(COMPARISON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXREL_CACHE", str(folder / "cache"))
        return compare(load_comparison(folder / "work" / "who.yaml"), 1, lambda _, items, __: items)


@pytest.fixture
def run_app():
    return lambda app, *arguments: CliRunner().invoke(app, list(arguments))
