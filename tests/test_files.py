from __future__ import annotations

import os
from pathlib import Path

import pytest

from flexrel_sim import files
from flexrel_sim.files import clean_strays, try_lock, write_whole, written


@pytest.fixture(autouse=True)
def nothing_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "written", [])


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


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        write_whole(tmp_path / "missing" / "weights", b"new")


def test_a_file_that_is_not_to_be_replaced_stays(tmp_path):
    file = tmp_path / "weights"
    write_whole(file, b"old", replace=False)
    with pytest.raises(FileExistsError, match="weights"):
        write_whole(file, b"new", replace=False)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written_again(tmp_path):
    stray, others = tmp_path / ".weights-abcd1234.partial", tmp_path / ".card-abcd1234.partial"
    stray.write_bytes(b"half")
    others.write_bytes(b"half")
    write_whole(tmp_path / "weights", b"new")
    assert not stray.exists()
    assert others.exists()


def test_what_a_living_process_writes_is_not_a_stray(tmp_path):
    partial = tmp_path / ".weights-abcd1234.partial"
    with partial.open("wb") as stream:
        assert try_lock(stream.fileno()) is True
        clean_strays(tmp_path)
        assert partial.exists()
    clean_strays(tmp_path)
    assert not partial.exists()


def test_only_plain_files_with_the_name_of_a_partial_are_strays(tmp_path):
    kept = [tmp_path / name for name in ("notes", ".hidden", "a.partial")]
    for path in kept:
        path.write_text("mine")
    (tmp_path / ".link-abcd1234.partial").symlink_to(kept[0])
    (tmp_path / ".folder-abcd1234.partial").mkdir()
    clean_strays(tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    assert all(path.read_text() == "mine" for path in kept)


def test_a_partial_that_is_taken_for_a_stray_before_it_is_locked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def removed_by_another(handle):
        tries.append(handle)
        if len(tries) == 1:
            next(tmp_path.glob(".weights-*.partial")).unlink()
        return True

    monkeypatch.setattr(files, "try_lock", removed_by_another)
    write_whole(tmp_path / "weights", b"new")
    assert len(tries) == 2
    assert (tmp_path / "weights").read_bytes() == b"new"


@pytest.mark.parametrize(("error", "told"), [(11, False), (13, False), (38, None), (9, None)])
def test_a_lock_that_another_holds_is_told_from_a_disk_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, told: bool | None
) -> None:
    def fails(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("fcntl.flock", fails)
    with (tmp_path / "lock").open("wb") as stream:
        assert try_lock(stream.fileno()) is told


def test_what_is_the_users_is_listed_and_what_is_a_caches_is_not(tmp_path):
    write_whole(tmp_path / "weights", b"new")
    write_whole(tmp_path / "weights", b"newer")
    write_whole(tmp_path / "entry", b"new", noted=False)
    assert files.written == [tmp_path / "weights"]
    assert written != files.written
