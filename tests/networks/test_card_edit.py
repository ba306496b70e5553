from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from flexrel_sim.errors import CheckpointError, InputError
from flexrel_sim.networks import (
    CheckpointRecord,
    checkpoint_file,
    checkpoint_to_write,
    load_card,
    with_record,
    write_checkpoint_record,
)
from tests.networks.cards import CARD_YAML, record_for, write_card

ARCHITECTURE = """\
architecture:
    family: vgg      # small
    input_shape: [1, 8, 8]
    blocks:
      - [6]
      - [8]
    classifier: [16]
    classes: 10
"""

CHECKPOINT = f"""\
checkpoint:
    file: "own.safetensors"   # mine
    sha256: {"b" * 64}
"""

TRAINING = """
# How it is trained.
training: {dataset: digits, epochs: 4, batch_size: 32, learning_rate: 1.0e-2, seed: 3}
# The end.
"""

BLOCK = f"# A card.\nname: 'tiny'   # its name\n{CHECKPOINT}{TRAINING}{ARCHITECTURE}"

FLOW = (
    "{name: tiny, architecture: {family: vgg, input_shape: [1, 8, 8], blocks: [[6], [8]],"
    " classifier: [16], classes: 10}}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        FLOW,
        "---\n" + BLOCK,
        BLOCK.replace("\n", "\r\n"),
        f"name: tiny\n{ARCHITECTURE}{TRAINING}{CHECKPOINT}",
        f"name: tiny\n{ARCHITECTURE}checkpoint: {{file: a.safetensors, sha256: {'c' * 64}}}\n",
    ],
)
def test_all_but_the_record_stays_as_its_author_wrote_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(text.encode())
    record = record_for(b"x", file="new.safetensors")
    write_checkpoint_record(load_card(file), record)
    after = file.read_bytes().decode()
    assert load_card(file).card.checkpoint == record
    old, new = yaml.safe_load(text), yaml.safe_load(after)
    assert {**old, "checkpoint": 0} == {**new, "checkpoint": 0}
    section = re.compile(r"checkpoint:\r?\n( .*(\r?\n|$))+|,? ?checkpoint: \{.*?\}")
    if text != FLOW:
        assert section.sub("", after).rstrip("\r\n") == section.sub("", text).rstrip("\r\n")
    assert after.count("\r\n") in {0, after.count("\n")}
    assert ("# mine" in text) == ("# mine" in after)
    write_checkpoint_record(load_card(file), record)
    assert file.read_bytes().decode() == after


def test_a_card_that_can_not_be_edited_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card_file = write_card(tmp_path)
    before = card_file.file.read_bytes()
    monkeypatch.setattr(
        "flexrel_sim.networks.card_edit._edited", lambda *_: "name: other\ncheckpoint: {}\n"
    )
    with pytest.raises(InputError, match="can't be edited .* record the checkpoint yourself: {che"):
        write_checkpoint_record(card_file, record_for(b"x"))
    assert card_file.file.read_bytes() == before


def test_a_comment_that_would_be_lost_is_a_reason_to_refuse(tmp_path: Path) -> None:
    section = f"checkpoint:\n  # where\n  file: a.safetensors\n  sha256: {'c' * 64}\n"
    card_file = write_card(tmp_path, CARD_YAML + section)
    record = record_for(b"x")
    try:
        after = with_record(card_file, record).decode()
    except InputError:
        return
    assert "# where" in after


def test_a_comment_after_the_section_stays_where_its_last_key_goes(tmp_path: Path) -> None:
    section = f"checkpoint:\n  file: a.safetensors\n  sha256: {'c' * 64}\n  torch: '2'\n"
    card_file = write_card(tmp_path, f"{section}# An author's own words.\n{CARD_YAML}")
    record = CheckpointRecord(file="b.safetensors", sha256="d" * 64)
    after = with_record(card_file, record).decode()
    kept = (
        section.replace("a.safe", "b.safe")
        .replace("c" * 64, "d" * 64)
        .replace("  torch: '2'\n", "")
    )
    assert after == f"{kept}# An author's own words.\n{CARD_YAML}"


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("../own.safetensors", "must be in the card's folder to be trained"),
        ("/own.safetensors", "must be in the card's folder to be trained"),
        ("link/own.safetensors", "must be in the card's folder to be trained"),
        ("own.pt", "must be a .safetensors file to be trained, got 'own.pt'"),
    ],
)
def test_training_writes_into_the_cards_folder_and_no_other_kind(
    tmp_path: Path, file: str, told: str
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    text = f"{CARD_YAML}checkpoint: {{file: {file}, sha256: {'c' * 64}}}\n"
    card_file = write_card(tmp_path / "home", text)
    with pytest.raises(InputError, match=told):
        checkpoint_to_write(card_file)


def test_a_checkpoint_below_the_cards_folder_may_be_written(tmp_path: Path) -> None:
    text = f"{CARD_YAML}checkpoint: {{file: runs/own.safetensors, sha256: {'c' * 64}}}\n"
    card_file = write_card(tmp_path, text)
    assert checkpoint_to_write(card_file) == tmp_path / "runs" / "own.safetensors"


@pytest.mark.parametrize(
    ("reproduce", "pruned", "remedy"),
    [
        ("flexrel-sim train tiny.yaml", False, r"restore it, or train .*--force'$"),
        (None, False, r"restore it, or record its own sha256 on the card"),
        ("flexrel-sim train tiny.yaml", True, r"restore it$"),
    ],
)
def test_training_is_only_proposed_for_a_checkpoint_that_training_wrote(
    tmp_path: Path, reproduce: str | None, pruned: bool, remedy: str
) -> None:
    record = CheckpointRecord(file="own.safetensors", sha256="d" * 64, reproduce=reproduce)
    card_file = write_card(tmp_path, CARD_YAML + ("pruned: true\n" if pruned else ""))
    write_checkpoint_record(card_file, record)
    (tmp_path / "own.safetensors").write_bytes(b"mine")
    with pytest.raises(CheckpointError, match=remedy):
        checkpoint_file(load_card(card_file.file))
