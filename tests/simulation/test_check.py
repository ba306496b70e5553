"""What does not fit together is told by ``flexrel-sim validate``, on its line, before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flexrel_sim.cli import app

BURSTS = "bursts: {factor: 9, mean_on: 1 s, mean_off: 4 s}"

# Each writes one section anew; the text it is told with follows.
FINDINGS = {
    "bursts that nobody asked for": (
        f"workload: {{rate: 40 /s, duration: 4 s, {BURSTS}}}",
        "workload.bursts: has no effect with arrivals: poisson",
    ),
    "bursts that are missing": (
        "workload: {arrivals: bursty, rate: 40 /s, duration: 4 s}",
        "workload.bursts: is needed by arrivals: bursty",
    ),
    "a day that is missing": (
        "workload: {arrivals: diurnal, rate: 40 /s, duration: 4 s}",
        "workload.diurnal: is needed by arrivals: diurnal",
    ),
    "a day that nobody asked for": (
        "workload: {rate: 40 /s, duration: 4 s, diurnal: {amplitude: 0.5}}",
        "workload.diurnal: has no effect with arrivals: poisson",
    ),
    "a file that is missing": (
        "workload: {arrivals: replay, duration: 4 s}",
        "workload.file: is needed by arrivals: replay",
    ),
    "a rate of what is recorded": (
        "workload: {arrivals: replay, file: came.csv, rate: 40 /s, duration: 4 s}",
        "workload.rate: has no effect with arrivals: replay",
    ),
    "no rate": ("workload: {duration: 4 s}", "workload.rate: is required; add it"),
    "clients of an open workload": (
        "workload: {rate: 40 /s, duration: 4 s, clients: 3}",
        "workload.clients: has no effect with arrivals: poisson",
    ),
    "clients that are missing": (
        "workload: {arrivals: closed, duration: 4 s, think_time: 1 s}",
        "workload.clients: is needed by arrivals: closed",
    ),
    "phases of a Poisson process": (
        "workload: {rate: 40 /s, duration: 4 s, phases: random}",
        "workload.phases: has no effect with arrivals: poisson",
    ),
    "jitter of a Poisson process": (
        "workload: {rate: 40 /s, duration: 4 s, jitter: 1 ms}",
        "workload.jitter: has no effect with arrivals: poisson",
    ),
    "dropping what can't be late": (
        "workload: {rate: 40 /s, duration: 4 s, late: drop}",
        "workload.late: needs a deadline",
    ),
    "more frames than can be sorted": (
        "workload: {arrivals: periodic, rate: 1000000 /s, duration: 60 s}",
        "workload.rate: periodic requests must be at most 50,000,000 in a replication",
    ),
    "two rules for when a batch starts": (
        "server: {device: t4, batch: {size: 4, timeout: 1 ms, answer_within: 9 ms}}",
        "server.batch.answer_within: takes the place of timeout",
    ),
    "failures without a rule": (
        "server: {device: t4, failures: {}}",
        "server.failures: needs either windows, or mean_up and mean_down",
    ),
    "failures by two rules": (
        "server: {device: t4, failures: {windows: [[1 s, 2 s]], mean_up: 9 s, mean_down: 1 s}}",
        "server.failures: needs either windows, or mean_up and mean_down",
    ),
    "failures that are never repaired": (
        "edge: {device: raspberry-pi-zero-2w, failures: {mean_up: 9 s}}",
        "edge.failures: needs both mean_up and mean_down",
    ),
    "windows out of order": (
        "edge: {device: raspberry-pi-zero-2w, failures: {windows: [[3 s, 4 s], [1 s, 2 s]]}}",
        "edge.failures.windows: must end after they start, in order and apart",
    ),
    "windows that touch": (
        "server: {device: t4, failures: {windows: [[1 s, 2 s], [2 s, 3 s]]}}",
        "server.failures.windows: must end after they start, in order and apart",
    ),
}

SIMULATION = "simulation: {replications: 3, seed: 1}"


def validate(workspace: Path, section: str) -> tuple[Result, int]:
    """Write the workspace's scenario with another section; give the section's line too."""
    lines = (workspace / "small.yaml").read_text().splitlines()
    name = section.partition(":")[0]
    line = next(n for n, text in enumerate(lines) if text.startswith(f"{name}:"))
    lines[line] = section
    lines = [SIMULATION if text.startswith("simulation:") else text for text in lines]
    (workspace / "wrong.yaml").write_text("\n".join(lines))
    return CliRunner().invoke(app, ["validate", "wrong.yaml"]), line + 1


@pytest.mark.parametrize("what", FINDINGS)
def test_validate_tells_of(what: str, workspace: Path) -> None:
    section, told = FINDINGS[what]
    result, line = validate(workspace, section)
    assert result.exit_code == 2
    assert f"wrong.yaml:{line}: {told}" in " ".join(result.output.split())


FINE = {
    "a recording": "workload: {arrivals: replay, file: came.csv, duration: 4 s}",
    "bursts": f"workload: {{arrivals: bursty, rate: 40 /s, duration: 4 s, {BURSTS}}}",
    "frames": "workload: {arrivals: periodic, rate: 40 /s, duration: 4 s, phases: random,"
    " jitter: 1 ms}",
    "a deadline": "workload: {rate: 40 /s, duration: 4 s, deadline: 1 s, late: drop}",
    "an answer within": "server: {device: t4, batch: {size: 4, answer_within: 9 ms}}",
    "windows": "server: {device: t4, failures: {windows: [[1 s, 2 s], [3 s, 4 s]]}}",
    "chance": "edge: {device: raspberry-pi-zero-2w, failures: {mean_up: 9 s, mean_down: 1 s}}",
}


@pytest.mark.parametrize("what", FINE)
def test_validate_has_nothing_against(what: str, workspace: Path) -> None:
    result, _ = validate(workspace, FINE[what])
    assert result.exit_code == 0, result.output
