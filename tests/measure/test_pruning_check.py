from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flexrel_sim.errors import ScenarioError
from flexrel_sim.measure import check
from flexrel_sim.scenario import load_scenario

FAULTS: dict[str, tuple[str, str]] = {
    "criterion": ("{criterion: magnitud, ratio: 0.5}", "pruning.criterion: unknown criterion"),
    "level": ("{criterion: fpgm, ratio: 0.5}", "tells filters apart, not weights"),
    "filters of weights": (
        "{granularity: weights, ratio: 0.5, ratio_of: filters}",
        "can't count filters where single weights are removed",
    ),
    "macs by layer": (
        "{granularity: filters, ratio: 0.5, ratio_of: macs, scope: layer}",
        "over the whole network only",
    ),
    "pattern of filters": (
        "{granularity: filters, ratio: 0.5, pattern: '2:4'}",
        "pruning.pattern: removes single weights",
    ),
    "ratio of a pattern": (
        "{granularity: weights, ratio: 0.7, pattern: '2:4'}",
        "pruning.ratio: is 0.5 by the pattern 2:4",
    ),
    "macs of a pattern": (
        "{granularity: weights, ratio: 0.5, pattern: '4:8', ratio_of: macs}",
        "pruning.ratio_of: is of weights in a pattern",
    ),
    "steps of a pattern": (
        "{granularity: weights, ratio: 0.5, pattern: '2:4', schedule: {steps: 3}}",
        "must be 1 for a pattern",
    ),
    "excluded layer": ("{ratio: 0.5, exclude: [fc9]}", "pruning.exclude: must name layers"),
    "floor of a layer": (
        "{ratio: 0.5, min_kept: {fc9: 0.5}}",
        "pruning.min_kept: must name layers",
    ),
    "reach": ("{ratio: 0.9, min_kept: {default: 0.5}}", "must be at most 0.5"),
    "aim": (
        "{ratio: 0.5, delta: auto, auto: {aim: accuracy}}",
        "is required by the aim 'accuracy'",
    ),
}

WARNINGS: dict[str, tuple[str, str]] = {
    "delta": ("{criterion: magnitude, ratio: 0.5, delta: auto}", "pruning.delta: has no effect"),
    "combine": (
        "{criterion: magnitude, ratio: 0.5, combine: sum}",
        "pruning.combine: has no effect",
    ),
    "form": (
        "{criterion: lamp, ratio: 0.5, relevance: {form: message}}",
        "pruning.relevance.form: has no effect",
    ),
    "rule": (
        "{criterion: lamp, ratio: 0.5, relevance: {rule: gamma}}",
        "pruning.relevance.rule: has no effect",
    ),
}


def checked(folder: Path, pruning: str, cut: str = "pool1") -> Any:
    text = (folder / "small.yaml").read_text()
    lines = [
        f"pruning: {pruning}"
        if line.startswith("pruning:")
        else f"split: {{cut: {cut}}}"
        if line.startswith("split:")
        else line
        for line in text.splitlines()
    ]
    (folder / "checked.yaml").write_text("\n".join(lines))
    return check(load_scenario(Path("checked.yaml")))


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_setting_is_a_fault_on_its_line(workspace: Path, name: str) -> None:
    pruning, said = FAULTS[name]
    with pytest.raises(ScenarioError, match="checked.yaml:4: pruning") as caught:
        checked(workspace, pruning)
    assert said in str(caught.value)


@pytest.mark.parametrize("cut", ["server", "edge"])
def test_no_channels_are_removed_where_none_cross_the_link(workspace: Path, cut: str) -> None:
    with pytest.raises(ScenarioError, match=r"pruning.cut_ratio: has no channels to remove"):
        checked(workspace, "{ratio: 0.5, cut_ratio: 0.5}", cut)


@pytest.mark.parametrize("name", WARNINGS)
def test_a_setting_without_effect_is_warned_of(workspace: Path, name: str) -> None:
    pruning, said = WARNINGS[name]
    assert said in "\n".join(map(str, checked(workspace, pruning).warnings))


def test_a_floor_per_layer_is_right_and_warns_of_nothing(workspace: Path) -> None:
    found = checked(workspace, "{ratio: 0.5, min_kept: {default: 0.1, fc1: 0.3}}")
    assert found.specs
    assert found.warnings == []
