"""Hostile command lines: exit code 2, a line for each fault, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flexrel_sim.cli import app
from flexrel_sim.profile import save_profile
from tests.builders import make_profile
from tests.fuzz.place import place
from tests.networks.cards import CARD_YAML

__all__ = ["place"]

FILES = {
    "none.yaml": "can't be read: No such file or directory; ",
    "folder": "can't be read: Is a directory; ",
    "fifo": "can't be read: is a pipe, a socket or a device, and no file; ",
    "loop": "can't be read: Too many levels of symbolic links; ",
    "a" * 300: "can't be read: File name too long; ",
    "binary": "must be UTF-8 text; ",
    "latin1.yaml": "must be UTF-8 text; ",
    "empty": "must be a mapping of keys to values; ",
    "deep.yaml": "can't be read: it is nested too deeply; ",
    "huge.yaml": "can't be read as int; ",
}

# What stands before and after the file; those with more than one file take an honest other one.
COMMANDS = [
    ("run",),
    ("prune", "-o", "new.safetensors"),
    ("export", "-o", "out"),
    ("compare",),
    ("cuts",),
    ("link",),
    ("validate",),
    ("train",),
    ("train-bottleneck", "-o", "narrow.yaml", "--channels", "2"),
    ("simulate", "profile"),
]


BOTTLENECK = ("train-bottleneck", "scenario.yaml", "-o", "n.yaml")


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (place / "binary").write_bytes(bytes(range(256)))
    (place / "latin1.yaml").write_bytes("name: réseau\n".encode("latin-1"))
    (place / "deep.yaml").write_text("a: " + "[" * 500)
    (place / "huge.yaml").write_text(f"name: x\nedge: {{count: {'9' * 5000}}}\n")
    (place / "card.yaml").write_text(CARD_YAML)
    save_profile(make_profile(), place / "profile")
    monkeypatch.chdir(place)
    monkeypatch.setenv("FLEXREL_CACHE", str(place / "cache"))
    return place


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def refused(result: Result, told: str, *, faults: int = 1) -> None:
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == faults, result.stderr
    assert told in result.stderr, result.stderr
    assert all(line.isprintable() for line in lines)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("name", FILES, ids=lambda name: name[:10])
def test_every_command_refuses_what_is_no_scenario_or_card(
    here: Path, words: tuple[str, ...], name: str
) -> None:
    before = sorted(os.listdir(here))  # noqa: PTH208 - names only
    refused(call(words[0], *[word for word in words[1:] if word == "profile"], name,
                 *[word for word in words[1:] if word != "profile"]), FILES[name])  # fmt: skip
    assert sorted(os.listdir(here)) == before  # noqa: PTH208


@pytest.mark.parametrize("name", ["none", "scenario.yaml", "fifo", "loop", "folder", "a" * 300])
def test_what_is_no_profile_is_refused(here: Path, name: str) -> None:
    refused(call("simulate", name, "scenario.yaml"), "profile.json: can't be read: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "scenario.yaml", "--workers", "0"), "0 is not in the range"),
        (("run", "scenario.yaml", "--workers", "9" * 5000), "is not a valid"),
        (("run", "scenario.yaml", "--workers", "nan"), "is not a valid integer"),
        (("run", "scenario.yaml", "--unknown"), "No such option"),
        (("run",), "Missing argument"),
        (("unknown",), "No such command"),
        (("link", "scenario.yaml", "--payload", "-1"), "is not in the range"),
        ((*BOTTLENECK, "--channels", "2", "--seed", str(2**64)), "is not in the range"),
        ((*BOTTLENECK, "--channels", "1e3"), "is not a valid"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_options_that_can_not_be_are_refused(here: Path, words: tuple[str, ...], told: str) -> None:
    result = call(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert told in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("sweep=.nan", "--set sweep: must map dotted paths to values, got nan; write "),
        ("sweep=3", "--set sweep: must map dotted paths to values, got 3; write "),
        ("sweep=true", "--set sweep: must map dotted paths to values, got True; write "),
        ("edge.count=" + "9" * 5000, "must be path=value"),
        ("edge.count=0x" + "f" * 5000, "must be path=value"),
        ("edge.count=" + "9" * 300, "--set edge.count: "),
        ("edge.count=.nan", "--set edge.count: must be a valid integer, got nan; "),
        ("link.delay=1e308 s", "--set link.delay: "),
        ("link.uplink=1e308 GB", "--set link.uplink: "),
        ("link.uplink.trace=fifo", "--set link.uplink"),
        ("simulation.seed=18446744073709551616", "--set simulation.seed: "),
        ("data.seed=18446744073709551616", "--set data.seed: "),
        ('name="\\ud800"', "must be path=value"),
        ('model.network="a\\0b"', "a\\x00b"),
        ("model.network=" + "a" * 300, "--set model.network: must be the card of a network"),
        ("=1", "--set =1: (none): must be path=value"),
        ("nothing", "must be path=value"),
        ("a=" + "[" * 20_000, "must be path=value"),
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.parametrize("command", ["run", "cuts"])
def test_settings_that_can_not_be_are_refused(
    here: Path, command: str, setting: str, told: str
) -> None:
    refused(call(command, "scenario.yaml", "--set", setting), told)


@pytest.mark.parametrize("name", ["a" * 300 + ".yaml", "loop", "loop.yaml", "fifo", "nul\\0.yaml"])
@pytest.mark.parametrize("path", ["edge.device", "server.device", "edge.radio", "data.dataset"])
def test_files_that_can_not_be_are_refused_by_the_option_that_names_them(
    here: Path, path: str, name: str
) -> None:
    refused(call("run", "scenario.yaml", "--set", f'{path}="{name}"'), f"--set {path}: ")


@pytest.mark.parametrize("seed", [2**63, 2**64, 10**30])
def test_a_seed_of_more_bits_than_generators_take_is_refused(here: Path, seed: int) -> None:
    (here / "seed.yaml").write_text(CARD_YAML.replace("seed: 0", f"seed: {seed}"))
    refused(call("train", "seed.yaml"), "training.seed: must be less than or equal to")


def test_a_place_that_can_not_be_written_is_told_in_a_line(here: Path) -> None:
    (here / "link.yaml").write_text("uplink: 5 Mbit/s\ndownlink: 5 Mbit/s\n")
    for output in ("loop/x.png", "empty/x.png", "none/x.png", "a" * 300 + ".png"):
        refused(call("link", "link.yaml", "-o", output), "can't be written")
    for output in ("loop", "empty", "empty/x"):
        refused(call("link", "link.yaml", "--traces", output), "can't be written")
        result = call("simulate", "profile", "scenario.yaml", "-o", output)
        assert result.exit_code == 2, (result.output, result.exception)
