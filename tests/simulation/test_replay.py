from __future__ import annotations

from pathlib import Path

import pytest

from flexrel_sim.errors import ScenarioError
from flexrel_sim.simulation.replay import read_replay


def written(folder: Path, text: str) -> Path:
    file = folder / "came.csv"
    file.write_text(text)
    return file


def test_a_file_without_devices_or_samples_is_of_device_zero(tmp_path: Path) -> None:
    replay = read_replay(written(tmp_path, "created_s\n0\n0.25\n0.25\n"), 1)
    assert replay.created_s.tolist() == [0.0, 0.25, 0.25]
    assert replay.device.tolist() == [0, 0, 0]
    assert replay.sample is None


FAULTS = {
    "a time that decreases": ("created_s\n1\n0.5\n", ":3: workload.file: created_s must not decr"),
    "a negative time": ("created_s\n-1\n2\n", ":2: workload.file: created_s must be at least 0"),
    "a time that is no number": ("created_s\nnan\n2\n", ":2: .*created_s must be at least 0"),
    "an infinite time": ("created_s\n1\ninf\n", ":3: .*created_s must be at least 0"),
    "an empty cell": ("created_s,device\n1,0\n,0\n", ":3: .*created_s must be at least 0"),
    "an unknown device": ("created_s,device\n1,2\n", ":2: .*device must be one of 0 to 1"),
    "a negative device": ("created_s,device\n1,-1\n", ":2: .*device must be one of 0 to 1"),
    "a device left out": ("created_s,device\n1,0\n2,\n", ":3: .*device must be one of 0 to 1"),
    "a sample left out": ("created_s,sample\n1,0\n2,\n", ":3: .*sample must be at least 0"),
    "a negative sample": ("created_s,sample\n1,0\n2,-3\n", ":3: .*sample must be at least 0"),
    "a word": ("created_s\n1\nsoon\n", "can't be read as CSV.*soon"),
    "a broken device": ("created_s,device\n1,0.5\n", "can't be read as CSV.*0.5"),
    "a row that is too long": ("created_s\n1\n1,2\n", "can't be read as CSV"),
    "no head": ("1\n2\n", "must have a column created_s"),
    "another column": ("created_s,user\n1,2\n", "must have a column created_s, and no others"),
    "an empty file": ("", "can't be read as CSV"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_faulty_file_is_refused_on_its_line(what: str, tmp_path: Path) -> None:
    text, message = FAULTS[what]
    with pytest.raises(ScenarioError, match=message):
        read_replay(written(tmp_path, text), 2)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.csv:1: workload\.file: can't be read: No such"):
        read_replay(tmp_path / "none.csv", 1)


def test_every_kind_of_fault_is_told_at_once_and_how_often(tmp_path: Path) -> None:
    file = written(tmp_path, "created_s,device,sample\n3,0,0\n2,5,0\n1,0,-1\n")
    with pytest.raises(ScenarioError) as raised:
        read_replay(file, 1)
    rules = [fault.rule for fault in raised.value.faults]
    assert rules == [
        "created_s must not decrease (1 more lines are wrong)",
        "device must be one of 0 to 0",
        "sample must be at least 0",
    ]
