import json

import numpy as np
import pytest

import flexrel_sim
from flexrel_sim.api import silent
from flexrel_sim.datasets import train_samples
from flexrel_sim.errors import InputError, ScenarioError
from flexrel_sim.measure import cached_profile
from flexrel_sim.profile import load_profile
from flexrel_sim.scenario import load_scenario
from flexrel_sim.simulation import Summary, Unstable, simulate_point
from flexrel_sim.study import check_all, run_study


def run(workspace, name="study.yaml", **overrides):
    return run_study(load_scenario(workspace / name, overrides), 1, silent, None)


def test_every_point_of_the_sweep_has_a_result_in_order(workspace):
    result = run(workspace)
    assert [point.index for point in result.points] == list(range(len(result.points)))
    assert len(result.points) == 6 + 9


def test_overloaded_points_have_no_latency_and_are_warned_of_with_their_rho(workspace):
    result = run(workspace)
    unstable = [point for point in result.points if isinstance(point.outcome, Unstable)]
    assert unstable
    assert all(point.outcome.load >= 1 for point in unstable)
    overloaded = [warning for warning in result.warnings if "overloaded" in warning.rule]
    (told,) = overloaded
    assert f"{len(unstable)} of {len(result.points)} points are overloaded" in told.rule
    worst = max(point.outcome.load for point in unstable)
    assert f"rho = {worst:.3g}" in told.rule
    assert len(str(told)) < 500
    assert not any(point.on_front or point.chosen for point in unstable)


def test_an_overloaded_scenario_is_refused_with_place_rho_and_remedy(workspace):
    with pytest.raises(
        ScenarioError,
        match=r"small.yaml:8: link.uplink: the uplink is overloaded with rho = .*lower",
    ):
        run_study(
            load_scenario(workspace / "small.yaml", {"workload.rate": "4000 /s"}), 1, silent, None
        )


def test_a_point_is_compared_only_within_its_environment(workspace):
    result = run(workspace)
    for environment in {point.environment for point in result.points}:
        group = [point for point in result.points if point.environment == environment]
        assert sum(point.chosen for point in group) <= 1
    assert result.chosen in result.headline_points
    assert {point.scenario.link.uplink for point in result.headline_points} == {1e6}


def test_selection_sees_the_validation_accuracy_and_the_summary_the_test_accuracy(workspace):
    point = run(workspace, "small.yaml").points[0]
    assert isinstance(point.outcome, Summary)
    assert point.selection_metrics()["accuracy"] == point.profile.validation_accuracy.value
    assert point.outcome.metrics["accuracy"] == point.profile.accuracy


def test_selection_sees_recalls_of_validation_samples_and_the_summary_those_of_test_samples(
    workspace,
):
    objectives = {"balanced_accuracy": "max", "worst_recall": "max"}
    overrides = {"objectives": objectives, "constraints": {"balanced_accuracy": ">= 0.3"}}
    result = run_study(load_scenario(workspace / "small.yaml", overrides), 1, silent, None)
    (point,) = result.points
    assert point.chosen
    for name in ("accuracy", "balanced_accuracy", "worst_recall"):
        seen = point.selection_metrics()[name]
        assert seen == point.profile.validation_recalls.figures[name].value
        assert point.outcome.metrics[name] == point.profile.recalls.figures[name]


def relabelled(workspace, change):
    """Run the digits with other labels, as a user's own data."""
    samples = train_samples("digits", 1000)
    images = (255 * samples.images).round().astype(np.uint8)
    np.savez(workspace / "mine.npz", images=images, labels=change(samples.labels))
    result = run(workspace, "small.yaml", **{"data.dataset": "mine.npz"})
    return [str(warning) for warning in result.warnings]


def test_labels_that_are_not_the_networks_are_told_once_and_right_ones_are_not(workspace):
    wrong = [one for one in relabelled(workspace, lambda labels: 9 - labels) if "accuracy" in one]
    (told,) = wrong
    assert "data: before it is pruned, the accuracy 0." in told
    assert "compare labels, order of classes and pixels" in told
    assert not any("is not above" in one for one in relabelled(workspace, lambda labels: labels))


def test_points_that_are_worth_no_more_than_a_constant_answer_are_told_in_one_line(workspace):
    (told,) = [
        str(warning)
        for warning in run(workspace, sweep={"pruning.ratio": [0, 0.89, 0.9]}).warnings
        if "constant" in str(warning)
    ]
    assert "2 of 3 points are worth no more than a constant answer; the acc" in told
    assert "is not above 0." in told


def test_points_that_cannot_differ_share_a_profile(workspace):
    result = run(workspace)
    dense = {p.profile.key for p in result.points if p.values.get("pruning.ratio") == 0}
    assert len(dense) == 1


def test_a_measured_profile_is_cached_and_a_cached_one_gives_the_same_figures(workspace):
    first = run(workspace, "small.yaml").points[0]
    assert cached_profile(first.profile.key) is not None
    again = run(workspace, "small.yaml").points[0]
    assert again.outcome == first.outcome


def test_all_faults_of_both_halves_are_told_at_once(workspace):
    overrides = {"edge.device": "rasberry-pi-4", "split.cut": "pool9", "pruning.criterion": "magic"}
    with pytest.raises(ScenarioError) as caught:
        check_all(load_scenario(workspace / "small.yaml", overrides))
    paths = {fault.path for fault in caught.value.faults}
    assert paths == {"edge.device", "split.cut", "pruning.criterion"}
    assert "did you mean 'raspberry-pi-4'" in str(caught.value)


def test_a_wrong_device_file_is_told_with_its_own_lines(workspace):
    (workspace / "board.yaml").write_text("description: mine\ncompute_flop_per_s: -1\n")
    with pytest.raises(ScenarioError, match=r"board.yaml:2: compute_flop_per_s"):
        check_all(load_scenario(workspace / "small.yaml", {"edge.device": "board.yaml"}))


def test_a_stored_profile_simulates_to_the_same_figures_as_the_run_that_measured_it(workspace):
    finished = flexrel_sim.run("small.yaml", "out", workers=1)
    stored = next((workspace / "out" / "profiles").iterdir())
    again = flexrel_sim.simulate(stored, "small.yaml", "again", workers=1)
    assert again.result.points[0].outcome == finished.result.points[0].outcome


def test_simulate_point_is_what_a_study_does_with_each_point(workspace):
    result = run(workspace, "small.yaml")
    point = result.points[0]
    summary = simulate_point(point.scenario, point.profile, workspace)
    assert summary == point.outcome


def test_a_simulation_of_a_profile_checks_its_devices(workspace):
    flexrel_sim.run("small.yaml", "out", workers=1)
    stored = next((workspace / "out" / "profiles").iterdir())
    assert load_profile(stored).crosses_link
    with pytest.raises(ScenarioError, match="edge.device: unknown device"):
        flexrel_sim.simulate(stored, "small.yaml", "x", {"edge.device": "abacus"})


@pytest.mark.parametrize("file", ["small.yaml", "study.yaml"])
def test_the_summary_is_the_same_to_the_byte_at_any_number_of_workers(workspace, monkeypatch, file):
    monkeypatch.setenv("FLEXREL_CACHE", str(workspace / "cache1"))
    flexrel_sim.run(file, "one", workers=1)
    monkeypatch.setenv("FLEXREL_CACHE", str(workspace / "cache2"))
    flexrel_sim.run(file, "two", workers=2)
    one, two = (workspace / name / "summary.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert json.loads(one.read_text())["points"]


def test_a_study_of_overloaded_points_only_is_refused_with_their_number(workspace):
    with pytest.raises(ScenarioError, match=r"all \d+ points are overloaded .*rho = "):
        run(workspace, **{"workload.rate": "9000 /s", "split.cut": "pool1"})


def test_a_cache_that_cannot_be_made_is_told_with_its_variable(workspace, monkeypatch):
    monkeypatch.setenv("FLEXREL_CACHE", str(workspace / "small.yaml"))
    with pytest.raises(InputError, match="can't hold the cache: .*set FLEXREL_CACHE"):
        run(workspace, "small.yaml")


# 10 ms at 80 requests a second is a load of 0.8, whose queue remembers 72 requests.
LOADED = {"edge.service_time": "10 ms", "workload.rate": "80 /s", "split.cut": "edge"}


def test_a_run_too_short_for_its_load_is_warned_of(workspace):
    (few,) = run(workspace, "small.yaml", **LOADED).warnings
    assert few.path == "workload.duration"
    assert "is too short to rely on the 95 % intervals of latency_mean_s, latency_p50_s" in few.rule
    assert "worst latency_p99_s: 8.7" in few.rule
    assert "requests lie beyond it, as informative as 0.1" in few.rule
    assert few.remedy == "run 83 times as long, or as many more replications"


@pytest.mark.parametrize(("warmup", "told"), [("0 s", True), ("0.1 s", True), ("1 s", False)])
def test_a_warm_up_too_short_for_the_load_is_warned_of_and_a_longer_one_is_not(
    workspace, warmup, told
):
    long = {"workload.duration": "40 s", "simulation.replications": 30}
    warnings = run(workspace, "small.yaml", **LOADED, **long, **{"simulation.warmup": warmup})
    assert bool(warnings.warnings) is told
    for start in warnings.warnings:
        assert start.path == "simulation.warmup"
        assert start.rule.startswith("leaves the empty start in latency_mean_s")
        assert "queues start empty, and the edge's takes 0.897 s to forget it" in start.rule
        assert start.remedy.startswith("set at least 0.45 s")


def test_one_warning_tells_of_all_points_that_are_too_short(workspace):
    short = [w for w in run(workspace, "study.yaml").warnings if "95 %" in w.rule]
    assert len({warning.path for warning in short}) == len(short)
    assert any("points; worst" in warning.rule for warning in short)
