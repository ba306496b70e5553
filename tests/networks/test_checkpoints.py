"""Checkpoints that users bring: formats that are read, and faults that are named."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load, save_file
from torch import Tensor, nn

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks import Card, CardFile, load_card
from flexrel_sim.networks.build import build_network, load_network
from flexrel_sim.reading import sha256_of
from tests.networks.cards import CARD_YAML, trained_tiny

RECIPE = CARD_YAML.index("training:")
CAME_TRAINED = CARD_YAML[:RECIPE]


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return load(trained_tiny().checkpoint)


def unread(file: Path) -> str:
    """Give the refusal of a file that holds no tensors: its architecture is not to blame."""
    message = refusal(file, f"record a file of tensors on {file.with_suffix('.yaml')}")
    assert "architecture" not in message
    return message


def recorded(file: Path, text: str = CAME_TRAINED) -> CardFile:
    """Write a card by hand beside a user's checkpoint."""
    card = file.with_suffix(".yaml")
    record = f"checkpoint: {{file: {file.name}, sha256: {sha256_of(file, 'mend it')}}}\n"
    card.write_text(text + record, encoding="utf-8")
    return load_card(card)


FITS = "correct the card's architecture, or record the file that fits it"


def refusal(file: Path, remedy: str = FITS) -> str:
    card_file = recorded(file)
    with pytest.raises(CheckpointError, match="checkpoint: ") as caught:
        load_network(card_file)
    message = str(caught.value)
    assert message.startswith(f"{file}: checkpoint: ")
    assert message.endswith(f"; {remedy}")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["own.pt", "own.pth", "own.safetensors", "nested.pt", "legacy.pt"])
def test_a_users_state_dict_is_read_in_every_format(
    tmp_path: Path, tensors: dict[str, Tensor], name: str
) -> None:
    file = tmp_path / name
    if name.endswith(".safetensors"):
        save_file(tensors, file)
    else:
        held: Any = {"state_dict": tensors, "epoch": 3} if name == "nested.pt" else tensors
        torch.save(held, file, _use_new_zipfile_serialization=name != "legacy.pt")
    state = load_network(recorded(file)).state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in tensors.items())


def test_a_pickle_of_more_than_tensors_is_refused_and_never_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    file = tmp_path / "harmful.pt"
    torch.save({"weight": Harmful()}, file)
    assert "is a pickle of more than tensors, and refused: it could run code" in unread(file)
    file.write_bytes(pickle.dumps(Harmful()))
    unread(file)
    assert not (tmp_path / "touched").exists()


def test_a_whole_pickled_network_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    file = tmp_path / "whole.pt"
    torch.save(nn.Linear(2, 2), file)
    said = "save its tensors alone, by torch.save(network.state_dict(), 'weights.pt') or as safe"
    assert said in unread(file)


def test_missing_and_unexpected_keys_are_listed_at_most_six_each(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    file = tmp_path / "keys.pt"
    renamed = {f"module.{key}": tensor for key, tensor in tensors.items()}
    torch.save(renamed, file)
    card = Card.model_validate(yaml.safe_load(CAME_TRAINED))
    first = list(build_network(card.architecture).state_dict())[:6]
    message = refusal(file)
    assert f"(missing: {', '.join(first)} and {len(tensors) - 6} more; " in message
    shown = ", ".join(list(renamed)[:6])
    assert f"unexpected: {shown} and {len(tensors) - 6} more)" in message


def test_a_wrong_shape_is_named_with_both_shapes(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    file = tmp_path / "shape.pt"
    torch.save(tensors | {"fc2.weight": torch.zeros(9, 16)}, file)
    assert "(fc2.weight must be of shape [10, 16], got [9, 16])" in refusal(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_key(
    tmp_path: Path, tensors: dict[str, Tensor], value: float
) -> None:
    tensors["conv2_1.bias"][3] = value
    file = tmp_path / "nan.safetensors"
    save_file(tensors, file)
    message = refusal(file, "train again, or mend them")
    assert message.endswith("has NaN or infinity in conv2_1.bias; train again, or mend them")


def test_whole_numbers_are_no_weights(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    file = tmp_path / "int8.pt"
    torch.save(tensors | {"fc2.bias": torch.zeros(10, dtype=torch.int8)}, file)
    assert "(fc2.bias must be floating point, got torch.int8)" in refusal(file)


@pytest.mark.parametrize(
    ("held", "rule"),
    [
        ([1, 2], "must hold a state dict, got list"),
        ({"epoch": 3, "best": 0.5}, "must hold tensors only, and has others: epoch, best"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, held: object, rule: str) -> None:
    file = tmp_path / "other.pt"
    torch.save(held, file)
    assert rule in unread(file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_of_another_content_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"garbage.{suffix}"
    file.write_bytes(content)
    assert re.search("checkpoint: (can't be read: |is a pickle of more)", unread(file))


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"x")
    assert "must be a .safetensors, .pt or .pth file, got '.h5'; " in unread(file)


def test_counts_of_training_batches_may_be_missing(tmp_path: Path) -> None:
    text = CAME_TRAINED.replace("dropout: 0.1", "batch_norm: true")
    card = Card.model_validate(yaml.safe_load(text))
    state = build_network(card.architecture).state_dict()
    old = {key: tensor for key, tensor in state.items() if not key.endswith("batches_tracked")}
    file = tmp_path / "old.pt"
    torch.save(old, file)
    loaded = load_network(recorded(file, text)).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in old.items())


def test_a_card_that_came_trained_is_never_told_to_train(tmp_path: Path) -> None:
    card = tmp_path / "card.yaml"
    card.write_text(CAME_TRAINED, encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not recorded; record its file and sha256"):
        load_network(load_card(card))
    record = f"checkpoint: {{file: gone.pt, sha256: '{'0' * 64}'}}\n"
    card.write_text(CAME_TRAINED + record, encoding="utf-8")
    with pytest.raises(CheckpointError, match="is missing; restore it$"):
        load_network(load_card(card))
    (tmp_path / "gone.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="another sha256\\); restore it, or record"):
        load_network(load_card(card))
