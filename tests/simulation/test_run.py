from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import list_devices, service_time_s
from flexrel_sim.simulation import Trace, Unstable
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import built, make_layer, make_profile, make_scenario, simulated, write_yaml

HERE = Path()


def same(first: list[Trace], second: list[Trace]) -> bool:
    return all(
        np.array_equal(value, other.columns()[name], equal_nan=value.dtype.kind == "f")
        for trace, other in zip(first, second, strict=True)
        for name, value in trace.columns().items()
    )


RANDOM: dict[str, Any] = {
    "edge": {"service": "exponential"},
    "server": {"service": "exponential"},
}


def test_there_is_one_trace_per_replication_and_the_summary_is_of_them() -> None:
    summary, traces = simulated(make_scenario(simulation={"replications": 7}), make_profile())
    assert len(traces) == 7
    assert summary.counted_requests == sum(trace.created_s.size for trace in traces)
    assert summary.metrics["latency_mean_s"].value == pytest.approx(
        np.concatenate([trace.sojourn_time_s for trace in traces]).mean()
    )


def test_replications_differ_from_each_other() -> None:
    first, second = simulated(make_scenario(**RANDOM), make_profile())[1]
    assert first.created_s[0] != second.created_s[0]


def test_the_same_seed_gives_the_identical_traces_and_summary() -> None:
    first, second = (simulated(make_scenario(**RANDOM), make_profile()) for _ in range(2))
    assert same(first[1], second[1])
    assert first[0] == second[0]


def test_another_seed_gives_other_traces() -> None:
    _, first = simulated(make_scenario(**RANDOM), make_profile())
    _, second = simulated(make_scenario(**RANDOM, simulation={"seed": 1}), make_profile())
    assert first[0].created_s[0] != second[0].created_s[0]


def test_two_designs_with_the_same_seed_meet_the_same_arrivals_and_samples() -> None:
    _, first = simulated(make_scenario(), make_profile())
    _, second = simulated(make_scenario(link={"delay": "1 s"}), make_profile())
    for trace, other in zip(first, second, strict=True):
        assert np.array_equal(trace.created_s, other.created_s)
        assert np.array_equal(trace.sample, other.sample)


def test_the_warmup_of_the_scenario_is_cut() -> None:
    scenario = make_scenario(simulation={"warmup": "30 s"})
    summary, traces = simulated(scenario, make_profile())
    assert summary.counted_requests == sum((t.created_s >= 30).sum() for t in traces)
    assert any((t.created_s < 30).any() for t in traces)


@pytest.mark.parametrize(
    ("sections", "profile", "stage", "setting"),
    [
        ({"edge": {"service_time": "1 s"}}, {}, "edge", "edge.device"),
        ({"link": {"uplink": "1 kbit/s"}}, {}, "uplink", "link.uplink"),
        ({"server": {"service_time": "2 s", "workers": 2}}, {}, "server", "server.workers"),
        ({"link": {"downlink": "1 kbit/s"}}, {"answer_bytes": 125}, "downlink", "link.downlink"),
    ],
)
@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_a_stage_asked_for_its_capacity_or_more_is_unstable(
    sections: dict[str, Any], profile: dict[str, Any], stage: str, setting: str, rate: float
) -> None:
    scenario = make_scenario(**sections, workload={"rate": f"{rate} /s"})
    outcome = simulated(scenario, make_profile(**profile), HERE)
    assert isinstance(outcome, Unstable)
    assert (outcome.stage.name, outcome.stage.setting) == (stage, setting)
    assert outcome.load == outcome.loads[stage] == pytest.approx(rate, rel=1e-15)
    assert outcome.load == max(outcome.loads.values())
    assert outcome.stable_below_per_s == pytest.approx(1.0, rel=1e-15)


def test_an_unstable_point_is_stable_just_below_its_stable_rate_and_simulated() -> None:
    slow = {"edge": {"service_time": "1 s"}, "server": {"service_time": "1.9 s", "workers": 2}}
    unstable = simulated(make_scenario(**slow), make_profile(), HERE)
    assert isinstance(unstable, Unstable)
    rate = 0.999 * unstable.stable_below_per_s
    workload = {"rate": f"{rate!r} /s", "duration": "60 s"}
    summary, traces = simulated(make_scenario(**slow, workload=workload), make_profile())
    assert summary.loads["edge"] == pytest.approx(0.999)
    assert summary.busiest == "edge"
    assert all(not np.isnan(trace.answered_s).any() for trace in traces)


def test_the_uplink_is_judged_by_its_mean_payload() -> None:
    link = {"uplink": "1 kbit/s"}
    heavy = make_profile(payload_bytes=np.array([1, 1, 1, 497]))
    scenario = make_scenario(link=link, workload={"rate": "0.99 /s"})
    assert simulated(scenario, heavy)[0].loads["uplink"] == pytest.approx(0.99)
    scenario = make_scenario(link=link, workload={"rate": "1.01 /s"})
    assert isinstance(simulated(scenario, heavy, HERE), Unstable)


def test_a_slow_link_does_not_matter_to_a_network_that_stays_on_the_edge() -> None:
    scenario = make_scenario(
        link={"uplink": "1 bit/s", "downlink": "1 bit/s"}, server={"service_time": "1 h"}
    )
    profile = make_profile(
        crosses_link=False,
        layers=(make_layer(),),
        payload_bytes=np.zeros(4, dtype=np.int64),
        tail_weight_bytes=0,
    )
    summary, traces = simulated(scenario, profile)
    assert list(summary.loads) == ["edge"]
    assert all(np.array_equal(t.answered_s, t.edge_end_s) for t in traces)
    assert summary.metrics["uplink_bytes"].value == 0


def test_a_measured_service_time_stands_and_an_absent_one_is_the_roofline() -> None:
    profile = make_profile()
    scenario = make_scenario(edge={"service_time": "3 ms"}, server={"service_time": None})
    system = built(scenario, profile, HERE)
    assert system.edge_s == 0.003
    assert system.server_s == service_time_s(list_devices()["t4"], profile.tail)
    assert system.server_s > 0
    assert system.labels["server"] == "estimated"


def test_a_half_without_layers_takes_no_time_and_is_no_estimate() -> None:
    profile = make_profile(layers=(make_layer(side="tail"),))
    scenario = make_scenario(edge={"service_time": "3 ms"}, server={"service_time": None})
    system = built(scenario, profile, HERE)
    assert system.edge_s == 0
    assert system.labels["server"] == "estimated"
    both = make_scenario(edge={"service_time": None}, server={"service_time": None})
    assert built(both, profile, HERE).labels["server"] == "estimated"


def test_the_system_takes_link_and_power_from_scenario_profile_and_device() -> None:
    scenario = make_scenario(link={"uplink": "2 MB/s", "downlink": "1 kbit/s", "delay": "7 ms"})
    system = built(scenario, make_profile(answer_bytes=11), HERE)
    assert (system.uplink.mean_rate_bit_per_s, system.downlink.mean_rate_bit_per_s) == (16e6, 1000)
    assert (system.uplink.delay_s, system.answer_bytes, system.workers) == (0.007, 11, 1)
    assert system.edge_power_w == list_devices()["raspberry-pi-4"].active_power_w


def test_an_unknown_device_is_refused_with_the_nearest() -> None:
    with pytest.raises(LookupError, match=r"did you mean 't4'\?"):
        simulated(make_scenario(server={"device": "t44"}), make_profile(), HERE)


def test_a_device_file_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    data = list_devices()["t4"].model_dump() | {"active_power_w": 3.25}
    write_yaml(tmp_path, yaml.safe_dump(data), "own.yaml")
    scenario = make_scenario(edge={"device": "own.yaml"})
    assert built(scenario, make_profile(), tmp_path).edge_power_w == 3.25
    with pytest.raises(LookupError, match="or the path of a device's"):
        built(scenario, make_profile(), tmp_path / "elsewhere")


def test_a_faulty_device_file_is_refused_with_its_lines(tmp_path: Path) -> None:
    write_yaml(tmp_path, "description: 3\n", "own.yaml")
    with pytest.raises(ScenarioError, match=r"own\.yaml:1: description: must be a valid string"):
        built(make_scenario(edge={"device": "own.yaml"}), make_profile(), tmp_path)


def test_a_recording_is_simulated_and_its_load_is_its_own(tmp_path: Path) -> None:
    rows = "\n".join(f"{time},{device}" for time in range(1, 31) for device in (0, 1))
    (tmp_path / "came.csv").write_text(f"created_s,device\n{rows}\n")
    workload = {"arrivals": "replay", "file": "came.csv", "rate": None, "duration": "60 s"}
    scenario = make_scenario(workload=workload, edge={"count": 2})
    summary, traces = simulated(scenario, make_profile(), tmp_path)
    assert traces[0].created_s.size == 60
    # Half a request per second and device, of which each takes 0.1 s.
    assert summary.loads["edge"] == pytest.approx(0.05)
    assert summary.loads["server"] == pytest.approx(0.1)


def test_a_run_that_is_stopped_leaves_requests_in_flight_and_one_that_drains_does_not() -> None:
    link = {"delay": "20 s"}
    for drain in (True, False):
        scenario = make_scenario(link=link, simulation={"drain": drain})
        summary, traces = simulated(scenario, make_profile())
        flying = sum((trace.outcome == 3).sum() for trace in traces)
        assert (flying == 0) == drain
        missed = summary.metrics["miss_share"].value
        assert missed == pytest.approx(flying / summary.counted_requests, abs=0.01)
        assert summary.metrics["drop_share"].value == 0
        for trace in traces:
            for name in STAMPS if not drain else ():
                assert not (trace.columns()[name] > 60).any(), name


def test_finite_waiting_room_turns_overload_into_drops_and_loads_no_later_stage_with_them() -> None:
    scenario = make_scenario(
        edge={"service_time": "1 s", "buffer": 2}, workload={"rate": "2 /s", "duration": "200 s"}
    )
    summary, _ = simulated(scenario, make_profile())
    assert summary.loads["edge"] == pytest.approx(2.0)
    # One per second comes through: 0.1 s each on the server, 1000 bits at 10 kbit/s before it.
    assert summary.loads["uplink"] == pytest.approx(0.1)
    assert summary.loads["server"] == pytest.approx(0.1)
    assert set(summary.dropped) == {"edge full"}
    assert 0.4 < summary.metrics["drop_share"].value < 0.6


def test_other_tenants_take_away_from_what_a_server_can_do() -> None:
    background = {"rate": "4 /s", "service_time": "200 ms"}
    scenario = make_scenario(
        server={"background": background, "service_time": "150 ms"}, workload={"rate": "2 /s"}
    )
    outcome = simulated(scenario, make_profile(), HERE)
    assert isinstance(outcome, Unstable)
    assert outcome.stage.name == "server"
    assert outcome.load == pytest.approx(2 * 0.15 + 0.8)
    assert outcome.stable_below_per_s == pytest.approx(0.2 / 0.15)


def test_the_engine_that_ran_is_named() -> None:
    for engine, medium, named in (
        ("auto", "full-duplex", "compiled"),
        ("auto", "half-duplex", "simpy"),
        ("simpy", "full-duplex", "simpy"),
    ):
        scenario = make_scenario(link={"medium": medium}, simulation={"engine": engine})
        assert simulated(scenario, make_profile())[0].engine == named
