from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from flexrel_sim.datasets import held_out
from flexrel_sim.errors import CheckpointError, ScenarioError
from flexrel_sim.networks import (
    CardFile,
    checkpoint_file,
    load_card,
    write_checkpoint_record,
)
from flexrel_sim.networks.answers import count_correct
from flexrel_sim.networks.build import load_network
from tests.networks.cards import (
    CARD_YAML,
    SHIPPED_CARD,
    record_for,
    shipped_network,
    trained_tiny,
    write_card,
    write_checkpoint,
)


@pytest.fixture
def trained(tmp_path: Path) -> CardFile:
    return write_checkpoint(tmp_path, trained_tiny().checkpoint)


def card_faults(folder: Path, text: str) -> list[str]:
    file = folder / "card.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=": ") as caught:
        load_card(file)
    return str(caught.value).replace(str(file), "CARD").splitlines()


def test_a_bad_card_is_refused_with_all_its_faults_on_their_lines(tmp_path: Path) -> None:
    text = (
        CARD_YAML.replace("dropout: 0.1", "dropout: 1.0")
        .replace("classes: 10", "clases: 10")
        .replace("epochs: 2", "epochs: 0")
        .replace("name: tiny", "name: my net")
    )
    faults = card_faults(tmp_path, text)
    assert len(faults) == 5
    found = {fault.split(": ")[1]: fault for fault in faults}
    assert found["architecture.dropout"].startswith("CARD:9: ")
    assert found["architecture.clases"].startswith("CARD:8: ")
    assert "did you mean 'classes'?" in found["architecture.clases"]
    assert found["architecture.classes"].startswith("CARD:3: ")
    assert "is required" in found["architecture.classes"]
    assert found["training.epochs"].startswith("CARD:10: ")
    assert found["name"].startswith("CARD:2: ")


def test_an_unknown_family_is_refused_on_its_line_with_the_other_faults(tmp_path: Path) -> None:
    text = CARD_YAML.replace("family: vgg", "family: vggg").replace("epochs: 2", "epochs: 0")
    family, epochs = card_faults(tmp_path, text)
    assert family.startswith("CARD:4: architecture.family: must be 'vgg', 'torchvision-vgg', ")
    assert "got 'vggg'; did you mean 'vgg'?" in family
    assert epochs.startswith("CARD:10: training.epochs: ")


def test_too_many_pools_are_a_fault_of_the_architecture(tmp_path: Path) -> None:
    text = CARD_YAML.replace("[[4, 6], [8]]", "[[1], [1], [1], [1]]")
    (fault,) = card_faults(tmp_path, text)
    assert fault.startswith("CARD:3: architecture: 4 pools leave nothing of 8x8 pixels")
    assert fault.endswith("; use fewer blocks or larger images")


def test_a_checkpoint_hash_that_is_no_sha256_is_a_fault(tmp_path: Path) -> None:
    record = yaml.safe_dump({"checkpoint": record_for(b"").model_dump() | {"sha256": "abc"}})
    (fault,) = card_faults(tmp_path, CARD_YAML + record)
    assert ": checkpoint.sha256: " in fault


def test_a_new_cards_checkpoint_belongs_beside_it_under_its_name(tmp_path: Path) -> None:
    assert write_card(tmp_path).checkpoint == tmp_path / "tiny.safetensors"


def test_a_recorded_checkpoint_is_the_file_on_the_card(trained: CardFile) -> None:
    assert (
        checkpoint_file(trained) == trained.checkpoint == trained.file.parent / ("tiny.safetensors")
    )


def test_a_card_without_a_checkpoint_is_refused_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    card_file = write_card(tmp_path)
    with pytest.raises(CheckpointError, match="is not recorded; train it with") as caught:
        load_network(card_file)
    assert str(caught.value).startswith(str(card_file.file))
    assert f"'flexrel-sim train {card_file.file}'" in str(caught.value)


def test_a_missing_checkpoint_is_refused_with_its_file_and_remedy(trained: CardFile) -> None:
    trained.checkpoint.unlink()
    with pytest.raises(CheckpointError, match="is missing; restore it, or train it") as caught:
        load_network(trained)
    assert str(caught.value).startswith(str(trained.checkpoint))
    assert f"'flexrel-sim train {trained.file}'" in str(caught.value)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[::-1]])
def test_a_truncated_or_changed_checkpoint_is_refused_with_its_file_and_remedy(
    trained: CardFile, damage: object
) -> None:
    assert callable(damage)
    trained.checkpoint.write_bytes(damage(trained.checkpoint.read_bytes()))
    with pytest.raises(CheckpointError, match="truncated or not the file on its card") as caught:
        load_network(trained)
    assert str(caught.value).startswith(str(trained.checkpoint))
    assert f"restore it, or train it with 'flexrel-sim train {trained.file} --force'" in str(
        caught.value
    )


def test_a_checkpoint_of_another_architecture_is_refused_with_its_file_and_remedy(
    tmp_path: Path,
) -> None:
    text = CARD_YAML.replace("classifier: [16]", "classifier: [17]")
    card_file = write_checkpoint(tmp_path, trained_tiny().checkpoint, text)
    with pytest.raises(CheckpointError, match="does not fit the architecture") as caught:
        load_network(card_file)
    message = str(caught.value)
    assert message.startswith(str(card_file.checkpoint))
    assert f"train it with 'flexrel-sim train {card_file.file} --force'" in message
    assert "fc1.weight" in message
    assert "\n" not in message


@pytest.mark.parametrize("damage", ["architecture", "no tensors", "NaN", "too large"])
@pytest.mark.parametrize(
    ("reproduce", "pruned"),
    [("flexrel-sim train tiny.yaml", False), (None, False), ("flexrel-sim train tiny.yaml", True)],
)
def test_training_is_only_proposed_where_it_replaces_what_it_wrote(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    reproduce: str | None,
    pruned: bool,
) -> None:
    content, text = trained_tiny().checkpoint, CARD_YAML + ("pruned: true\n" if pruned else "")
    if damage == "architecture":
        # A pruned network's layers shrink to the checkpoint's, so none may be larger.
        text = text.replace("classifier: [16]", "classifier: [15]")
    elif damage == "no tensors":
        content = b"no tensors"
    elif damage == "NaN":
        tensors = load(content)
        tensors["conv2_1.bias"][3] = float("nan")
        content = save(tensors)
    else:
        monkeypatch.setenv("FLEXREL_MAX_INPUT", "100 kB")
        content = save({"zeros": torch.zeros(30_000)})
    card_file = write_checkpoint(tmp_path, content, text)
    write_checkpoint_record(card_file, record_for(content, reproduce=reproduce))
    with pytest.raises(CheckpointError, match=": ") as caught:
        load_network(load_card(card_file.file))
    message = str(caught.value)
    train = f"train it with 'flexrel-sim train {card_file.file} --force'"
    assert "; " in message
    assert (train in message) is (reproduce is not None and not pruned)


def test_a_recorded_file_that_is_no_safetensors_is_refused_with_its_remedy(tmp_path: Path) -> None:
    card_file = write_checkpoint(tmp_path, b"not a checkpoint")
    with pytest.raises(CheckpointError, match="can't be read: .*; train it with .* --force"):
        load_network(card_file)


def test_a_checkpoint_with_a_tensor_missing_is_refused(tmp_path: Path) -> None:
    tensors = load(trained_tiny().checkpoint)
    del tensors["fc2.bias"]
    card_file = write_checkpoint(tmp_path, save(tensors))
    with pytest.raises(CheckpointError, match=r"does not fit .*fc2\.bias"):
        load_network(card_file)


def test_a_loaded_network_has_the_checkpoints_weights_and_is_in_evaluation_mode(
    trained: CardFile,
) -> None:
    network = load_network(trained)
    tensors = load(trained_tiny().checkpoint)
    assert not any(module.training for module in network.modules())
    assert network.state_dict().keys() == tensors.keys()
    assert all(torch.equal(network.state_dict()[name], tensors[name]) for name in tensors)


def test_writing_the_record_keeps_the_authors_text_and_replaces_only_the_last_section(
    tmp_path: Path,
) -> None:
    card_file = write_card(tmp_path)
    first = record_for(b"one", held_out_accuracy=0.25)
    write_checkpoint_record(card_file, first)
    once = card_file.file.read_text(encoding="utf-8")
    assert once.startswith(CARD_YAML + "checkpoint:\n")
    assert load_card(card_file.file).card.checkpoint == first
    second = record_for(b"two", held_out_accuracy=1.0, torch="2.10")
    write_checkpoint_record(load_card(card_file.file), second)
    twice = card_file.file.read_text(encoding="utf-8")
    assert twice.startswith(CARD_YAML + "checkpoint:\n")
    assert twice.count("checkpoint:") == 1
    assert load_card(card_file.file).card.checkpoint == second
    write_checkpoint_record(load_card(card_file.file), second)
    assert card_file.file.read_text(encoding="utf-8") == twice


def test_a_comment_about_the_checkpoint_is_no_checkpoint_section(tmp_path: Path) -> None:
    text = CARD_YAML + "# checkpoint: see below\n"
    card_file = write_card(tmp_path, text)
    write_checkpoint_record(card_file, record_for(b"x"))
    assert card_file.file.read_text(encoding="utf-8").startswith(text + "checkpoint:\n")


@settings(max_examples=30)
@given(
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    accuracy=st.floats(0, 1),
    file=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1),
    version=st.from_regex(r"\A[0-9]{1,2}\.[0-9]{1,2}(\.[0-9])?(\+cpu)?\Z"),
)
def test_any_record_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, digest: str, accuracy: float, file: str, version: str
) -> None:
    card_file = write_card(tmp_path_factory.getbasetemp(), name="any.yaml")
    record = record_for(b"", sha256=digest, held_out_accuracy=accuracy, file=file, torch=version)
    write_checkpoint_record(card_file, record)
    assert load_card(card_file.file).card.checkpoint == record


def test_the_shipped_network_is_as_accurate_on_held_out_samples_as_its_card_says() -> None:
    record = load_card(SHIPPED_CARD).card.checkpoint
    assert record is not None
    samples = held_out("mnist5k")
    assert samples.labels.size == record.held_out_samples
    correct = count_correct(
        shipped_network(), torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    )
    assert correct / record.held_out_samples == record.held_out_accuracy
