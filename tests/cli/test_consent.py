"""What a card's code may do, as users and attackers meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import flexrel_sim
from flexrel_sim.api import silent
from flexrel_sim.errors import ScenarioError
from flexrel_sim.networks import CONSENT_VARIABLE, consent_to
from flexrel_sim.scenario import load_scenario
from flexrel_sim.study import check_all
from flexrel_sim.study.run import _profiles
from tests.cli.test_app import call, refused

ATTACK = """\
name: own
architecture: {{family: factory, input_shape: [1, 8, 8], classes: 10, factory: '{factory}',
  arguments: {{command: 'touch touched'}}}}
training: {{dataset: digits, epochs: 1, batch_size: 64, learning_rate: 0.01, seed: 3}}
checkpoint: {{file: tiny.safetensors, sha256: {sha256}}}
"""

OWN = """\
from pathlib import Path

from torch import nn

Path("ran").touch()


def build(width=8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9 * width, 10)
    )
"""

CARD = """\
name: own
architecture: {family: factory, input_shape: [1, 8, 8], classes: 10, factory: 'own_nets_cli:build'}
training: {dataset: digits, epochs: 1, batch_size: 64, learning_rate: 0.01, seed: 3}
"""


def attacked(workspace, factory="os:system"):
    sha256 = yaml.safe_load((workspace / "tiny.yaml").read_text())["checkpoint"]["sha256"]
    text = ATTACK.format(factory=factory, sha256=sha256)
    (workspace / "tiny.yaml").write_text(text)


@pytest.mark.parametrize("factory", ["os:system", "posix:system", "subprocess:getoutput"])
def test_checking_a_card_that_names_a_command_runs_nothing_and_says_what_was_not_checked(
    workspace, factory
):
    attacked(workspace, factory)
    module = factory.partition(":")[0]
    result = call("validate", "small.yaml", "study.yaml")
    assert result.exit_code == 0, result.output
    assert (
        "small.yaml:2: model.network: has a factory, which is code and is not run" in result.stderr
    )
    assert "not checked: that it gives a network" in result.stderr
    assert "split.cut 'pool1'" in result.stderr
    assert f"a run needs --allow-factory {module}" in result.stderr
    result = call("networks", ".")
    assert "cuts: not known: tiny.yaml: architecture.factory: is code" in result.stdout
    assert not (workspace / "touched").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "small.yaml", "-o", "out"),
        ("prune", "small.yaml", "-o", "out.safetensors"),
        ("export", "small.yaml", "-o", "out"),
        ("cuts", "small.yaml"),
        ("cuts", "small.yaml", "--set", "pruning.ratio=0"),
        ("train-bottleneck", "small.yaml", "-o", "out.yaml", "--channels", "2"),
        ("train", "tiny.yaml", "--force"),
    ],
)
def test_every_command_that_needs_the_network_asks_for_consent_and_then_for_a_network(
    workspace, words
):
    attacked(workspace)
    told = "architecture.factory: os:system is code that would run with your rights, and there is"
    refused(call(*words), told, "no consent to the module 'os'; where you trust it, say --allow-f")
    refused(call(*words, "--allow-factory", "os"), "os:system must be a class of torch.nn.Module")
    assert not (workspace / "touched").exists()


@pytest.fixture
def own(workspace, monkeypatch, tmp_path):
    """A network in a module that lies elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "own_nets_cli.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    (workspace / "own.yaml").write_text(CARD)
    text = (workspace / "small.yaml").read_text()
    text = text.replace("tiny.yaml", "own.yaml").replace("cut: pool1", "cut: '2'")
    (workspace / "own_small.yaml").write_text(text)
    yield workspace
    sys.modules.pop("own_nets_cli", None)


def test_a_named_module_is_trained_cut_and_pruned_as_any_network_is(own, monkeypatch):
    consent = ("--allow-factory", "own_nets_cli")
    refused(call("train", "own.yaml"), "say --allow-factory own_nets_cli")
    assert not (own / "ran").exists()
    assert call("train", "own.yaml", *consent).exit_code == 0
    assert call("validate", "own_small.yaml").exit_code == 0
    refused(call("run", "own_small.yaml", "-o", "out"), "say --allow-factory own_nets_cli")
    monkeypatch.setenv(CONSENT_VARIABLE, "own_nets_cli")
    assert call("cuts", "own_small.yaml").exit_code == 0
    assert call("prune", "own_small.yaml", "-o", "less.safetensors").exit_code == 0
    assert call("cuts", "own_small.yaml", "--set", "model.network=less.yaml").exit_code == 0
    result = call("prune", "own_small.yaml", "-o", "more.safetensors", "--since", "less.yaml")
    assert "update" in result.stdout, result.output


def test_a_fault_that_only_a_built_network_shows_is_told_before_anything_is_measured(own):
    consent = ("--allow-factory", "own_nets_cli")
    assert call("train", "own.yaml", *consent).exit_code == 0
    wrong = ("--set", "split.cut=pool7")
    assert "not checked" in call("validate", "own_small.yaml").stderr
    result = call("run", "own_small.yaml", "-o", "out", *wrong, *consent)
    refused(result, "--set split.cut: must be a boundary of 'own', got 'pool7'")


def test_help_schema_and_lists_import_no_factory(own):
    (own / "cards").mkdir()
    (own / "own.yaml").rename(own / "cards" / "own.yaml")
    for words in (
        ("--help",),
        ("run", "--help"),
        ("schema",),
        ("networks", "cards"),
        ("criteria",),
    ):
        assert call(*words).exit_code == 0
    assert not (own / "ran").exists()


def test_the_python_interface_asks_as_the_command_line_does_and_keys_follow_the_network(own):
    assert call("train", "own.yaml", "--allow-factory", "own_nets_cli").exit_code == 0
    with pytest.raises(ScenarioError, match="say --allow-factory own_nets_cli"):
        flexrel_sim.run("own_small.yaml", "out")
    done = flexrel_sim.run("own_small.yaml", "out", workers=1, allow_factory=["own_nets_cli"])
    provenance = done.result.points[0].profile.provenance
    assert {"network_sha256", "answers_sha256"} <= set(provenance)


def test_consent_reaches_the_processes_that_measure(own):
    assert call("train", "own.yaml", "--allow-factory", "own_nets_cli").exit_code == 0
    scenario_file = load_scenario(own / "own_small.yaml", {"sweep": {"pruning.ratio": [0.1, 0.3]}})
    specs = check_all(scenario_file, consent_to(["own_nets_cli"])).specs
    (own / "ran").unlink()
    profiles = _profiles(specs, 2, silent)
    assert len(profiles) == 2
    assert (own / "ran").exists()


def test_a_module_beside_the_scenario_runs_from_another_folder_in_two_processes(
    workspace, tmp_path_factory
):
    (workspace / "beside_cli.py").write_text(
        OWN.replace('Path("ran").touch()', "from beside_cli_width import WIDTH").replace(
            "width=8", "width: int = WIDTH"
        )
    )
    (workspace / "beside_cli_width.py").write_text("WIDTH = 8\n")
    (workspace / "own.yaml").write_text(CARD.replace("own_nets_cli", "beside_cli"))
    text = (workspace / "small.yaml").read_text()
    text = text.replace("tiny.yaml", "own.yaml").replace("cut: pool1", "cut: '2'")
    (workspace / "s.yaml").write_text(f"{text}sweep:\n  pruning.ratio: [0.1, 0.3]\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    package = Path(flexrel_sim.__file__).parents[1]
    for words in (
        ("train", workspace / "own.yaml"),
        ("run", workspace / "s.yaml", "-o", elsewhere / "out", "--workers", "2"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "flexrel_sim", *map(str, words)],
            cwd=elsewhere,
            env=os.environ | {"PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_validate_says_that_a_module_is_not_found_and_asks_for_no_consent(workspace):
    attacked(workspace, "none_such:build")
    told = call("validate", "small.yaml").stderr
    assert "its module is not found in" in told
    assert "--allow-factory" not in told
