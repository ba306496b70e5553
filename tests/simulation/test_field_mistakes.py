"""Mistakes that simulators of split computing have made, each as a claim that this one does not."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.hardware import list_devices
from flexrel_sim.links import Direction, PiecewiseConstant
from flexrel_sim.scenario.schema import DirectionSection, WorkloadSection
from flexrel_sim.simulation import Unstable, draw
from flexrel_sim.theory import md1_mean_wait_s
from tests.builders import (
    built,
    interval,
    make_draws,
    make_layer,
    make_profile,
    make_scenario,
    make_system,
    make_trace,
    replicate,
    simulated,
    stage_spans_s,
    wait_s,
)

HERE = Path()


def test_a_propagation_dominated_link_does_not_queue() -> None:
    # 100 bytes at 8 kbit/s are 0.1 s; a link held during propagation would be 0.6 s busy per
    # request and give 1.954 s.
    system = make_system(edge_s=0.5, server_s=0.4, uplink_bit_per_s=8000.0, delay_s=0.5)
    traces = replicate(
        system, 1.0, 8000, services=("deterministic", "deterministic"), payload_bytes=[100]
    )
    estimate = interval(traces, lambda trace: trace.server_end_s - trace.created_s)
    assert md1_mean_wait_s(1.0, 0.5) == 0.25
    assert estimate.low <= 0.25 + 0.5 + 0.1 + 0.5 + 0.4 <= estimate.high
    assert not estimate.low <= 1.954 <= estimate.high
    # Behind a deterministic edge that is slower, the link and the server never have a queue.
    assert all(wait_s(trace, "uplink").max() < 1e-9 for trace in traces)
    assert all(wait_s(trace, "server").max() < 1e-9 for trace in traces)


def test_a_longer_propagation_delays_every_answer_by_twice_itself_and_changes_no_queue() -> None:
    draws = make_draws(np.arange(40) / 4)
    near = make_trace(make_system(delay_s=0.0), draws)
    far = make_trace(make_system(delay_s=8.0), draws)
    assert np.array_equal(far.answered_s - near.answered_s, np.full(40, 16.0))


def test_many_requests_propagate_at_once() -> None:
    trace = make_trace(make_system(delay_s=100.0), make_draws(np.arange(10) * 2.0))
    flying = (trace.uplink_end_s <= trace.uplink_end_s[-1]) & (
        trace.delivered_s > trace.uplink_end_s[-1]
    )
    assert flying.sum() == 10


def test_bytes_become_bits_once() -> None:
    # 1 MB at 8 Mbit/s is one second, not an eighth, and not eight.
    profile = make_profile(payload_bytes=np.full(4, 10**6), answer_bytes=500_000)
    link = {"uplink": "8 Mbit/s", "downlink": "8 Mbit/s"}
    scenario = make_scenario(link=link, workload={"rate": "0.5 /s", "duration": "60 s"})
    _, traces = simulated(scenario, profile, HERE)
    for stage, seconds in (("uplink", 1.0), ("downlink", 0.5)):
        start_s, end_s = stage_spans_s(traces[0], stage)
        assert end_s - start_s == pytest.approx(seconds, rel=1e-9)


def test_a_rate_in_bytes_is_eight_times_the_rate_in_bits() -> None:
    system_of = lambda uplink: built(  # noqa: E731 - one line says it
        make_scenario(link={"uplink": uplink}), make_profile(), HERE
    )
    assert (
        system_of("1 MB/s").uplink.mean_rate_bit_per_s
        == 8 * system_of("1 Mbit/s").uplink.mean_rate_bit_per_s
    )


@pytest.mark.parametrize("stage", ["uplink", "downlink"])
def test_half_the_bandwidth_doubles_that_directions_serialisation_and_no_other(stage: str) -> None:
    other = {"uplink": "downlink", "downlink": "uplink"}[stage]
    profile = make_profile(answer_bytes=100)
    workload = {"rate": "0.5 /s", "duration": "60 s"}
    takes_s = {}
    for rate in ("8 kbit/s", "4 kbit/s"):
        link = {"uplink": "8 kbit/s", "downlink": "8 kbit/s", stage: rate}
        _, traces = simulated(make_scenario(link=link, workload=workload), profile, HERE)
        for name in (stage, other):
            start_s, end_s = stage_spans_s(traces[0], name)
            takes_s[rate, name] = (end_s - start_s).mean()
    assert takes_s["4 kbit/s", stage] == pytest.approx(2 * takes_s["8 kbit/s", stage], rel=1e-9)
    assert takes_s["4 kbit/s", other] == pytest.approx(takes_s["8 kbit/s", other], rel=1e-9)


def test_every_sample_pays_for_its_own_payload_not_for_the_mean() -> None:
    profile = make_profile(payload_bytes=np.array([100, 200, 300, 400]))
    _, traces = simulated(make_scenario(), profile, HERE)
    start_s, end_s = stage_spans_s(traces[0], "uplink")
    assert end_s - start_s == pytest.approx(8 * traces[0].payload_bytes / 10e3, rel=1e-9)
    assert np.unique(traces[0].payload_bytes).size == 4


def test_exponential_times_are_never_truncated_to_integers() -> None:
    workload = WorkloadSection(rate="100 /s", duration="100 s")
    draws = draw(workload, 10, ("exponential", "exponential"), 0, 0)
    for times in (np.diff(draws.created_s), draws.edge_factor, draws.server_factor):
        assert np.all(times > 0)
        assert not np.any(times == np.round(times))


def test_gaps_shorter_than_a_second_do_not_collapse_to_bursts() -> None:
    workload = WorkloadSection(rate="1000 /s", duration="10 s")
    created_s = draw(workload, 10, ("exponential", "exponential"), 0, 0).created_s
    assert np.unique(created_s).size == created_s.size


def sent_s(link: dict[str, Any], *, answer: bool = False) -> np.ndarray:
    """When each payload has crossed the link, or each answer."""
    profile = make_profile(payload_bytes=np.full(4, 6000), answer_bytes=6000)
    workload = {"rate": "0.25 /s", "duration": "160 s"}
    base = {"uplink": "100 kbit/s", "downlink": "100 kbit/s", "delay": "50 ms"}
    _, traces = simulated(make_scenario(link=base | link, workload=workload), profile, HERE)
    return traces[0].answered_s if answer else traces[0].delivered_s


STEPS = {"schedule": [["0 s", "100 kbit/s"], ["30 s", "20 kbit/s"]]}
LOSS = {"transport": "udp-arq", "loss": {"bernoulli": 0.3}}
CHAIN = {"markov": {"rates": ["100 kbit/s", "50 kbit/s"], "dwell": ["9 s", "9 s"]}, "seed": 1}
BURST = {"token_bucket": {"rate": "20 kbit/s", "burst": "9 kB", "peak": "400 kbit/s"}}

LINK_KEYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rate": ({"rate": "100 kbit/s"}, {"rate": "90 kbit/s"}),
    "schedule": (STEPS, {"schedule": [*STEPS["schedule"], ["40 s", "50 kbit/s"]]}),
    "repeat": (STEPS, STEPS | {"repeat": "60 s"}),
    "markov": (CHAIN, CHAIN | {"markov": CHAIN["markov"] | {"dwell": ["1 s", "9 s"]}}),
    "seed": (CHAIN, CHAIN | {"seed": 2}),
    "duration": (CHAIN, CHAIN | {"duration": "20 s"}),
    "generate": ({"generate": "lte", "seed": 1}, {"generate": "wifi", "seed": 1}),
    "mean": (
        {"generate": "lte", "seed": 1, "mean": "1 Mbit/s"},
        {"generate": "lte", "seed": 1, "mean": "2 Mbit/s"},
    ),
    "token_bucket": (BURST, {"token_bucket": BURST["token_bucket"] | {"burst": "1 kB"}}),
    "token_bucket.peak": (BURST, {"token_bucket": BURST["token_bucket"] | {"peak": "99 kbit/s"}}),
    "transport": ({"rate": "100 kbit/s"}, {"rate": "100 kbit/s", "transport": "udp"}),
    "mtu": (
        {"rate": "100 kbit/s", "transport": "udp"},
        {"rate": "100 kbit/s", "transport": "udp", "mtu": "500 B"},
    ),
    "header": (
        {"rate": "100 kbit/s", "transport": "udp"},
        {"rate": "100 kbit/s", "transport": "udp", "header": "48 B"},
    ),
    "frame": (
        {"rate": "100 kbit/s", "transport": "udp"},
        {"rate": "100 kbit/s", "transport": "udp", "frame": "0 B"},
    ),
    "attempts": (
        {"rate": "100 kbit/s"} | LOSS,
        {"rate": "100 kbit/s", "attempts": 2} | LOSS,
    ),
    "loss": (
        {"rate": "100 kbit/s"} | LOSS,
        {"rate": "100 kbit/s"} | LOSS | {"loss": {"bernoulli": 0.1}},
    ),
    "buffer.messages": (
        {"rate": "22 kbit/s"},
        {"rate": "22 kbit/s", "buffer": {"messages": 0}},
    ),
    "buffer.size": (
        {"rate": "22 kbit/s"},
        {"rate": "22 kbit/s", "buffer": {"size": "5 kB"}},
    ),
    "jitter": ({"rate": "100 kbit/s"}, {"rate": "100 kbit/s", "jitter": {"mean": "9 ms"}}),
    "jitter.in_order": (
        {"rate": "100 kbit/s", "jitter": {"mean": "4 s"}},
        {"rate": "100 kbit/s", "jitter": {"mean": "4 s", "in_order": False}},
    ),
    "outage": (
        {"rate": "100 kbit/s"},
        {"rate": "100 kbit/s", "outage": {"windows": [["10 s", "17 s"]]}},
    ),
}

# Read by other tests: these name files, and what is in them.
FILE_KEYS = {"trace", "format", "columns"}


def test_every_key_of_a_direction_is_known_to_the_test_below() -> None:
    assert {key.partition(".")[0] for key in LINK_KEYS} | FILE_KEYS == set(
        DirectionSection.model_fields
    )


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
@pytest.mark.parametrize("key", LINK_KEYS)
def test_every_key_of_a_direction_changes_when_messages_arrive(key: str, direction: str) -> None:
    answer = direction == "downlink"
    one, other = (sent_s({direction: value}, answer=answer) for value in LINK_KEYS[key])
    assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize(
    "link", [{"delay": "60 ms"}, {"medium": "half-duplex"}, {"medium": "shared"}]
)
def test_every_key_of_the_link_changes_when_answers_arrive(link: dict[str, str]) -> None:
    slow = {"uplink": "25 kbit/s", "downlink": "25 kbit/s"}
    assert not np.array_equal(sent_s(slow | link, answer=True), sent_s(slow, answer=True))


@pytest.mark.parametrize("tick_ms", [10, 1000])
def test_a_rate_means_the_same_however_finely_it_is_written(tick_ms: int) -> None:
    # A trace of one constant rate is that rate, whatever its ticks: 12 kB at 96 kbit/s is 1 s.
    ticks_s = np.arange(0, 200_000, tick_ms) / 1000
    line = PiecewiseConstant(ticks_s, np.full(ticks_s.size, 96_000.0), 200.0)
    system = make_system(
        edge_s=0.0, uplink=Direction("uplink", line), downlink_bit_per_s=1e9, delay_s=0.0
    )
    for engine in ("simpy", "compiled"):
        trace = make_trace(system, make_draws([0.0, 0.0, 7.003]), [12_000], engine)
        np.testing.assert_allclose(trace.uplink_end_s, [1.0, 2.0, 8.003], rtol=0, atol=1e-9)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_trace_has_one_row_per_request_and_grows_no_faster(engine: str) -> None:
    # Rows, columns and bytes of ten times the requests are ten times as many, no more.
    sizes = []
    for count in (50, 500):
        draws = make_draws(np.arange(count) / 2)
        columns = make_trace(make_system(), draws, engine=engine).columns()
        assert {values.shape for values in columns.values()} == {(count,)}
        sizes.append(sum(values.nbytes for values in columns.values()))
    assert sizes[1] == 10 * sizes[0]


def test_what_an_engine_holds_while_it_runs_is_linear_in_the_requests() -> None:
    peaks = []
    for count in (2000, 8000):
        draws = make_draws(np.arange(count) / 2)
        make_trace(make_system(), draws, engine="simpy")
        tracemalloc.start()
        make_trace(make_system(), draws, engine="simpy")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Four times the requests, and some slack for what does not grow; a quadratic log needs 16.
    assert peaks[1] < 5 * peaks[0]


def test_energy_is_never_silently_zero_where_the_edge_computes() -> None:
    for name, device in list_devices().items():
        scenario = make_scenario(edge={"device": name, "service_time": None})
        profile = make_profile()
        summary, _ = simulated(scenario, profile, HERE)
        energy_j = summary.metrics["edge_compute_energy_j"]
        system = built(scenario, profile, HERE)
        assert energy_j.low > 0, name
        assert energy_j.value == pytest.approx(device.active_power_w * system.edge_s, rel=1e-6)


def test_energy_of_an_edge_that_computes_nothing_is_zero() -> None:
    profile = make_profile(layers=(make_layer(side="tail"),))
    summary, _ = simulated(make_scenario(), profile, HERE)
    assert summary.metrics["edge_compute_energy_j"].value == 0


@pytest.mark.parametrize("name", list_devices())
def test_every_preset_says_who_states_its_figures_and_what_is_assumed(name: str) -> None:
    device = list_devices()[name]
    assert device.source.strip()
    assert device.assumptions.strip()
    assert device.description.strip()


def test_no_preset_counts_a_sparse_peak_as_dense() -> None:
    # Data sheets print "with sparsity" figures at twice the dense rate; no preset has kernels
    # that would earn them.
    assert all(device.sparse_kernels is None for device in list_devices().values())


def test_pruned_weights_that_stay_in_dense_tensors_are_not_free_speed() -> None:
    dense, pruned = (
        make_profile(layers=(make_layer(nonzero_weights=kept), make_layer(side="tail")))
        for kept in (1000, 10)
    )
    scenario = make_scenario(edge={"service_time": None})
    assert built(scenario, dense, HERE).edge_s == built(scenario, pruned, HERE).edge_s


def test_an_unstable_system_reports_no_latency() -> None:
    scenario = make_scenario(edge={"service_time": "1 s"})
    outcome = simulated(scenario, make_profile(), HERE)
    assert isinstance(outcome, Unstable)
    assert not hasattr(outcome, "metrics")


def test_requests_in_flight_when_arrivals_end_are_answered_not_dropped() -> None:
    scenario = make_scenario(link={"delay": "1 h"})
    summary, traces = simulated(scenario, make_profile(), HERE)
    assert all(not np.isnan(trace.answered_s).any() for trace in traces)
    assert summary.metrics["latency_mean_s"].value > 7200
