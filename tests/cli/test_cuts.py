import json
from pathlib import Path

import pytest

from tests.cli.test_app import call, refused
from tests.partition.test_table import RESIDUAL_CARD


def rows(output):
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}


def test_the_table_has_every_cut_with_its_boundary_and_both_sides(workspace):
    result = call("cuts", "small.yaml", "--set", "pruning.ratio=0")
    found = rows(result.stdout)
    macs = 64 * 6 * 9 + 16 * 8 * 6 * 9 + 32 * 16 + 160
    assert found["server"] == ["input", "1x8x8", "256", "0", f"{macs:,}", "0", "4,792"]
    assert found["pool1"] == ["pool1", "6x4x4", "384", "3,456", f"{macs - 3456:,}", "240", "4,552"]
    assert found["edge"] == ["0", f"{macs:,}", "0", "4,792", "0"]
    assert "Every operation is counted." in result.stdout


def test_where_the_scenario_removes_filters_the_cuts_are_those_of_what_is_left(workspace):
    whole, pruned = (
        json.loads(call("cuts", "small.yaml", "--json", "--set", f"pruning.ratio={ratio}").stdout)
        for ratio in (0, 0.25)
    )
    assert pruned["cuts"][-1]["head_macs"] < whole["cuts"][-1]["head_macs"]
    assert [cut["name"] for cut in pruned["cuts"]] == [cut["name"] for cut in whole["cuts"]]


def test_a_card_without_a_checkpoint_has_cuts_and_blocks_name_them_too(workspace):
    (workspace / "own.yaml").write_text(RESIDUAL_CARD)
    result = call(
        "cuts", "small.yaml", "--set", "model.network=own.yaml", "--set", "pruning.ratio=0"
    )
    assert result.exit_code == 0, result.output
    assert rows(result.stdout)["layer1.0.relu2"][0] == "layer1.0.relu2"
    assert "= layer1.0" in result.stdout


@pytest.mark.parametrize("output", ["picture.svg", "picture.pdf", "picture.png", "folder"])
def test_a_picture_is_drawn_where_it_is_asked_for_and_is_the_same_twice(workspace, output):
    words = ("cuts", "small.yaml", "--set", "pruning.ratio=0", "-o", output)
    first = call(*words)
    file = workspace / output
    drawn = file / "cuts.svg" if file.is_dir() else file
    assert f"picture   {drawn.relative_to(workspace)}" in first.stdout
    content = drawn.read_bytes()
    assert call(*words, "--force").exit_code == 0
    assert drawn.read_bytes() == content


def test_what_can_not_be_drawn_or_found_is_refused_with_what_to_do(workspace):
    dense = ("--set", "pruning.ratio=0")
    told = "x.gif: must be a .png, .svg, .pdf file, or a folder"
    Path("x.png").write_text("mine")
    refused(call("cuts", "small.yaml", *dense, "-o", "x.png"), "x.png: would be replaced")
    assert Path("x.png").read_text() == "mine"
    assert call("cuts", "small.yaml", *dense, "-o", "x.png", "--force").exit_code == 0
    refused(call("cuts", "small.yaml", *dense, "-o", "x.gif"), told)
    refused(call("cuts", "small.yaml", *dense, "-o", "absent/x.png"), "can't be written: No such")
    none = ("--set", "model.network=none.yaml")
    refused(call("cuts", "small.yaml", *dense, *none), "must be the card of a network")


FACTORY = """\
import torch
from torch import nn


class Sorting(nn.Module):
    def forward(self, image):
        return image.sort().values


def sorting(size) -> nn.Module:
    return nn.Sequential(nn.Flatten(), Sorting(), nn.Linear(size, 10))
"""


def test_uncounted_work_of_a_users_network_is_listed_under_the_table(workspace, monkeypatch):
    monkeypatch.syspath_prepend(workspace)
    (workspace / "sorting_networks.py").write_text(FACTORY)
    card = (
        "name: own\narchitecture: {family: factory, factory: 'sorting_networks:sorting',"
        " input_shape: [1, 8, 8], classes: 10, arguments: {size: SIZE}}\n"
    )
    words = ("cuts", "small.yaml", "--set", "pruning.ratio=0", "--set", "model.network=own.yaml")
    (workspace / "own.yaml").write_text(card.replace("SIZE", "64"))
    told = "Not counted, and so not among the MACs:\n  1 (sorting): sort, 1 x"
    assert told in call(*words).stdout
    (workspace / "own.yaml").write_text(card.replace("SIZE", "63"))
    failed = call(*words)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "own.yaml: fails on an image 1x8x8: mat1 and mat2" in failed.stderr
    (workspace / "own.yaml").write_text(card.replace("size: SIZE", "none: 1"))
    refused(call(*words), "own.yaml: architecture.factory: ", "failed (TypeError: ")


DECIDING = """\
from torch import nn


class Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, image):
        x = self.one(image.flatten(1))
        if x.sum() > 0:
            x = -x
        return self.two(x)


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.last = Deciding(), nn.Linear(10, 10)

    def forward(self, image):
        return self.last(self.inner(image).relu())
"""


def test_what_tracing_could_not_enter_is_named_with_the_line_and_the_reason(workspace, monkeypatch):
    monkeypatch.syspath_prepend(workspace)
    (workspace / "deciding_networks.py").write_text(DECIDING)
    words = ("cuts", "small.yaml", "--set", "pruning.ratio=0", "--set", "model.network=own.yaml")
    for name, path, cuts in (("Deciding", "network", 2), ("Around", "inner", 4)):
        (workspace / "own.yaml").write_text(
            f"name: own\narchitecture: {{family: factory, factory: 'deciding_networks:{name}',"
            " input_shape: [1, 8, 8], classes: 10}\n"
        )
        result = call(*words)
        assert (
            f"  {path} (Deciding.forward): deciding_networks.py:11: TraceError: " in result.stdout
        )
        assert "control flow" in result.stdout
        assert "put what does into a module of its own" in result.stdout
        found = json.loads(call(*words, "--json").stdout)
        assert [closed["name"] for closed in found["not_entered"]] == [path]
        assert len(found["cuts"]) == cuts
    assert "Not entered" not in call("cuts", "small.yaml", "--set", "pruning.ratio=0").stdout
