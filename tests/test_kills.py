"""Runs that are killed at any moment: what they leave, and what the next one makes of it.

`FLEXREL_KILLS` sets how many; `make kill` tries hundreds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from flexrel_sim.checksums import strangers
from tests.cli.test_stopping import eventually, members
from tests.workspace import shared_cache, trained_folder, workspace

__all__ = ["shared_cache", "trained_folder", "workspace"]

KILLS = int(os.environ.get("FLEXREL_KILLS", "20"))

# Most are killed, which nothing can be done about; the others are let to clean up.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

# A worker has a second of imports of its own.
WITH_WORKERS = 6


class Driver:
    """`tests.killing`, and the run that it started last."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.group = 0

    def ask(self, *words: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, *words: str) -> None:
        self.group = self.ask(*words)

    def ended(self) -> int:
        return self.ask()


@pytest.fixture
def driver(workspace):
    sweep = "sweep: {link.uplink: [1 Mbit/s, 2 Mbit/s]}\n"
    (workspace / "two.yaml").write_text((workspace / "small.yaml").read_text() + sweep)
    made = Driver()
    yield made
    made.process.communicate()
    if made.group and members(made.group):
        os.killpg(made.group, signal.SIGKILL)


def whole(folder: Path) -> str:
    """Give the summary of a result that has all its files and no others."""
    assert strangers(folder) == []
    names = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert len(names) > 5
    assert all((folder / name).is_file() for name in names)
    return (folder / "summary.json").read_text()


def words(seed: int, workers: int) -> tuple[str, ...]:
    file = "two.yaml" if workers > 1 else "small.yaml"
    seeded = f"simulation.seed={seed}"
    return ("run", file, "-o", "out", "--workers", str(workers), "--set", seeded)


def test_a_run_killed_at_any_moment_leaves_a_whole_result_no_worker_and_a_next_run_that_cleans_up(
    driver, workspace
):
    out = workspace / "out"
    # What is imported here is there in all runs that follow.
    assert driver.ask("here", *words(1, 1)) == 0
    draws = random.Random(17)  # noqa: S311
    started = time.monotonic()
    driver.start(*words(2, 1))
    assert driver.ended() == 0
    life_s = time.monotonic() - started
    results, ends = {whole(out)}, Counter()
    for kill in range(1, KILLS + 1):
        workers = 2 if kill % WITH_WORKERS == 0 else 1
        # Half of them while files are written and swapped.
        moment_s = life_s * draws.uniform(0.7 * (kill % 2), 1.05) * (3 if workers > 1 else 1)
        number = draws.choice(SIGNALS)
        driver.start(*words(kill + 2, workers))
        time.sleep(moment_s)
        # A shell sends Ctrl-C to the group.
        (os.killpg if number == signal.SIGINT else os.kill)(driver.group, number)
        code = driver.ended()
        log = (workspace / "killed.log").read_text()
        assert code in {0, -number, 128 + number}, log
        ends["whole" if code == 0 else "ended"] += 1
        assert "Traceback" not in log
        if code == 128 + number:
            word = "interrupted" if number == signal.SIGINT else "terminated"
            written = whole(out) not in results
            assert f"{word}; {'written before that' if written else 'nothing was written'}" in log
        assert eventually(lambda: not members(driver.group))
        if code >= 0:
            assert not list(workspace.glob(".out*"))
        results = {whole(out)}
        assert code != 0 or f'"seed": {kill + 2}' in (out / "provenance.json").read_text()
    # Neither all too early nor all too late, or nothing was tried.
    assert min(ends["whole"], ends["ended"]) > 0, ends
    driver.start(*words(0, 1))
    assert driver.ended() == 0, (workspace / "killed.log").read_text()
    assert '"seed": 0' in (out / "provenance.json").read_text()
    whole(out)
    assert not [path.name for path in workspace.iterdir() if path.name.startswith(".")]
    assert not list((Path(os.environ["FLEXREL_CACHE"])).rglob("*.partial"))
