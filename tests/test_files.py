from __future__ import annotations

import pytest

from flexrel_sim.files import write_whole


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path):
    file = tmp_path / "weights"
    write_whole(file, b"old")
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_can_not_take_its_place_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
