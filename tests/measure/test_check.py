from pathlib import Path

import pytest
import yaml
from safetensors.torch import save

from flexrel_sim.errors import ScenarioError
from flexrel_sim.measure import Checked, check, make_spec
from flexrel_sim.networks import Card, load_card
from flexrel_sim.networks.build import build_network
from flexrel_sim.scenario import load_scenario
from tests.builders import write_yaml
from tests.networks.cards import CARD_YAML, write_card, write_checkpoint

TEXT = """\
model:
  network: tiny.yaml
data: {calibration: 30, validation: 40, test: 50}
split:
  cut: pool1
pruning:
  ratio: 0.5
edge: {device: raspberry-pi-4}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s}
server: {device: t4}
workload: {rate: 12 /s}
"""


def checked(folder: Path, text: str = TEXT) -> Checked:
    return check(load_scenario(write_yaml(folder, text)))


def faults(folder: Path, text: str) -> list[str]:
    file = write_yaml(folder, text)
    scenario = load_scenario(file)
    with pytest.raises(ScenarioError, match=": ") as caught:
        check(scenario)
    return str(caught.value).replace(str(file), "FILE").splitlines()


def test_a_sound_scenario_gives_its_spec_and_no_warning(folder: Path) -> None:
    found = checked(folder)
    scenario = load_scenario(folder / "scenario.yaml").scenario
    assert found.specs == [make_spec(scenario, load_card(folder / "tiny.yaml"))]
    assert found.warnings == []


def test_every_point_of_a_sweep_gives_a_spec_in_order(folder: Path) -> None:
    found = checked(folder, TEXT + "sweep: {split.cut: [server, fc1, edge]}\n")
    assert [spec.scenario.split.cut for spec in found.specs] == ["server", "fc1", "edge"]


def test_the_shipped_quickstart_is_sound_and_without_warnings() -> None:
    file = load_scenario(Path(__file__).parents[2] / "scenarios" / "quickstart.yaml")
    found = check(file)
    assert len(found.specs) == len(file.points)
    assert found.warnings == []


def test_all_that_is_wrong_is_reported_at_once_each_on_its_line(folder: Path) -> None:
    text = """\
model: {network: tiny.yaml}
data:
  validation: 400
  test: 300
split:
  cut: pol1
pruning:
  criterion: magnitde
  ratio: 0.7
  min_kept: 0.4
  exclude:
    - conv2-1
edge: {device: raspberry-pi-4}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s}
server: {device: t4}
workload: {rate: 12 /s}
"""
    found = faults(folder, text)
    assert len(found) == 5
    by_path = {fault.split(": ")[1]: fault for fault in found}
    assert by_path["data"].startswith("FILE:2: ")
    assert "at most 719" in by_path["data"]
    assert "got 900" in by_path["data"]
    assert by_path["split.cut"].startswith("FILE:6: ")
    assert "got 'pol1'; did you mean 'pool1'? known: " in by_path["split.cut"]
    assert by_path["pruning.criterion"].startswith("FILE:8: ")
    assert "did you mean 'magnitude'?" in by_path["pruning.criterion"]
    assert by_path["pruning.ratio"].startswith("FILE:9: ")
    assert (
        "every layer keeps pruning.min_kept, and a unit at least, got 0.7"
        in by_path["pruning.ratio"]
    )
    assert by_path["pruning.exclude"].startswith("FILE:11: ")
    assert "got 'conv2-1'; did you mean 'conv2_1'?" in by_path["pruning.exclude"]


def test_an_unknown_network_does_not_hide_other_faults(folder: Path) -> None:
    network, criterion = faults(
        folder,
        TEXT.replace("tiny.yaml", "tinny.yaml").replace("  ratio", "  criterion: x\n  ratio"),
    )
    assert network.startswith("FILE:2: model.network: must be the card of a network, got ")
    assert "relative to this file; did you mean 'tiny.yaml'?" in network
    assert criterion.startswith("FILE:7: pruning.criterion: unknown criterion, got 'x'; known: ")


def test_an_unknown_network_in_a_folder_without_cards_is_asked_for_by_path(folder: Path) -> None:
    (fault,) = faults(folder, TEXT.replace("tiny.yaml", "nowhere/tiny.yaml"))
    assert fault.endswith("give the path of a card, relative to this file")


def test_a_network_is_looked_at_once_however_many_points_use_it(folder: Path) -> None:
    text = TEXT.replace("tiny.yaml", "none.yaml") + "sweep: {pruning.ratio: [0, 0.1, 0.2]}\n"
    assert len(faults(folder, text)) == 1


def test_faults_of_the_card_are_placed_in_the_card(folder: Path) -> None:
    card = folder / "tiny.yaml"
    card.write_text(CARD_YAML.replace("classes: 10", "classes: 1"), encoding="utf-8")
    (fault,) = faults(folder, TEXT)
    assert fault.startswith(f"{card}:8: architecture.classes: ")


@pytest.mark.parametrize("damage", ["missing", "truncated", "never trained"])
def test_a_checkpoint_that_cannot_be_used_is_a_fault_with_its_remedy(
    folder: Path, damage: str
) -> None:
    checkpoint = folder / "tiny.safetensors"
    named = checkpoint
    if damage == "missing":
        checkpoint.unlink()
    elif damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    else:
        named = write_card(folder).file
    (fault,) = faults(folder, TEXT)
    assert fault.startswith(f"FILE:2: model.network: {named}: checkpoint: is ")
    assert "train it with 'flexrel-sim train" in fault


def test_an_unknown_dataset_is_a_fault_with_the_nearest_known(folder: Path) -> None:
    (fault,) = faults(folder, TEXT.replace("test: 50", "test: 50, dataset: digit"))
    assert fault.startswith("FILE:3: data.dataset: unknown dataset, got 'digit'; ")
    assert "did you mean 'digits'?" in fault


def test_data_that_the_card_names_and_that_is_gone_is_a_fault_of_the_card(folder: Path) -> None:
    card = folder / "tiny.yaml"
    text = card.read_text(encoding="utf-8").replace("dataset: digits", "dataset: own/digits.npz")
    card.write_text(text, encoding="utf-8")
    (fault,) = faults(folder, TEXT)
    assert fault.startswith(f"{card}:10: training.dataset: {folder / 'own/digits.npz'}: must be an")


def test_a_dataset_of_other_images_is_a_fault(folder: Path) -> None:
    (fault,) = faults(folder, TEXT.replace("test: 50", "test: 50, dataset: mnist5k"))
    assert fault.startswith("FILE:3: data.dataset: must have images of [1, 8, 8] for 'tiny'")
    assert fault.endswith("use 'digits', which it was trained on")


def test_a_dataset_of_more_classes_than_outputs_is_a_fault(folder: Path) -> None:
    card = folder / "tiny.yaml"
    text = card.read_text(encoding="utf-8").replace("classes: 10", "classes: 8")
    card.write_text(text, encoding="utf-8")
    (fault,) = faults(folder, TEXT)
    assert "data.dataset: must have labels below 8, the indices of the outputs of 'tiny'" in fault


def test_excluding_every_layer_is_a_fault(folder: Path) -> None:
    text = TEXT.replace("ratio:", "exclude: [conv1_1, conv1_2, conv2_1, fc1, fc2]\n  ratio:")
    (fault,) = faults(folder, text)
    assert fault.startswith("FILE:7: pruning.exclude: must leave a layer to prune; list fewer")


def test_excluding_every_layer_with_removable_filters_is_a_fault(folder: Path) -> None:
    # The last layer's filters are the answers: leaving it alone leaves nothing to remove.
    exclude = "exclude: [conv1_1, conv1_2, conv2_1, fc1]\n  granularity: filters\n  ratio:"
    (fault,) = faults(folder, TEXT.replace("ratio:", exclude))
    assert fault.startswith("FILE:7: pruning.exclude: must leave a layer to prune")


def test_ratio_and_min_kept_may_fill_the_whole(folder: Path) -> None:
    assert len(checked(folder, TEXT.replace("ratio:", "min_kept: 0.5\n  ratio:")).specs) == 1


def test_a_delta_that_has_no_effect_is_warned_of_once(folder: Path) -> None:
    text = TEXT.replace("ratio:", "delta: 0.3\n  criterion: magnitude\n  ratio:")
    found = checked(folder, text + "sweep: {split.cut: [pool1, pool2]}\n")
    assert len(found.specs) == 2
    (warning,) = found.warnings
    assert str(warning) == (
        f"{folder / 'scenario.yaml'}:7: pruning.delta: has no effect on criterion 'magnitude',"
        " got 0.3; remove it, or use 'flexrel-paper'"
    )


def test_a_delta_that_has_an_effect_is_not_warned_of(folder: Path) -> None:
    assert checked(folder, TEXT.replace("ratio:", "delta: 0.3\n  ratio:")).warnings == []


def test_a_fault_in_a_sweep_is_placed_at_the_swept_value(folder: Path) -> None:
    (fault,) = faults(folder, TEXT + "sweep:\n  split.cut: [pool1, nowhere]\n")
    assert fault.startswith("FILE:13: sweep.split.cut")
    assert "must be a boundary of 'tiny', got 'nowhere'" in fault


def residual(folder: Path, architecture: str = "") -> None:
    """Put a network of blocks in the place of the chain."""
    architecture = architecture or (
        "{family: resnet, input_shape: [1, 8, 8], classes: 10, stem: small, widths: [4],"
        " blocks: [2]}"
    )
    data = yaml.safe_load(CARD_YAML) | {"architecture": yaml.safe_load(architecture)}
    (folder / "tiny.safetensors").unlink()
    network = build_network(Card.model_validate(data).architecture)
    tensors = {name: tensor.float() for name, tensor in network.state_dict().items()}
    write_checkpoint(folder, save(tensors), yaml.safe_dump(data))


@pytest.mark.parametrize("cut", ["layer1.0", "layer1.1.bn1", "layer1.1.add"])
def test_a_block_and_all_that_is_in_it_name_cuts(folder: Path, cut: str) -> None:
    residual(folder)
    assert len(checked(folder, TEXT.replace("cut: pool1", f"cut: {cut}")).specs) == 1


def test_a_block_that_ends_the_network_or_does_not_exist_is_no_cut(folder: Path) -> None:
    residual(folder)
    (fault,) = faults(folder, TEXT.replace("cut: pool1", "cut: layer1.1.relu3"))
    assert "did you mean 'layer1.1.relu2'?" in fault
    (fault,) = faults(folder, TEXT.replace("cut: pool1", "cut: fc"))
    assert fault.endswith("it is the last layer: write 'edge' to keep the whole network there")


def test_filters_of_a_transformer_are_refused_and_its_weights_are_not(folder: Path) -> None:
    residual(
        folder,
        "{family: vit, input_shape: [1, 8, 8], classes: 10, patch: 4, width: 8, depth: 1,"
        " heads: 2, hidden: 8}",
    )
    text = TEXT.replace("cut: pool1", "cut: tokens")
    assert len(checked(folder, text).specs) == 1
    (fault,) = faults(folder, text.replace("ratio:", "granularity: filters\n  ratio:"))
    assert fault.startswith("FILE:7: pruning.granularity: can't be 'filters' for a vision trans")
