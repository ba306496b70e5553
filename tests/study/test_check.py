"""What a study says before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import flexrel_sim
from flexrel_sim.cli import app
from flexrel_sim.scenario import load_scenario
from flexrel_sim.study import check_all, system_warnings
from tests.builders import SCENARIO_YAML, write_yaml


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (
            "uplink: 10 Mbit/s",
            "uplink: {rate: 10 Mbit/s, outage: {windows: [[0 s, 40 s], [50 s, 99 s]]}}",
            None,
        ),
        (
            "uplink: 10 Mbit/s",
            "uplink: {rate: 10 Mbit/s, outage: {windows: [[0 s, 99 s]]}}",
            "link.uplink.outage.windows",
        ),
        (
            "downlink: 20 Mbit/s",
            "downlink: {schedule: [[0 s, 0 bit/s], [60 s, 1 Mbit/s]]}",
            "link.downlink.schedule",
        ),
        ("downlink: 20 Mbit/s", "downlink: {schedule: [[0 s, 0 bit/s], [59 s, 1 Mbit/s]]}", None),
        (
            "device: t4",
            "device: t4, failures: {windows: [[0 s, 30 s], [30 s, 60 s]]}",
            "server.failures.windows",
        ),
        ("device: t4", "device: t4, failures: {windows: [[1 s, 60 s]]}", None),
    ],
)
def test_what_is_down_for_the_whole_run_is_told(
    tmp_path: Path, old: str, new: str, path: str | None
) -> None:
    loaded = load_scenario(write_yaml(tmp_path, SCENARIO_YAML.replace(old, new)))
    found = list(system_warnings(loaded))
    assert [warning.path for warning in found] == ([path] if path else [])
    assert all("takes the whole run of 60 s" in warning.rule for warning in found)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"codec": {"compress": "none", "level": 9}}, True),
        ({"codec": {"level": 9}}, False),
        ({"codec": {"compress": "none"}}, False),
        ({"codec.level": 9, "sweep": {"codec.compress": ["zstd", "none"]}}, False),
        ({"codec.compress": "none", "sweep": {"codec.level": [3, 4]}}, True),
    ],
)
def test_a_level_that_nothing_compresses_with_is_told(
    workspace: Path, overrides: dict, told: bool
) -> None:
    warnings = check_all(load_scenario(workspace / "small.yaml", overrides)).warnings
    assert ["codec.level" in w.path for w in warnings] == [True] * told


def test_validate_takes_settings_and_blames_them(workspace: Path) -> None:
    right = CliRunner().invoke(app, ["validate", "small.yaml", "--set", "pruning.ratio=0.5"])
    assert right.exit_code == 0
    wrong = CliRunner().invoke(app, ["validate", "small.yaml", "--set", "pruning.ratio=5"])
    assert wrong.exit_code == 2
    assert "--set pruning.ratio: must be less than 1, got 5" in wrong.output


def test_validate_tells_of_equal_values_of_a_sweep(workspace: Path) -> None:
    swept = "sweep={server.workers: [1, 2, 1]}"
    found = CliRunner().invoke(app, ["validate", "small.yaml", "--set", swept])
    assert "is the same as an earlier value of this sweep" in found.output


def test_a_batching_server_with_a_controller_runs_and_its_resolved_file_runs_again(
    workspace: Path,
) -> None:
    text = (workspace / "small.yaml").read_text() + (
        "controller: {policy: ema, options: [{split.cut: pool1}, {split.cut: edge}]}\n"
        "sweep: {codec: [{dtype: uint8}, {dtype: int4}]}\n"
    )
    text = text.replace("workers: 1", "workers: 1, batch: {size: 4, timeout: 2 ms}")
    (workspace / "batched.yaml").write_text(text)
    first = flexrel_sim.run("batched.yaml", "out", workers=1)
    again = flexrel_sim.run(first.folder / "scenario.yaml", "again", workers=1)
    one, two = (run.folder / "summary.json" for run in (first, again))
    assert one.read_bytes() == two.read_bytes()


def test_an_image_is_checked_beside_a_base_codec(workspace: Path) -> None:
    sweep = {"codec": [{"dtype": "int4"}, {"image": {"format": "jpeg"}}], "split.cut": ["server"]}
    loaded = load_scenario(workspace / "small.yaml", {"sweep": sweep})
    assert len(check_all(loaded).specs) == 2
