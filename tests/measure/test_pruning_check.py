"""Every pruning setting that can't be, or has no effect, is told before any work."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.measure import check
from flexrel_sim.measure.pruning_check import network_faults
from flexrel_sim.networks import CardFile, Outline, outline
from flexrel_sim.networks.build import load_network
from flexrel_sim.networks.outline import outline_of
from flexrel_sim.scenario import load_scenario
from tests.builders import write_yaml
from tests.measure.scenarios import SYSTEM, scenario_of


@pytest.fixture
def folder(tiny: CardFile, tmp_path: Path) -> Path:
    for file in (tiny.file, tiny.checkpoint):
        shutil.copy(file, tmp_path)
    return tmp_path


def write(folder: Path, pruning: dict[str, Any], cut: str = "pool1") -> Path:
    data = SYSTEM | {
        "model": {"network": "tiny.yaml"},
        "data": {"calibration": 30, "validation": 40, "test": 50},
        "split": {"cut": cut},
        "pruning": {"ratio": 0.5} | pruning,
    }
    return write_yaml(folder, yaml.safe_dump(data, sort_keys=False))


def faults(folder: Path, pruning: dict[str, Any], cut: str = "pool1") -> list[str]:
    scenario = load_scenario(write(folder, pruning, cut))
    with pytest.raises(ScenarioError, match=": ") as caught:
        check(scenario)
    return [str(fault).split(": ", 1)[1] for fault in caught.value.faults]


FILTERS = {"granularity": "filters"}
PATTERN = {"pattern": "2:4", "ratio": 0}
AUTO = {"criterion": "flexrel-paper", "delta": "auto"}

WRONG = {
    "criterion of filters": (
        {"criterion": "fpgm"},
        "pruning.criterion: tells filters apart, not weights, got 'fpgm'; set pruning.granularity",
    ),
    "filters counted of weights": (
        {"ratio_of": "filters"},
        "pruning.ratio_of: can't count filters where single weights are removed, got 'filters'; ",
    ),
    "weights counted within layers": (
        FILTERS | {"ratio_of": "weights", "scope": "layer"},
        "pruning.ratio_of: can count weights of filters over the whole network only, got 'weights'",
    ),
    "macs counted among alike layers": (
        FILTERS | {"ratio_of": "macs", "scope": "isomorphic"},
        "pruning.ratio_of: can count macs of filters over the whole network only, got 'macs'; set",
    ),
    "pattern of filters": (
        FILTERS | PATTERN,
        "pruning.pattern: removes single weights, got '2:4'; set pruning.granularity to weights",
    ),
    "pattern with a ratio": (
        {"pattern": "4:8", "ratio": 0.6},
        "pruning.ratio: is 0.5 by the pattern 4:8, got 0.6; remove it, or the pattern",
    ),
    "pattern of macs": (
        PATTERN | {"ratio_of": "macs"},
        "pruning.ratio_of: is of weights in a pattern, got 'macs'; remove it",
    ),
    "pattern in steps": (
        PATTERN | {"schedule": {"steps": 2}},
        "pruning.schedule.steps: must be 1 for a pattern, which is there or not, got 2; set 1",
    ),
    "floor above what a pattern keeps": (
        PATTERN | {"min_kept": 0.7},
        "pruning.min_kept: must be at most 0.5, what the pattern 2:4 keeps, got 0.7; lower it",
    ),
    "a layer's floor above it": (
        PATTERN | {"min_kept": {"fc1": 0.7, "fc2": 0.9}, "exclude": ["fc2"]},
        "pruning.min_kept.fc1: must be at most 0.5, what the pattern 2:4 keeps, got 0.7; lower it",
    ),
    "pattern that fits nowhere": (
        PATTERN | {"exclude": ["conv1_2", "conv2_1", "fc1", "fc2"]},
        "pruning.pattern: fits no layer of 'tiny': none has 4 inputs, got '2:4'; remove it",
    ),
    "floor of an unknown layer": (
        {"min_kept": {"default": 0.1, "fc3": 0.2}},
        "pruning.min_kept: must name layers of 'tiny' that have weights, got 'fc3'; did you mean",
    ),
    # 36 + 216 + 432 + 512 + 160 weights; all of fc1 and one of each other layer stay.
    "floors out of reach": (
        {"ratio": 0.9, "min_kept": {"default": 0.0, "fc1": 1.0}},
        "pruning.ratio: must be at most 0.619: every layer keeps pruning.min_kept",
    ),
    "exclusion of an unknown layer": (
        {"exclude": ["relu1_1"]},
        "pruning.exclude: must name layers of 'tiny' that have weights, got 'relu1_1'; known",
    ),
    "auto without what to keep": (
        AUTO | {"auto": {"aim": "accuracy"}},
        "pruning.auto.accuracy: is required by the aim 'accuracy'; give the validation accuracy",
    ),
    "channels kept and removed": (
        {"cut_ratio": 0.5, "exclude": ["conv1_2"]},
        "pruning.cut_ratio: removes filters of 'conv1_2', which pruning.exclude keeps, got 0.5; ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_one_fault_with_its_place_and_remedy(folder: Path, name: str) -> None:
    pruning, expected = WRONG[name]
    (fault,) = faults(folder, pruning)
    assert fault.startswith(expected)


@pytest.mark.parametrize("cut", ["server", "edge"])
def test_no_channels_cross_at_the_ends(folder: Path, cut: str) -> None:
    (fault,) = faults(folder, {"cut_ratio": 0.5}, cut)
    assert fault.startswith(
        "pruning.cut_ratio: has no channels to remove: none cross the link at the cut"
        f" {cut!r}, got 0.5; set 0, or cut elsewhere"
    )


def test_channels_at_a_cut_before_any_filter_are_a_fault(folder: Path) -> None:
    card = folder / "tiny.yaml"
    text = card.read_text(encoding="utf-8")
    normalised = "  preprocess: {mean: [0.5], std: [0.5]}\n  dropout: 0.1\n"
    card.write_text(text.replace("  dropout: 0.1\n", normalised), encoding="utf-8")
    (fault,) = faults(folder, {"cut_ratio": 0.5}, "preprocess")
    assert "no layer with filters is before the cut 'preprocess', got 0.5; set 0" in fault


def test_answers_that_cross_the_link_are_no_channels_to_remove(tiny: CardFile) -> None:
    parts = Outline(("conv", "body", "head"), {"conv": 9, "body.a": 9, "head": 9}, {}, "pool")
    parts.filters.update({"conv": 3, "body.a": 3})

    def tell(path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        return Fault(path, rule, value, remedy)

    for cut, expected in (("head", 1), ("body", 0), ("conv", 0)):
        pruning = scenario_of(pruning={"cut_ratio": 0.5}).pruning
        found = list(network_faults(pruning, cut, tiny, parts, tell))
        assert len(found) == expected
        assert all("the answers cross the link at the cut 'head'" in str(f) for f in found)


def test_fine_tuning_needs_a_recipe(folder: Path) -> None:
    card = folder / "tiny.yaml"
    content = yaml.safe_load(card.read_text(encoding="utf-8"))
    del content["training"]
    card.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = faults(folder, {"schedule": {"fine_tuning": {"epochs": 2}}})
    (fault,) = [text for text in found if text.startswith("pruning")]
    assert fault.startswith(
        "pruning.schedule.fine_tuning.epochs: needs a training recipe on the card of 'tiny', got 2"
    )


def test_fine_tuning_needs_the_cards_dataset_whatever_is_deployed(folder: Path) -> None:
    card = folder / "tiny.yaml"
    text = card.read_text(encoding="utf-8").replace("dataset: digits", "dataset: gone.npz")
    card.write_text(text, encoding="utf-8")
    file = write(folder, {"schedule": {"fine_tuning": {"epochs": 1}}})
    file.write_text(file.read_text().replace("calibration:", "dataset: digits\n  calibration:"))
    with pytest.raises(ScenarioError, match=r"tiny.yaml:10: training.dataset: \S+gone.npz: must"):
        check(load_scenario(file))
    file.write_text(file.read_text().replace("epochs: 1", "epochs: 0"))
    assert len(check(load_scenario(file)).specs) == 1


def test_fine_tuning_on_more_samples_than_there_are_is_refused(folder: Path) -> None:
    (fault,) = faults(folder, {"schedule": {"fine_tuning": {"epochs": 1, "samples": 1079}}})
    assert fault.startswith(
        "pruning.schedule.fine_tuning.samples: must be at most 1078, the training samples of"
        " 'digits', got 1079; ask for fewer"
    )


def test_all_wrong_settings_are_told_at_once(folder: Path) -> None:
    pruning = PATTERN | FILTERS | {"schedule": {"steps": 2}, "exclude": ["fc9"], "criterion": "x"}
    assert [fault.split(":")[0] for fault in faults(folder, pruning)] == [
        "pruning.criterion",
        "pruning.pattern",
        "pruning.schedule.steps",
        "pruning.exclude",
    ]


RIGHT: list[dict[str, Any]] = [
    FILTERS | {"criterion": "fpgm"},
    {"ratio_of": "macs"},
    FILTERS | {"ratio_of": "macs", "ratio": 0.9, "min_kept": 0.5},
    PATTERN | {"exclude": ["conv1_1", "conv2_1"]},
    PATTERN | {"ratio": 0.5, "ratio_of": "weights", "exclude": ["conv1_1", "conv2_1"]},
    {"min_kept": {"default": 0.1, "fc1": 0.5}},
    {"cut_ratio": 0.5},
    AUTO | {"auto": {"aim": "accuracy", "accuracy": 0.9}},
    {"schedule": {"steps": 3, "fine_tuning": {"epochs": 1}}},
    {"criterion": "flexrel", "combine": "sum", "relevance": {"rule": "gamma"}},
]


@pytest.mark.parametrize("pruning", RIGHT, ids=str)
def test_a_right_setting_is_neither_fault_nor_warning(
    folder: Path, pruning: dict[str, Any]
) -> None:
    checked = check(load_scenario(write(folder, pruning)))
    assert len(checked.specs) == 1
    assert checked.warnings == []


IDLE: list[tuple[str, dict[str, Any], str]] = [
    ("magnitude", {"delta": "auto"}, "delta"),
    ("magnitude", {"combine": "geometric"}, "combine"),
    ("magnitude", {"relevance": {"form": "message"}}, "relevance.form"),
    ("relevance", {"relevance": {"form": "message"}}, "relevance.form"),
    ("taylor", {"relevance": {"rule": "z-plus"}}, "relevance.rule"),
    ("random", {"normalise": "layer"}, "normalise"),
]


@pytest.mark.parametrize(("criterion", "pruning", "path"), IDLE)
def test_a_setting_without_effect_is_a_warning(
    folder: Path, criterion: str, pruning: dict[str, Any], path: str
) -> None:
    (warning,) = check(load_scenario(write(folder, pruning | {"criterion": criterion}))).warnings
    assert f": pruning.{path}: has no effect on criterion {criterion!r}, got " in str(warning)
    assert "; remove it" in str(warning)


def test_layers_that_a_pattern_does_not_fit_are_listed(folder: Path) -> None:
    (warning,) = check(load_scenario(write(folder, PATTERN))).warnings
    # The tiny network takes 1 channel, and its second block 6.
    assert (
        "pruning.pattern: does not fit conv1_1 (1 input, which stay), conv2_1 (6 inputs, the last 2"
        " stay): inputs must be a multiple of 4, got '2:4'; list these layers in pruning.exclude"
    ) in str(warning)


def test_the_outline_counts_inputs_as_the_built_network_does(tiny: CardFile) -> None:
    assert outline(tiny).inputs == outline_of(load_network(tiny)).inputs
