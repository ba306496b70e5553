"""Studies with a controller: a profile is measured for every option."""

import json

import pytest

import flexrel_sim
from flexrel_sim.api import silent
from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import load_scenario, load_system_scenario
from flexrel_sim.simulation import Summary
from flexrel_sim.study import check_all, run_study, simulate_study

CONTROLLER = """\
controller:
  policy: ema
  options: [{split.cut: pool1}, {split.cut: edge}]
  start: 1
"""


def file(workspace, text=CONTROLLER):
    target = workspace / "controlled.yaml"
    target.write_text((workspace / "small.yaml").read_text() + text)
    return target


def test_every_option_is_measured_once_and_every_point_has_all(workspace):
    text = CONTROLLER + "sweep: {controller.policy: [static, ema, oracle]}\n"
    scenario_file = load_scenario(file(workspace, text))
    specs = check_all(scenario_file).specs
    assert len(specs) == 6
    assert len({spec.key for spec in specs}) == 2
    result = run_study(scenario_file, 1, silent, None)
    for point in result.points:
        cuts = [own.operating_point["split"]["cut"] for own in point.options]
        assert cuts == ["pool1", "edge"]
        assert point.profile is point.options[1]
        assert isinstance(point.outcome, Summary)
        assert "regret_s" in point.outcome.metrics
    assert result.points[2].outcome.metrics["regret_s"].value == 0


def test_the_result_names_the_options_and_keeps_their_profiles(workspace):
    run = flexrel_sim.run(file(workspace), workspace / "out", workers=1)
    (point,) = json.loads((run.folder / "summary.json").read_text())["points"]
    shares = [option["share"] for option in point["options"]]
    assert sum(shares) == pytest.approx(1)
    for option in point["options"]:
        assert (run.folder / "profiles" / option["profile"]).is_dir()


def test_options_are_checked_as_points_of_a_sweep_are(workspace):
    text = CONTROLLER.replace("pool1", "pool9").replace("split.cut: edge", "codec.dtype: uint9")
    with pytest.raises(ScenarioError) as caught:
        check_all(load_scenario(file(workspace, text)))
    told = str(caught.value)
    assert "controlled.yaml:14: controller.options[0].split.cut" in told
    assert "controlled.yaml:14: controller.options[1].codec.dtype" in told


def test_a_fallback_without_an_option_on_the_edge_is_refused(workspace):
    text = CONTROLLER.replace("split.cut: edge", "split.cut: pool2")
    text += "  fallback: true\n  patience: 1 s\n"
    with pytest.raises(ScenarioError, match="needs an option that stays on the edge"):
        check_all(load_scenario(file(workspace, text)))


def test_a_controller_is_simulated_with_one_profile_per_option_and_refused_with_fewer(workspace):
    scenario_file = load_scenario(file(workspace))
    options = run_study(scenario_file, 1, silent, None).points[0].options
    system = load_system_scenario(file(workspace))
    result = simulate_study(system, options, 1, silent, None)
    assert isinstance(result.points[0].outcome, Summary)
    with pytest.raises(ScenarioError, match=r"has 2 options and needs a profile for each; 1 given"):
        simulate_study(system, options[0], 1, silent, None)
    plain = load_system_scenario(workspace / "small.yaml")
    with pytest.raises(ScenarioError, match="nothing chooses among them"):
        simulate_study(plain, options, 1, silent, None)


def test_a_controllers_scenario_ships_its_own_operating_point(workspace):
    files = [workspace / "shipped.safetensors", workspace / "plain.safetensors"]
    flexrel_sim.prune(file(workspace), files[0])
    flexrel_sim.prune(workspace / "small.yaml", files[1])
    assert files[0].read_bytes() == files[1].read_bytes()
