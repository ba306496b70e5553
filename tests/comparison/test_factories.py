"""Comparisons of networks that a user's function builds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flexrel_sim.comparison import compare, load_comparison
from flexrel_sim.errors import ScenarioError
from flexrel_sim.networks import Consent

NETS = """\
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
"""

CARD = """\
name: own
architecture: {family: factory, input_shape: [1, 8, 8], classes: 10, factory: 'compared_nets:build'}
training: {dataset: digits, epochs: 1, batch_size: 64, learning_rate: 0.01, seed: 3}
"""

COMPARISON = """\
name: own
pairs: [{label: own, network: own.yaml}]
seeds: [0, 1]
data: {calibration: 20, validation: 20, test: 20}
entries:
  - {label: magnitude, pruning: {criterion: magnitude, exclude: [LAYER]}}
  - {label: random, pruning: {criterion: random}}
tracks: [{label: weights, pruning: {granularity: weights}, kept: [0.6, 0.5]}]
losses: [0.1]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own.yaml").write_text(CARD)
    (tmp_path / "compared_nets.py").write_text(NETS)
    (tmp_path / "who.yaml").write_text(COMPARISON.replace("LAYER", "'1'"))
    yield tmp_path
    sys.modules.pop("compared_nets", None)


def kept(folder: Path) -> set[str]:
    """Compare as another process would, and list the curves that are kept."""
    sys.modules.pop("compared_nets", None)
    compare(load_comparison(folder / "who.yaml", Consent()), 1, lambda _, items, __: items)
    return {file.name for file in (folder / "cache").rglob("*.json")}


def test_looking_at_a_comparison_calls_no_factory_and_says_what_was_not_checked(
    folder: Path,
) -> None:
    (folder / "compared_nets.py").write_text("raise SystemExit('ran')\n")
    (folder / "who.yaml").write_text(COMPARISON.replace("LAYER", "none"))
    (warning,) = load_comparison(folder / "who.yaml").warnings
    assert "who.yaml:2: pairs[0].network: has a factory, which is code" in str(warning)
    assert "not checked: " in str(warning)
    assert str(warning).endswith("; 'flexrel-sim compare' checks it before it measures")
    (folder / "own.yaml").write_text(CARD.replace("compared_nets:", "json.tool:"))
    (warning,) = load_comparison(folder / "who.yaml").warnings
    assert "; 'flexrel-sim compare' needs --allow-factory json.tool, or FLEX" in str(warning)


def test_what_only_a_built_network_shows_is_refused_before_training(folder: Path) -> None:
    (folder / "who.yaml").write_text(COMPARISON.replace("LAYER", "none"))
    with pytest.raises(ScenarioError, match=r"exclude.*: must name layers of 'own'.*got 'none'"):
        load_comparison(folder / "who.yaml", Consent())


def test_without_consent_to_its_module_a_comparison_is_refused(folder: Path, monkeypatch) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "compared_nets.py").rename(folder.parent / "compared_nets.py")
    monkeypatch.syspath_prepend(folder.parent)
    with pytest.raises(ScenarioError, match="say --allow-factory compared_nets"):
        load_comparison(folder / "who.yaml", Consent())
    assert load_comparison(folder / "who.yaml", Consent(frozenset(["compared_nets"]))).curves == 4


def test_another_network_under_the_same_name_has_curves_of_its_own(folder: Path) -> None:
    first = kept(folder)
    assert kept(folder) == first
    text = (folder / "compared_nets.py").read_text()
    (folder / "compared_nets.py").write_text(text.replace("nn.ReLU()", "nn.Tanh()"))
    assert len(kept(folder)) == 2 * len(first)
