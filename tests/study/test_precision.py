"""The number format of inference: what it changes, what is refused, what is said."""

import pytest

import flexrel_sim
from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import NetworkTraits, list_devices, roofline_batch_time, service_time_s
from flexrel_sim.measure import check
from flexrel_sim.scenario import load_scenario

NO_CODEC = {"edge.codec_time": "0 s", "server.codec_time": "0 s"}
INT8 = {"edge.device": "stm32f746", "edge.precision": "int8"}


def run(name, **overrides):
    return flexrel_sim.run("small.yaml", name, overrides, workers=1).result


def busy_s(result):
    (point,) = result.points
    return point.outcome.shares["edge compute"].mean_s


def said(result):
    return [str(warning) for warning in result.warnings if "precision" in str(warning)]


def test_a_format_takes_its_own_rate_and_bytes_on_the_edge_and_the_server(workspace):
    result = run("out", **INT8, **NO_CODEC, **{"server.precision": "float16"})
    (point,) = result.points
    for device, layers, precision, stage in (
        ("stm32f746", point.profile.head, "int8", "edge compute"),
        ("t4", point.profile.tail, "float16", "server compute"),
    ):
        time_s, float32_s = (
            service_time_s(list_devices()[device], layers, 1, NetworkTraits.of(point.profile, name))
            for name in (precision, "float32")
        )
        assert point.outcome.shares[stage].mean_s == pytest.approx(time_s)
        assert time_s < float32_s
    energy_j = point.outcome.metrics["edge_compute_energy_j"].value
    assert energy_j == pytest.approx(0.3 * busy_s(result))


def test_batches_run_in_the_format_too(workspace):
    result = run("out", **{"server.precision": "float16", "server.batch": {"size": 4}})
    (point,) = result.points
    device = list_devices()["t4"]
    times = [
        roofline_batch_time(device, point.profile.tail, NetworkTraits.of(point.profile, precision))
        for precision in ("float16", "float32")
    ]
    assert times[0].time_s(4) < times[1].time_s(4)


def test_that_accuracy_was_not_measured_in_it_is_said_once_per_side(workspace):
    result = run("out", **INT8, **{"server.precision": "float16"})
    edge, server = said(result)
    assert (
        "edge.precision: sets times and energies only: accuracy was measured with float32 weights"
        in edge
    )
    assert "got 'int8'; 'weights.dtype: int8' measures its weights" in edge
    assert "server.precision" in server
    assert said(run("plain")) == []
    rounded = said(run("rounded", **INT8, **{"weights.dtype": "int8"}))
    assert "measured with int8 weights and float32 activations" in rounded[0]
    assert "'weights.dtype: int8'" not in rounded[0]


def test_a_side_that_runs_nothing_is_not_warned_of(workspace):
    assert said(run("out", **INT8, **{"split.cut": "server"})) == []


def test_a_format_without_a_rate_is_refused_with_those_that_have_one(workspace):
    words = (
        "edge.precision: must be a number format whose rate 'stm32f746' states, got 'float16'; "
        "known: float32, int8;"
    )
    with pytest.raises(ScenarioError, match=words):
        run("out", **{"edge.device": "stm32f746", "edge.precision": "float16"})
    # Every device runs float32.
    assert run("nano", **{"edge.device": "jetson-nano"}).points


def test_beside_a_measured_time_it_is_refused(workspace):
    with pytest.raises(ScenarioError, match=r"has no effect beside edge\.service_time"):
        run("out", **INT8, **{"edge.service_time": "5 ms"})
    with pytest.raises(ScenarioError, match=r"has no effect beside server\.service_time"):
        run("out", **{"server.precision": "float16", "server.service_time": "5 ms"})
    batched = {"server.service_time": "5 ms", "server.batch": {"size": 4}}
    assert run("out", **{"server.precision": "float16"}, **batched).points


def test_the_best_cut_is_chosen_in_it(workspace):
    best = {"edge.device": "stm32f746", "split.cut": "best"}
    keys = {
        check(load_scenario(workspace / "small.yaml", best | more)).specs[0].key
        for more in ({}, {"edge.precision": "int8"}, {"server.precision": "float16"})
    }
    assert len(keys) == 3
    estimates = [
        run(name, **best, **more).points[0].profile.operating_point["split"]
        for name, more in (("a", {}), ("b", {"edge.precision": "int8"}))
    ]
    assert estimates[0] != estimates[1]


def test_a_stored_profile_is_simulated_in_it(workspace):
    first = flexrel_sim.run("small.yaml", "out", workers=1)
    (stored,) = (first.folder / "profiles").iterdir()
    again = flexrel_sim.simulate(stored, "small.yaml", "again", INT8 | NO_CODEC).result
    (point,) = again.points
    traits = NetworkTraits.of(point.profile, "int8")
    time_s = service_time_s(list_devices()["stm32f746"], point.profile.head, 1, traits)
    assert busy_s(again) == pytest.approx(time_s)
    assert len(said(again)) == 1
