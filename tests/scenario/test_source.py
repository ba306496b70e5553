import subprocess
import sys
from pathlib import Path

import pytest

from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import parse_override, read_yaml
from flexrel_sim.scenario.source import YamlSource, dotted
from tests.builders import write_yaml


def refusal(folder: Path, text: str) -> str:
    file = write_yaml(folder, text)
    with pytest.raises(ScenarioError, match=r"scenario\.yaml:\d+: ") as caught:
        read_yaml(file)
    return str(caught.value).replace(str(file), "FILE")


def test_a_mapping_is_read_as_plain_data_with_the_line_of_every_key(tmp_path: Path) -> None:
    text = "a: 1\nb:\n  c: [x, y]\n  d:\n    - e: 2\n    - 3\n"
    source = read_yaml(write_yaml(tmp_path, text))
    assert source.data == {"a": 1, "b": {"c": ["x", "y"], "d": [{"e": 2}, 3]}}
    assert source.lines == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 3,
        ("b", "d"): 4,
        ("b", "d", 0): 5,
        ("b", "d", 0, "e"): 5,
        ("b", "d", 1): 6,
    }


def test_a_place_is_the_line_of_the_key_or_of_its_nearest_ancestor() -> None:
    source = YamlSource(Path("f.yaml"), {}, {("a",): 3, ("a", "b"): 5})
    assert source.place(("a", "b")) == "f.yaml:5"
    assert source.place(("a", "b", "c", 0)) == "f.yaml:5"
    assert source.place(("a", "x")) == "f.yaml:3"
    assert source.place(("z",)) == "f.yaml:1"
    assert source.place(()) == "f.yaml:1"


def test_a_fault_carries_the_place_of_its_key() -> None:
    source = YamlSource(Path("f.yaml"), {}, {("a",): 3})
    assert str(source.fault(("a",), "is odd", 3, "make it even")) == (
        "f.yaml:3: a: is odd, got 3; make it even"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "(file)"),
        (("a",), "a"),
        (("sweep", "split.cut", 2), "sweep.split.cut[2]"),
        (("sweep", 0, "link.uplink", 1), "sweep[0].link.uplink[1]"),
    ],
)
def test_a_key_path_is_written_as_users_do(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"gone\.yaml:1: \(file\): can't be read: No such file"):
        read_yaml(tmp_path / "gone.yaml")


def test_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r":1: \(file\): can't be read: Is a directory"):
        read_yaml(tmp_path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes("name: Jérôme".encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"s\.yaml:1: \(file\): must be UTF-8 text; save it as"):
        read_yaml(file)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "- a\n- b\n", "word", "3"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == (
        "FILE:1: (file): must be a mapping of keys to values;"
        " start it with a key, such as 'name: my-scenario'"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb:\n\tc: 2\n", 3, "cannot start any token"),
        ("a: [1, 2\nb: 3\n", 2, "expected ',' or ']'"),
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: *nowhere\n", 1, "undefined alias 'nowhere'"),
        ("a: 1\n? [x, y]\n: 2\n", 2, "unhashable key"),
        ("a: 'open\n", 2, "end of stream"),
    ],
)
def test_broken_yaml_is_refused_on_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"FILE:{line}: (file): is not YAML: ")
    assert words in message
    assert message.endswith("; check indentation, brackets and quotes")


def test_a_control_character_is_refused(tmp_path: Path) -> None:
    assert "unacceptable character #x0000" in refusal(tmp_path, "a: \x00\n")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {canary}']",
        "!!python/object/apply:subprocess.check_output [[touch, '{canary}']]",
        "!!python/object/new:os.system ['touch {canary}']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!include /etc/passwd",
    ],
)
def test_a_tag_that_would_run_code_is_refused_on_its_line_and_nothing_runs(
    tmp_path: Path, tag: str
) -> None:
    canary = tmp_path / "canary"
    message = refusal(tmp_path, f"a: 1\nb: {tag.format(canary=canary)}\n")
    assert message.startswith("FILE:2: (file): must hold plain data only: ")
    assert message.endswith("; remove the '!' tag and write a plain value")
    assert not canary.exists()


@pytest.mark.parametrize(
    "value",
    [
        "!!bool maybe",
        "!!timestamp soon",
        "!!int ''",
        "!!float ''",
        "!!int x",
        "2024-99-99",
        "!!binary x",
        "9" * 5000,
        "!!omap x",
        "!!map [1]",
    ],
)
def test_a_value_that_is_not_of_its_tag_is_refused(tmp_path: Path, value: str) -> None:
    assert "YAML" in refusal(tmp_path, f"a: {value}\n")


def test_a_file_of_more_nodes_than_any_scenario_has_is_not_read_to_its_end(tmp_path: Path) -> None:
    text = "a: [" + "b, " * 45_000 + "]\n"
    assert "can't be read: has more than 20,000 nodes; simplify" in refusal(tmp_path, text)


def test_characters_and_numbers_that_nobody_can_write_are_refused_on_their_line(
    tmp_path: Path,
) -> None:
    for value, kind in (('"\\ud800"', "str"), ("0x" + "f" * 300, "int"), ("1" * 400, "int")):
        told = refusal(tmp_path, f"a: 1\nb: {value}\n")
        assert told.startswith("FILE:2: (file): is not YAML: ")
        assert f"can't be read as {kind}; check" in told


def test_every_duplicate_key_is_refused_on_its_line(tmp_path: Path) -> None:
    text = "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n"
    assert refusal(tmp_path, text).splitlines() == [
        "FILE:5: b.c: is given twice, first on line 3; keep one of the two",
        "FILE:6: a: is given twice, first on line 1; keep one of the two",
    ]


def test_an_anchor_used_twice_is_no_duplicate(tmp_path: Path) -> None:
    source = read_yaml(write_yaml(tmp_path, "a: &x {k: 1}\nb: *x\nc: *x\n"))
    assert source.data == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1}}


def test_a_pattern_needs_no_quotes_for_it_is_no_number_of_base_60(tmp_path: Path) -> None:
    text = "pruning: {pattern: 2:4}\nother: 4:8\ncount: 24\nshare: 2.4\nnothing:\nright: yes\n"
    assert read_yaml(write_yaml(tmp_path, text)).data == {
        "pruning": {"pattern": "2:4"},
        "other": "4:8",
        "count": 24,
        "share": 2.4,
        "nothing": None,
        "right": True,
    }
    assert parse_override("pruning.pattern=2:4") == ("pruning.pattern", "2:4")
    assert parse_override("pruning={pattern: 4:8}") == ("pruning", {"pattern": "4:8"})


def test_billion_laughs_are_refused_before_they_unfold(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 40)]
    message = refusal(tmp_path, "\n".join(["l0: &l0 [lol, lol, lol]", *levels]))
    assert "must not unfold to more than 20,000 nodes" in message


def test_a_long_honest_file_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    items = read_yaml(write_yaml(tmp_path, f"a: {[0] * 19_900}\n")).data["a"]
    assert len(items) == 19_900
    assert "must not unfold to more than 20,000 nodes" in refusal(tmp_path, f"a: {[0] * 20_100}\n")


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: " + "[" * 5000 + "\n"])
def test_data_without_a_bottom_is_refused(tmp_path: Path, text: str) -> None:
    assert "can't be read: it is nested too deeply; simplify the file" in refusal(tmp_path, text)


def test_reading_scenarios_imports_no_torch() -> None:
    code = "import sys, flexrel_sim.simulation; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
