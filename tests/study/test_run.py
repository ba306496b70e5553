import json

import pytest

import flexrel_sim
from flexrel_sim.api import silent
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


def test_a_run_too_short_for_its_load_is_warned_of_and_a_longer_one_is_not(workspace):
    # 10 ms at 96 requests a second is a load of 0.96.
    loaded = {"edge.service_time": "10 ms", "workload.rate": "96 /s", "split.cut": "edge"}
    short = run(workspace, "small.yaml", **loaded)
    assert any(
        "the edge is close to saturation with rho = 0.96" in str(warning)
        and "lengthen the run" in str(warning)
        for warning in short.warnings
    )
    long = run(workspace, "small.yaml", **loaded, **{"workload.duration": "400 s"})
    assert long.warnings == ()
