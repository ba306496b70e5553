"""What a check finds wrong with the samples that a scenario asks for."""

import sys
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.datasets import DATASETS, fashion, held_out
from flexrel_sim.errors import DatasetError, ScenarioError
from flexrel_sim.measure import Checked, check
from flexrel_sim.scenario import load_scenario
from tests.builders import write_yaml
from tests.datasets.files import random_images
from tests.networks.cards import CARD_YAML, write_checkpoint

TEXT = """\
model: {network: tiny.yaml}
data:
  calibration: 30
  validation: 40
  test: 50
  seed: 0
split: {cut: pool1}
pruning: {ratio: 0.5}
edge: {device: raspberry-pi-4}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s}
server: {device: t4}
workload: {rate: 12 /s}
"""

# A check hashes a checkpoint, and does not load it.
CHECKPOINT = b"some weights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path, CHECKPOINT)
    return tmp_path


def checked(folder: Path, *changes: tuple[str, str], need_data: bool = True) -> Checked:
    text = TEXT
    for before, after in changes:
        text = text.replace(before, after)
    return check(load_scenario(write_yaml(folder, text)), need_data=need_data)


def faults(folder: Path, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(ScenarioError, match=": ") as caught:
        checked(folder, *changes)
    return str(caught.value).replace(str(folder / "scenario.yaml"), "FILE").splitlines()


def data(text: str) -> tuple[str, str]:
    return "seed: 0", text


def hide_fashion(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FLEXREL_DATA", "FLEXREL_HIDE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fashion, "_PACKAGED", folder)


def write_own(file: Path, count: int = 300, seed: int = 0) -> None:
    images = random_images(count, (8, 8), seed)
    np.savez(file, images=images, labels=np.arange(count) % 10)


def test_a_users_dataset_beside_the_scenario_is_measured_under_its_digest(folder: Path) -> None:
    write_own(folder / "own.npz")
    (spec,) = checked(folder, data("dataset: own.npz")).specs
    assert spec.operating_point["data"]["dataset"] == "own.npz"
    assert spec.provenance["dataset_sha256"] == spec.dataset.digest != ""
    (again,) = checked(folder, data("dataset: own.npz")).specs
    assert again.key == spec.key
    write_own(folder / "own.npz", seed=1)
    (changed,) = checked(folder, data("dataset: own.npz")).specs
    assert changed.key != spec.key
    assert changed.network_key != spec.network_key


def test_a_dataset_of_the_catalogue_has_no_digest(folder: Path) -> None:
    (spec,) = checked(folder).specs
    assert spec.provenance["dataset_sha256"] == ""


def test_a_dataset_that_the_card_names_is_beside_the_card(folder: Path) -> None:
    (folder / "nets").mkdir()
    card = CARD_YAML.replace("dataset: digits", "dataset: own.npz")
    write_checkpoint(folder / "nets", CHECKPOINT, card)
    write_own(folder / "nets" / "own.npz")
    (spec,) = checked(folder, ("tiny.yaml", "nets/tiny.yaml")).specs
    assert spec.dataset.source == str(folder / "nets" / "own.npz")
    assert spec.operating_point["data"]["dataset"] == "own.npz"


def test_a_users_dataset_is_opened_once_for_all_points(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["flexrel_sim.measure.check"]
    opened: list[str] = []
    whole = module.open_dataset

    def counted(name: str, folder: Path) -> object:
        opened.append(name)
        return whole(name, folder)

    monkeypatch.setattr(module, "open_dataset", counted)
    write_own(folder / "own.npz")
    sweep = ("workload:", "sweep: {pruning.ratio: [0.2, 0.4, 0.6]}\nworkload:")
    assert len(checked(folder, data("dataset: own.npz"), sweep).specs) == 3
    assert opened.count("own.npz") == 1


def test_what_is_wrong_with_a_users_dataset_is_a_fault_on_its_line(folder: Path) -> None:
    np.savez(folder / "own.npz", images=random_images(20, (8, 8)), labels=np.arange(20) % 10 - 1)
    (fault,) = faults(folder, data("dataset: own.npz"))
    assert fault.startswith(f"FILE:6: data.dataset: {folder / 'own.npz'}: must have labels that ")
    (fault,) = faults(folder, data("dataset: none.npz"))
    assert fault.startswith(f"FILE:6: data.dataset: {folder / 'none.npz'}: must be an .npz file")


def test_a_dataset_that_is_not_installed_is_a_fault_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_fashion(folder, monkeypatch)
    shown, *sizes = faults(folder, data("dataset: fashion-mnist"))
    assert shown.startswith("FILE:6: data.dataset: fashion-mnist: is not installed, so not checked")
    assert "'apt-get install dataset-fashion-mnist'" in shown
    # What is known without its files is told as well.
    assert [fault.partition(", got ")[0] for fault in sizes] == [
        "FILE:6: data.dataset: must have images of [1, 8, 8] for 'tiny'"
    ]


def test_without_its_files_a_dataset_that_is_not_installed_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_fashion(folder, monkeypatch)
    card = (folder / "tiny.yaml").read_text()
    fits = card.replace("[1, 8, 8]", "[1, 28, 28]").replace("digits", "fashion-mnist")
    (folder / "tiny.yaml").write_text(fits)
    found = checked(folder, ("test: 50", "test: 9000"), need_data=False)
    (warning,) = found.warnings
    assert f"{folder / 'tiny.yaml'}:" in str(warning)
    assert "training.dataset: fashion-mnist: is not installed, so not checked" in str(warning)
    assert len(found.specs) == 1
    # Its sizes are known; how many samples its classes have is not.
    some = data("seed: 0\n  deployment: {classes: [0, 3]}")
    assert len(checked(folder, some, need_data=False).warnings) == 1
    with pytest.raises(ScenarioError, match="must be at most 10000, the samples of"):
        checked(folder, ("test: 50", "test: 9990"), need_data=False)


def test_fine_tuning_on_a_dataset_that_is_not_installed_is_told_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_fashion(folder, monkeypatch)
    write_own(folder / "own.npz")
    card = (folder / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(card.replace("digits", "fashion-mnist"))
    tuned = ("ratio: 0.5", "ratio: 0.5, schedule: {fine_tuning: {epochs: 1}}")
    told = faults(folder, data("dataset: own.npz"), tuned)
    assert any("training.dataset: fashion-mnist: is not installed" in fault for fault in told)


def test_more_samples_than_a_users_dataset_holds_out_are_a_fault(folder: Path) -> None:
    # 28 of every class: 17 to train on, 11 held out.
    write_own(folder / "own.npz", count=280)
    (fault,) = faults(folder, data("dataset: own.npz"))
    assert "must be at most 110, the samples of 'own.npz' that no training saw, got 120" in fault
    assert checked(folder, data("dataset: own.npz"), ("test: 50", "test: 40")).specs


def test_deployed_classes_that_the_dataset_lacks_are_a_fault(folder: Path) -> None:
    (fault,) = faults(folder, data("deployment: {classes: [3, 12, 10]}"))
    rule = "must be classes of 'digits', 0 to 9, got [10, 12]; leave these out"
    assert fault == f"FILE:6: data.deployment.classes: {rule}"


def test_a_class_deployed_twice_is_a_fault(folder: Path) -> None:
    (fault,) = faults(folder, data("deployment: {classes: [3, 5, 3]}"))
    rule = "must name a class once, got [3, 5, 3]; leave out what is repeated"
    assert fault == f"FILE:6: data.deployment.classes: {rule}"


def test_a_single_class_may_be_deployed(folder: Path) -> None:
    few = (("calibration: 30", "calibration: 1"), ("test: 50", "test: 20"))
    assert checked(folder, data("deployment: {classes: [7]}"), *few).specs


@pytest.mark.parametrize(
    ("deployment", "classes"),
    [("seed: 0", 10), ("deployment: {classes: [1, 2, 3]}", 3)],
)
def test_classes_that_calibration_does_not_show_are_a_warning_if_it_is_used(
    folder: Path, deployment: str, classes: int
) -> None:
    count = ("calibration: 30", f"calibration: {classes - 1}")
    (warning,) = checked(folder, data(deployment), count).warnings
    shows = f"data.calibration: shows {classes - 1} of the {classes} classes, and not "
    assert shows in str(warning)
    assert f", got {classes - 1}; ask for more, or name the classes that occur" in str(warning)
    unused = ("ratio: 0.5", "ratio: 0")
    assert checked(folder, data(deployment), count, unused).warnings == []
    assert checked(folder, data(deployment)).warnings == []


def test_no_calibration_is_asked_for_where_nothing_is_pruned_or_chosen(folder: Path) -> None:
    none, unpruned = ("calibration: 30", "calibration: 0"), ("ratio: 0.5", "ratio: 0")
    (spec,) = checked(folder, none, unpruned).specs
    assert spec.scenario.data.calibration == 0
    (fault,) = faults(folder, none)
    assert fault.startswith("FILE:3: data.calibration: must be at least 1: what is pruned or sent")
    channels = ("pruning: {ratio: 0.5}", "codec: {channels: 0.5}")
    (fault,) = faults(folder, none, channels)
    assert fault.startswith("FILE:3: data.calibration: must be at least 1: ")


def test_calibration_samples_that_are_not_used_are_left_out_where_there_are_none(
    folder: Path,
) -> None:
    unpruned = ("ratio: 0.5", "ratio: 0")
    most = ("test: 50", f"test: {DATASETS['digits'].held_out_samples - 40}")
    (spec,) = checked(folder, most, unpruned).specs
    assert spec.scenario.data.calibration == spec.operating_point["data"]["calibration"] == 0
    # Where there is room they stay, so that validation and test are those of what is pruned.
    (spec,) = checked(folder, unpruned).specs
    assert spec.scenario.data.calibration == 30
    (fault,) = faults(folder, most)
    assert "calibration + validation + test must be at most 719" in fault


def own_of(folder: Path, labels: np.ndarray, **images: np.ndarray) -> tuple[str, str]:
    held = images.get("images", random_images(len(labels), (8, 8)))
    np.savez(folder / "own.npz", images=held, labels=labels)
    return data("dataset: own.npz")


def test_labels_are_places_of_outputs_and_need_not_show_them_all(folder: Path) -> None:
    sparse = own_of(folder, np.array([1, 4, 9] * 100))
    (warning,) = checked(folder, sparse).warnings
    assert "data.calibration: shows 3 of the 10 classes, and not 0, 2, 3, 5, 6, 7, 8: " in str(
        warning
    )
    assert checked(folder, sparse, ("ratio: 0.5", "ratio: 0")).warnings == []
    (fault,) = faults(folder, own_of(folder, np.array([1, 4, 10] * 100)))
    assert fault.startswith(
        "FILE:6: data.dataset: must have labels below 10, the indices of the ou"
    )
    assert ", got 10; " in fault


def test_a_part_without_a_class_that_is_held_out_is_a_warning(folder: Path) -> None:
    labels = np.array([0] * 300 + [1] * 2 + list(range(2, 10)) * 30)
    told = [str(one) for one in checked(folder, own_of(folder, labels)).warnings]
    assert any(
        "test: holds no sample of 1 of the 10 classes that are held out, 1: " in one for one in told
    )


def test_a_calibration_that_cannot_be_balanced_is_a_warning(folder: Path) -> None:
    labels = np.array([*range(10)] * 4 + [3] * 500)
    own = own_of(folder, labels)
    balanced = ("workload:", "calibration: {balance: classes}\nworkload:")
    told = [str(one) for one in checked(folder, own, balanced).warnings]
    assert any(
        "calibration.balance: can't be met: validation and test leave" in one for one in told
    )
    assert not any("calibration.balance" in str(one) for one in checked(folder, own).warnings)


def test_images_that_are_in_several_parts_are_a_warning_with_their_number(folder: Path) -> None:
    labels = np.arange(1000) % 10
    repeated = own_of(folder, labels, images=random_images(10, (8, 8))[labels])
    told = [str(one) for one in checked(folder, repeated).warnings]
    assert len(told) == 2
    assert (
        "40 of the 40 validation images and 50 of the 50 test images are byte for byte in"
        in told[0]
    )
    assert "40 validation images are 10 different ones and 50 test images are 10 diff" in told[1]
    assert checked(folder, own_of(folder, labels)).warnings == []


def test_what_training_saw_counts_only_if_the_network_was_trained_on_it(folder: Path) -> None:
    """Of every image there are two, one of which training saw."""
    labels = np.arange(400) % 10
    images = random_images(400, (8, 8))
    np.savez(
        folder / "own.npz", x_train=images, y_train=labels, x_test=images[::-1], y_test=labels[::-1]
    )
    assert checked(folder, data("dataset: own.npz")).warnings == []
    card = CARD_YAML.replace("dataset: digits", "dataset: own.npz")
    write_checkpoint(folder, CHECKPOINT, card)
    (warning,) = checked(folder).warnings
    assert "40 of the 40 validation images and 50 of the 50 test images" in str(warning)


def test_images_of_one_value_are_a_warning_with_their_number(folder: Path) -> None:
    labels = np.arange(300) % 10
    images = random_images(300, (8, 8))
    rest = images * (labels != 3)[:, None, None]
    images[:] = np.arange(300).astype(np.uint8).reshape(-1, 1, 1) // 2 + rest
    told = [str(one) for one in checked(folder, own_of(folder, labels, images=images)).warnings]
    assert any("holds images of one value everywhere: 12 of 120; look" in one for one in told)


def test_more_samples_than_the_deployed_classes_have_are_a_fault_with_their_number(
    folder: Path,
) -> None:
    available = int(np.isin(held_out("digits").labels, [2, 6]).sum())
    (fault,) = faults(
        folder, data("deployment: {classes: [6, 2]}"), ("test: 50", f"test: {available - 69}")
    )
    assert fault == (
        f"FILE:2: data: calibration + validation + test must be at most {available}, the samples of"
        f" 'digits' that no training saw and are of the classes [2, 6], got {available + 1};"
        " ask for fewer"
    )


def test_a_dataset_that_can_not_be_read_when_counted_is_a_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["flexrel_sim.measure.data_check"]

    def broken(*_: object) -> int:
        raise DatasetError("mnist5k: its file is missing")

    monkeypatch.setattr(module, "held_out_count", broken)
    (fault,) = faults(folder, data("deployment: {classes: [6, 2]}"))
    assert fault.endswith(": data.dataset: mnist5k: its file is missing")


def test_a_corruption_is_part_of_the_key_and_the_order_of_classes_is_not(folder: Path) -> None:
    keys = [
        checked(folder, data(f"deployment: {{{deployment}}}")).specs[0].key
        for deployment in (
            "",
            "classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
            "classes: [2, 6, 4]",
            "classes: [6, 4, 2]",
            "corruption: {kind: noise}",
            "corruption: {kind: noise, severity: 3}",
            "corruption: {kind: noise, severity: 4}",
            "corruption: {kind: blur}",
        )
    ]
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[4] == keys[5]
    assert len(set(keys)) == 5
