import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from flexrel_sim.checksums import write_sums
from flexrel_sim.errors import InputError
from flexrel_sim.report import PROVENANCE_NAME, result_folder
from flexrel_sim.report import workplace as workplaces
from flexrel_sim.report.workplace import Workplace

MARK = "table.csv"


def earlier_result(folder):
    folder.mkdir()
    (folder / PROVENANCE_NAME).write_text('{"versions": {"flexrel_sim": "0.1.0"}}')
    (folder / "table.csv").write_text("earlier")
    write_sums(folder)


def test_a_finished_result_takes_the_place_of_an_earlier_one(tmp_path):
    target = tmp_path / "out"
    earlier_result(target)
    with result_folder(target, MARK) as folder:
        (folder / "table.csv").write_text("newer")
    assert (target / "table.csv").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_result_leaves_nothing_and_the_earlier_one_as_it_was(tmp_path, error):
    target = tmp_path / "out"
    earlier_result(target)

    def interrupted():
        with result_folder(target, MARK) as folder:
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
        result_folder(tmp_path, MARK),
    ):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_is_no_place_for_results(tmp_path):
    file = tmp_path / "out"
    file.write_text("x")
    with (
        pytest.raises(InputError, match="must be a folder, and is a file"),
        result_folder(file, MARK),
    ):
        pass


def test_a_place_that_cannot_be_made_is_told_with_a_remedy(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with (
        pytest.raises(InputError, match="can't be made: .*give another with -o"),
        result_folder(file / "out", MARK),
    ):
        pass


def test_missing_parents_are_made(tmp_path):
    with result_folder(tmp_path / "a" / "b", MARK) as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "a" / "b" / "x").exists()


@pytest.mark.parametrize("name", ["notes.md", "thesis.txt"])
def test_notes_beside_an_earlier_result_are_never_lost(tmp_path, name):
    target = tmp_path / "out"
    earlier_result(target)
    (target / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds '{name}'"), result_folder(target, MARK):
        pass
    assert (target / name).read_text() == "mine"


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"versions": {}}'])
def test_a_provenance_that_no_run_wrote_protects_its_folder(tmp_path, text):
    (tmp_path / PROVENANCE_NAME).write_text(text)
    with pytest.raises(InputError, match="must be empty or hold"), result_folder(tmp_path, MARK):
        pass


def test_a_linked_folder_is_filled_where_it_points(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with result_folder(link, MARK) as folder:
        (folder / "table.csv").write_text("new")
    assert link.is_symlink()
    assert (real / "table.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_swap_that_fails_half_way_puts_the_earlier_result_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    earlier_result(target)
    rename = Path.rename

    def fails_into_place(self, goal):
        if goal == target and self.name == "new":
            raise KeyboardInterrupt
        return rename(self, goal)

    monkeypatch.setattr(Path, "rename", fails_into_place)
    with pytest.raises(KeyboardInterrupt), result_folder(target, MARK):
        pass
    assert (target / "table.csv").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def run(target, text="newer"):
    with result_folder(target, MARK) as folder:
        (folder / PROVENANCE_NAME).write_text('{"versions": {"flexrel_sim": "0.1.0"}}')
        (folder / MARK).write_text(text)
        (folder / "traces").mkdir()
        (folder / "traces" / "0.parquet").write_text(text)


@pytest.fixture(params=["renamed", "fixed"])
def target(request, tmp_path, monkeypatch):
    """A folder that can be renamed, or one that can't, as a mount point."""
    if request.param == "fixed":
        monkeypatch.setattr(workplaces, "_is_fixed", Path.is_dir)
        (tmp_path / "out" / "lost+found").mkdir(parents=True)
    return tmp_path / "out"


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path.read_text() for path in files}
    return {name: text for name, text in named.items() if not name.startswith(".")}


def test_a_result_takes_the_place_of_one_that_a_run_wrote_and_records_its_files(target):
    run(target)
    run(target, "newest")
    assert content(target).keys() == {
        PROVENANCE_NAME, MARK, "traces/0.parquet", "SHA256SUMS"
    }  # fmt: skip
    assert content(target)[MARK] == "newest"
    assert {path.name for path in target.parent.iterdir()} == {"out"}
    lines = (target / "SHA256SUMS").read_text().splitlines()
    for digest, name in (line.split("  ") for line in lines):
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest


USERS = {
    "traces/notes.txt": "mine",
    "profiles/mine/profile.json": "mine",
    "figure_final.png": "mine",
    MARK: "edited",
    "SHA256SUMS": "edited",
}


def put(target, name, text):
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text(text)


@pytest.mark.parametrize("name", USERS)
def test_a_users_file_anywhere_and_an_edited_one_stop_the_next_run_before_it_starts(target, name):
    run(target)
    put(target, name, USERS[name])
    before = content(target)
    told = ".*" if name == "SHA256SUMS" else f"'{name}'"
    with (
        pytest.raises(InputError, match=f"holds {told}.*; move it, or give another with -o"),
        result_folder(target, MARK),
    ):
        raise AssertionError("it started")
    assert content(target) == before


@pytest.mark.parametrize("name", [name for name in USERS if name != "SHA256SUMS"])
def test_a_users_file_that_comes_while_a_run_works_stays_and_so_do_the_new_results(target, name):
    run(target)

    def working():
        with result_folder(target, MARK) as folder:
            put(folder, MARK, "newest")
            put(target, name, USERS[name])
            before.update(content(target))

    before = {}
    with pytest.raises(InputError, match=f"'{name}' appeared while .* the new results are in (.*)"):
        working()
    aside = target.with_name("out-2") if target.with_name("out-2").exists() else target / "out-2"
    assert (aside / MARK).read_text() == "newest"
    assert {
        path: text for path, text in content(target).items() if not path.startswith("out-2/")
    } == before
    assert not list(target.parent.glob(".*"))
    assert not list(target.glob(".*"))


def test_what_comes_between_the_last_look_and_the_swap_stays_too(target, monkeypatch):
    run(target)
    put_away = Workplace.put_away

    def at_the_last_moment(self):
        put(target, "notes.txt", "mine")
        put_away(self)

    monkeypatch.setattr(Workplace, "put_away", at_the_last_moment)
    with pytest.raises(InputError, match="'notes.txt' appeared while the run was working"):
        run(target, "newest")
    assert content(target)["notes.txt"] == "mine"
    assert content(target)[MARK] == "newer"


def test_links_and_empty_folders_are_a_users_and_missing_files_are_nobodys(tmp_path):
    target = tmp_path / "out"
    run(target)
    (target / MARK).replace(target / "kept")
    with pytest.raises(InputError, match="holds 'kept'"), result_folder(target, MARK):
        pass
    (target / "kept").replace(target / MARK)
    (target / "traces" / "0.parquet").unlink()
    run(target)
    for make in ((target / "mine").mkdir, lambda: (target / "mine").symlink_to(tmp_path)):
        make()
        with pytest.raises(InputError, match="holds 'mine'"), result_folder(target, MARK):
            pass
        (target / "mine").rmdir() if not (target / "mine").is_symlink() else None
    (target / "traces" / "0.parquet").unlink()
    (target / "traces" / "0.parquet").symlink_to(target / MARK)
    with pytest.raises(InputError, match="holds 'mine', 'traces/0.parquet'"):
        run(target)


def test_other_commands_results_and_other_peoples_sums_are_not_replaced(tmp_path):
    target = tmp_path / "out"
    run(target)
    with pytest.raises(InputError, match="holds 'SHA256SUMS'"), result_folder(target, "curves"):
        pass
    other = tmp_path / "download"
    other.mkdir()
    (other / "data.bin").write_text("data")
    write_sums(other)
    with pytest.raises(InputError, match="holds 'SHA256SUMS', 'data.bin'"):
        run(other)


def test_of_two_runs_at_once_the_second_is_refused_and_the_first_comes_out_whole(target):
    run(target, "earlier")
    with result_folder(target, MARK) as folder:
        (folder / MARK).write_text("first")
        with pytest.raises(
            InputError, match=f"another run is writing there .process {os.getpid()}.; wait for it"
        ):
            run(target, "second")
    assert content(target) == {MARK: "first", "SHA256SUMS": content(target)["SHA256SUMS"]}


def test_a_folder_of_a_users_with_the_name_of_a_runs_own_is_left_alone(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="must be a run's own, and holds 'thesis.txt'"):
        run(tmp_path / "out")
    assert (tmp_path / ".out.partial" / "thesis.txt").exists()


class Killed(BaseException):
    pass


def killed_at(monkeypatch, step):
    """Let the process of a run end when it renames for the n-th time: nothing is cleaned up."""
    rename, count = Path.rename, [0]

    def ends(self, goal):
        if count[0] == step:
            raise Killed
        count[0] += 1
        return rename(self, goal)

    monkeypatch.setattr(Path, "rename", ends)
    for name in ("clear", "take_back"):
        monkeypatch.setattr(Workplace, name, lambda _: None)


@pytest.mark.parametrize("step", range(10))
def test_what_a_run_left_that_was_killed_in_its_swap_is_put_in_order_by_the_next(
    target, step, monkeypatch, caplog
):
    run(target, "earlier")
    earlier = content(target)
    with monkeypatch.context() as patch:
        killed_at(patch, step)
        with contextlib.suppress(Killed):
            run(target, "new")
    seen = {}

    def looks():
        with result_folder(target, MARK) as folder:
            seen.update(content(target))
            put(folder, "x", "x")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        looks()
    assert seen == earlier or {seen[name] for name in (MARK, "traces/0.parquet")} == {"new"}
    assert seen.keys() == earlier.keys()
    run(target, "newest")
    assert content(target)[MARK] == "newest"
    assert {path.name for path in target.parent.iterdir()} == {"out"}
    assert not list(target.glob(".*"))
    if seen == earlier and step > 0:
        assert "a run was killed, its earlier result is restored" in caplog.text


def test_a_users_file_in_an_earlier_result_that_a_killed_run_hid_is_told_of(tmp_path):
    target = tmp_path / "out"
    run(target)
    hidden = tmp_path / ".out.partial" / "old"
    hidden.parent.mkdir()
    shutil.copytree(target, hidden)
    put(hidden, "notes.txt", "mine")
    with pytest.raises(InputError, match="old: is an earlier result, and holds 'notes.txt'"):
        run(target)
    assert (hidden / "notes.txt").exists()
    put(hidden.parent / "new", "SHA256SUMS", "")
    with pytest.raises(InputError, match="old: is the earlier result, whose place .* is taken"):
        run(target)


def test_without_locks_a_runs_folder_that_is_there_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(workplaces, "try_lock", lambda _: None)
    run(tmp_path / "out")
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "lock").write_text("17")
    with pytest.raises(InputError, match=r"process 17\), or was killed: remove .*out.partial then"):
        run(tmp_path / "out")


def test_a_mount_is_known_by_its_device_and_by_the_list_of_mounts(tmp_path, monkeypatch):
    assert workplaces._is_fixed(Path("/proc"))
    assert not workplaces._is_fixed(tmp_path)
    assert not workplaces._is_fixed(tmp_path / "missing")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert workplaces._is_fixed(tmp_path)
