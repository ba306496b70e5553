"""What a study tells of drops: a latency is that of requests that were answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flexrel_sim.api import silent
from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import load_scenario
from flexrel_sim.simulation import Summary
from flexrel_sim.study import StudyResult, run_study

# A deadline that the way to the server and back already takes, and a server that minds.
HOPELESS = {"workload.deadline": "1 ms", "workload.late": "drop", "link.delay": "40 ms"}


def run(workspace: Path, **overrides: Any) -> StudyResult:
    return run_study(load_scenario(workspace / "small.yaml", overrides), 1, silent, None)


def test_drops_are_told_where_nothing_ranks_by_them(workspace: Path) -> None:
    outages = {"edge.failures": {"windows": [["1 s", "2 s"]]}}
    (told,) = [w for w in run(workspace, **outages).warnings if "dropped" in w.rule]
    assert told.path == "objectives"
    assert "miss_share" in told.remedy


def test_drops_are_not_told_where_points_are_ranked_by_them(workspace: Path) -> None:
    outages = {
        "edge.failures": {"windows": [["1 s", "2 s"]]},
        "objectives": {"miss_share": "min", "accuracy": "max"},
    }
    assert not [w for w in run(workspace, **outages).warnings if "dropped" in w.rule]


def test_a_point_that_answers_nothing_is_kept_without_a_latency_and_never_chosen(
    workspace: Path,
) -> None:
    objectives = {"objectives": {"miss_share": "min", "accuracy": "max"}}
    (point,) = run(workspace, **HOPELESS, **objectives).points
    assert isinstance(point.outcome, Summary)
    assert "latency_p95_s" not in point.outcome.metrics
    assert point.outcome.metrics["miss_share"].value == 1


def test_ranking_by_a_latency_that_no_point_has_is_refused_with_what_it_needs(
    workspace: Path,
) -> None:
    with pytest.raises(ScenarioError, match="latency_p95_s: is a figure that needs a request"):
        run(workspace, **HOPELESS)
