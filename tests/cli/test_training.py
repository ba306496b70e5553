"""Training from the command line: what learned nothing leaves everything as it was."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flexrel_sim.cli import app
from tests.workspace import own_images


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def changed(card: Path, old: str, new: str) -> Path:
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))
    return card


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("1.0e+20", r"tiny: training diverged in epoch 1: its loss is "),
        ("1.0e-12", r"tiny: learned nothing in 4 epochs: the mean recall of the classes is 0.1"),
    ],
)
def test_a_training_that_fails_never_replaces_a_good_checkpoint(
    workspace: Path, rate: str, said: str
) -> None:
    changed(workspace / "tiny.yaml", "learning_rate: 0.01", f"learning_rate: {rate}")
    before = digests(workspace)
    result = call("train", "tiny.yaml", "--force")
    assert result.exit_code == 1
    assert said in result.stderr
    assert "lower training.learning_rate, or train longer; nothing was written" in result.stderr
    assert digests(workspace) == before


def test_outputs_that_the_data_have_no_class_for_are_told_and_trained_with(
    workspace: Path,
) -> None:
    card = (workspace / "tiny.yaml").read_text().partition("checkpoint:")[0]
    (workspace / "wide.yaml").write_text(
        card.replace("name: tiny", "name: wide").replace("classes: 10", "classes: 12")
    )
    result = call("train", "wide.yaml")
    assert result.exit_code == 0, result.output
    told = (
        "architecture.classes: 'digits' has labels below 10 only; the others learn nothing, got 12"
    )
    assert re.search(rf"^warning: wide.yaml:\d+: {told}; ", result.stderr, re.MULTILINE)


def test_a_bottleneck_is_trained_on_the_users_own_images_as_the_network_was(
    workspace: Path,
) -> None:
    own_images(workspace)
    card = (workspace / "tiny.yaml").read_text().partition("checkpoint:")[0]
    (workspace / "nets").mkdir()
    # Its path starts at the card, not where the command runs.
    (workspace / "nets" / "own.yaml").write_text(
        card.replace("name: tiny", "name: own").replace("digits", "../own.npz")
    )
    assert call("train", "nets/own.yaml").exit_code == 0
    changed(workspace / "small.yaml", "network: tiny.yaml", "network: nets/own.yaml")
    changed(workspace / "small.yaml", "ratio: 0.25", "ratio: 0")
    words = ("small.yaml", "-o", "narrow.yaml", "--channels", "3", "--epochs", "8")
    result = call("train-bottleneck", *words)
    assert result.exit_code == 0, result.output
    assert "on 400 held-out samples" in result.stdout
