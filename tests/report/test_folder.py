from pathlib import Path

import pytest

from flexrel_sim.errors import InputError
from flexrel_sim.report import PROVENANCE_NAME, result_folder


def earlier_result(folder):
    folder.mkdir()
    (folder / PROVENANCE_NAME).write_text('{"versions": {"flexrel_sim": "0.1.0"}}')
    (folder / "table.csv").write_text("earlier")


def test_a_finished_result_takes_the_place_of_an_earlier_one(tmp_path):
    target = tmp_path / "out"
    earlier_result(target)
    with result_folder(target) as folder:
        (folder / "table.csv").write_text("newer")
    assert (target / "table.csv").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_result_leaves_nothing_and_the_earlier_one_as_it_was(tmp_path, error):
    target = tmp_path / "out"
    earlier_result(target)

    def interrupted():
        with result_folder(target) as folder:
            (folder / "table.csv").write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    assert (target / "table.csv").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_something_else_in_it_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(InputError, match="must be empty or hold an earlier result"),
        result_folder(tmp_path),
    ):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_is_no_place_for_results(tmp_path):
    file = tmp_path / "out"
    file.write_text("x")
    with pytest.raises(InputError, match="must be a folder, and is a file"), result_folder(file):
        pass


def test_a_place_that_cannot_be_made_is_told_with_a_remedy(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with (
        pytest.raises(InputError, match="can't be made: .*give another with -o"),
        result_folder(file / "out"),
    ):
        pass


def test_missing_parents_are_made(tmp_path):
    with result_folder(tmp_path / "a" / "b") as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "a" / "b" / "x").exists()


@pytest.mark.parametrize("name", ["notes.md", "thesis.txt"])
def test_notes_beside_an_earlier_result_are_never_lost(tmp_path, name):
    target = tmp_path / "out"
    earlier_result(target)
    (target / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds '{name}'"), result_folder(target):
        pass
    assert (target / name).read_text() == "mine"


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"versions": {}}'])
def test_a_provenance_that_no_run_wrote_protects_its_folder(tmp_path, text):
    (tmp_path / PROVENANCE_NAME).write_text(text)
    with pytest.raises(InputError, match="must be empty or hold"), result_folder(tmp_path):
        pass


def test_a_linked_folder_is_filled_where_it_points(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with result_folder(link) as folder:
        (folder / "table.csv").write_text("new")
    assert link.is_symlink()
    assert (real / "table.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_swap_that_fails_half_way_puts_the_earlier_result_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    earlier_result(target)
    rename = Path.rename

    def fails_into_place(self, goal):
        if goal == target and "old" not in self.name:
            raise KeyboardInterrupt
        return rename(self, goal)

    monkeypatch.setattr(Path, "rename", fails_into_place)
    with pytest.raises(KeyboardInterrupt), result_folder(target):
        pass
    assert (target / "table.csv").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
