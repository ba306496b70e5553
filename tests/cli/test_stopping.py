"""How a command ends before its end: by a signal, or by a reader that has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from flexrel_sim import __version__, signals
from flexrel_sim.cli import app
from flexrel_sim.signals import Stopped, held

# A minute of work for the slow engine, so that it is surely stopped.
LONG = ("simulation.engine=simpy", "workload.duration=3000 s", "simulation.replications=50")


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def python():
    """Start Python in a group of its own, and leave nothing of it behind."""
    started = []

    def start(*words, **named):
        started.append(_python(*words, **named))
        return started[-1]

    yield start
    for process in started:
        if members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _python(*words, **named):
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite in the background of a script ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        **named,
    )


RUN = ("-m", "flexrel_sim", "run", "two.yaml", "-o", "out", "--workers", "2")
LONG_RUN = (*RUN, *(word for setting in LONG for word in ("--set", setting)))


def eventually(found, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.02)
    return found()


def members(group):
    """Processes of a group that are not zombies."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, group_id = rest.split()[:3]
        if int(group_id) == group and state not in "ZX":
            alive.append(int(stat.parent.name))
    return alive


@pytest.fixture
def two_points(workspace):
    sweep = "sweep: {link.uplink: [1 Mbit/s, 2 Mbit/s]}\n"
    (workspace / "two.yaml").write_text((workspace / "small.yaml").read_text() + sweep)


@pytest.fixture
def earlier(workspace, two_points):
    assert call("run", "two.yaml", "-o", "out", "--workers", 1).exit_code == 0
    return (workspace / "out" / "summary.json").read_bytes()


def test_the_module_is_the_command(python):
    process = python("-m", "flexrel_sim", "--version")
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert __version__ in stdout


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")],
)
@pytest.mark.parametrize("to_all", [True, False])
def test_a_signal_ends_a_run_with_a_line_130_or_143_and_the_earlier_result(
    python, workspace, earlier, number, told, to_all
):
    process = python(*LONG_RUN)
    assert eventually((workspace / ".out.partial" / "new").exists)
    # Workers are importing what they need, in one case, and computing in the other.
    time.sleep(0.1 if to_all else 2.5)
    (os.killpg if to_all else os.kill)(process.pid, number)
    stdout, stderr = process.communicate(timeout=60)
    assert stderr == f"{told}; nothing was written, earlier results are as they were\n"
    assert (process.returncode, stdout) == (128 + number, "")
    assert (workspace / "out" / "summary.json").read_bytes() == earlier
    assert not list(workspace.glob(".out*"))
    assert eventually(lambda: not members(process.pid))


def test_no_worker_outlives_a_killed_parent_and_the_next_run_cleans_up(python, workspace, earlier):
    process = python(*LONG_RUN)
    assert eventually(lambda: len(members(process.pid)) >= 3)
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert eventually(lambda: not members(process.pid))
    assert (workspace / ".out.partial").exists()
    assert (workspace / "out" / "summary.json").read_bytes() == earlier
    assert call("run", "two.yaml", "-o", "out", "--workers", 1).exit_code == 0
    assert not list(workspace.glob(".out*"))


STOPS = """
import os, signal, sys
from pathlib import Path
from flexrel_sim.__main__ import main
import flexrel_sim.api

def stops(*_, **__):
"""

CALL = """
flexrel_sim.api.run = stops
sys.argv = ["flexrel-sim", "run", "small.yaml"]
main()
"""


WRAPPED = """
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        raise ValueError(f"PydanticSerializationError: {error!r}")
"""

A_FILE = """
    from flexrel_sim.files import write_whole
    write_whole(Path("net.yaml"), b"x")
    os.kill(os.getpid(), signal.SIGINT)
"""

A_RESULT = """
    from flexrel_sim.report import result_folder
    with result_folder(Path("res"), "x") as folder:
        (folder / "x").touch()
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (WRAPPED, "nothing was written, earlier results are as they were"),
        (A_FILE, "written before that, and whole: net.yaml"),
        (A_RESULT, "written before that, and whole: {workspace}/res"),
    ],
)
def test_what_is_said_of_an_interrupted_command_is_true(python, workspace, body, said):
    process = python("-c", STOPS + body + CALL)
    _, stderr = process.communicate(timeout=60)
    assert stderr == f"interrupted; {said.format(workspace=workspace)}\n"
    assert process.returncode == 130


def test_ctrl_c_while_modules_are_imported_is_a_line(python, tmp_path):
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    process = python("-m", "flexrel_sim", "--help", env=dict(os.environ) | paths(tmp_path))
    _, stderr = process.communicate(timeout=60)
    assert stderr == "interrupted; nothing was written, earlier results are as they were\n"
    assert process.returncode == 130


def paths(*first):
    return {"PYTHONPATH": os.pathsep.join([*map(str, first), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("words", [("run", "two.yaml", "-o", "x", "--workers", "1"), ("devices",)])
def test_a_reader_that_has_gone_ends_a_command_quietly(workspace, two_points, words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "flexrel_sim", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())
    assert words[0] != "run" or (workspace / "x" / "summary.json").is_file()


@pytest.fixture
def own_handlers(monkeypatch):
    before = {number: signal.getsignal(number) for number in signals.STOPPING}
    monkeypatch.setattr(signals, "_received", [])
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_waits_while_it_is_held_and_comes_then(own_handlers, number):
    signals.stop_on_signals()
    done = []

    def body():
        with held(), held():
            signal.raise_signal(number)
            done.append("body")

    with pytest.raises(Stopped, match=str(int(number))):
        body()
    assert done == ["body"]
    assert signals.stopped_by() == number


def test_an_ignored_signal_stays_ignored(own_handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.stop_on_signals()
    with held():
        signal.raise_signal(signal.SIGINT)
    assert signals.stopped_by() is None
