import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flexrel_sim.errors import DatasetError, ScenarioError
from flexrel_sim.reading import parsing, reading, sha256_of


def refusal(file: Path, read: Callable[[], object] = lambda: None) -> DatasetError:
    with (
        pytest.raises(DatasetError, match="; mend it$") as caught,
        reading(file, "mend it", DatasetError),
    ):
        read()
    return caught.value


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    told = {
        tmp_path / "pipe": "is a pipe, a socket or a device, and no file",
        Path("/dev/zero"): "is a pipe, a socket or a device, and no file",
        tmp_path / "loop": "Too many levels of symbolic links",
        tmp_path: "Is a directory",
        tmp_path / "none": "No such file or directory",
        tmp_path / ("x" * 300): "File name too long",
    }
    for file, reason in told.items():
        assert str(refusal(file, pytest.fail)) == f"{file}: can't be read: {reason}; mend it"


def test_the_hash_of_a_file_is_its_sha256_and_an_unreadable_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(file, "mend it") == expected
    with pytest.raises(DatasetError, match="can't be read: Is a directory; mend it$"):
        sha256_of(tmp_path, "mend it", DatasetError)


def test_a_path_with_a_nul_is_refused_and_shown_as_an_escape(tmp_path: Path) -> None:
    assert "a\\x00b: can't be read: embedded null byte; mend it" in str(refusal(tmp_path / "a\0b"))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(5, "Input/output error"), "can't be read: Input/output error"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "must be UTF-8 text"),
        (RecursionError("maximum"), "can't be read: it is nested too deeply"),
        (MemoryError(), "can't be read: it needs more memory than there is"),
        (ValueError("no\nnumber"), "can't be read: no number"),
        (EOFError(), "can't be read: EOFError"),
        (KeyError("head"), "can't be read: KeyError: 'head'"),
    ],
)
def test_whatever_is_raised_is_one_line_with_file_and_remedy(
    tmp_path: Path, raised: Exception, told: str
) -> None:
    file = tmp_path / "file"
    file.touch()

    def read() -> None:
        raise raised

    error = refusal(file, read)
    assert str(error) == f"{file}: {told}; mend it"
    assert error.__cause__ is raised


def test_a_line_that_the_parser_knows_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text('{"a": 1,\n"b" 2}')
    assert str(refusal(file, lambda: json.loads(file.read_text()))).startswith(f"{file}:2: can't")


def test_without_a_kind_it_is_a_fault_at_a_key(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with (
        pytest.raises(ScenarioError, match="mend it") as caught,
        reading(file, "mend it", key="a.b"),
    ):
        pass
    assert str(caught.value) == f"{file}:1: a.b: can't be read: No such file or directory; mend it"


@pytest.mark.parametrize("mistake", [NameError, ImportError])
def test_a_mistake_in_the_code_is_not_blamed_on_the_file(
    tmp_path: Path, mistake: type[Exception]
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(mistake, match="ours"), reading(file, "mend it"):
        raise mistake("ours")


def test_what_libraries_raise_of_damage_is_a_mistake_only_where_it_is_ours(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    scope = {"__name__": "flexrel_sim.codec"}
    exec("def read(): raise NotImplementedError('ours')", scope)  # noqa: S102
    assert "NotImplementedError: ours" in str(refusal(file, NotImplementedHere().read))
    with pytest.raises(NotImplementedError, match="ours"), reading(file, "mend it"):
        scope["read"]()  # type: ignore[operator]


class NotImplementedHere:
    def read(self) -> None:
        raise NotImplementedError("ours")


def test_errors_of_this_package_pass_as_they_are(tmp_path: Path) -> None:
    own = ScenarioError([])
    with pytest.raises(ScenarioError, match="^$") as caught, parsing(lambda _: DatasetError("no")):
        raise own
    assert caught.value is own
