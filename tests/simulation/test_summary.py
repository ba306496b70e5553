from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.metrics import METRICS
from flexrel_sim.simulation import SPANS, Summary, System, Trace, Window, summarise
from flexrel_sim.simulation.figures import Figures
from flexrel_sim.statistics import Estimate, t_interval
from tests.builders import (
    STAGES,
    make_draws,
    make_profile,
    make_system,
    make_trace,
    replicate,
    stage_spans_s,
)


def summary_of(
    traces: list[Trace], system: System, window: Window, rate_per_s: float = 0.5, **profile: Any
) -> Summary:
    figures = []
    for trace in traces:
        figures.append(Figures(system, window))
        figures[-1].add(trace)
    stages = system.stages(125.0)
    loads = {stage.name: stage.load(rate_per_s) for stage in stages}
    return summarise(figures, system, (make_profile(**profile),), stages, loads)


@pytest.fixture
def traces() -> list[Trace]:
    """Zero load: 1, 2 and 3 seconds by payload, over two replications of different order."""
    system = lone_system()
    samples = ([0, 1, 2, 0], [1, 2, 2, 1])
    created_s = [0.0, 10.0, 20.0, 30.0]
    return [
        make_trace(system, make_draws(created_s, sample=np.array(sample)), [125, 250, 375])
        for sample in samples
    ]


# Reported only of scenarios with updates or a controller.
FEEDBACK = {"update_bytes", "update_downtime_s", "regret_s"}


def lone_system(**changes: Any) -> System:
    return make_system(**({"edge_s": 0.0, "server_s": 0.0, "delay_s": 0.0} | changes))


def test_every_metric_is_reported_and_no_other(traces: list[Trace]) -> None:
    system = lone_system(edge_idle_power_w=1.0, battery_j=3600.0)
    summary = summary_of(traces, system, Window(0.0, 40.0))
    assert set(summary.metrics) == set(METRICS) - FEEDBACK


def test_energy_that_nobody_can_know_is_absent_not_zero(traces: list[Trace]) -> None:
    known = summary_of(traces, lone_system(edge_idle_power_w=1.0), Window(0.0, 40.0)).metrics
    unknown = summary_of(traces, lone_system(), Window(0.0, 40.0)).metrics
    assert set(METRICS) - FEEDBACK - set(known) == {"battery_life_h"}
    idle = {"edge_idle_energy_j", "edge_energy_j", "battery_life_h"}
    assert set(METRICS) - FEEDBACK - set(unknown) == idle


def test_the_mean_latency_is_an_interval_over_replications_that_stops_at_zero(
    traces: list[Trace],
) -> None:
    metrics = summary_of(traces, lone_system(), Window(0.0, 40.0)).metrics
    assert metrics["latency_mean_s"] == Estimate(2.125, 0.0, t_interval([1.75, 2.5]).high)


def test_quantiles_are_those_of_all_replications_together(traces: list[Trace]) -> None:
    metrics = summary_of(traces, lone_system(), Window(0.0, 40.0)).metrics
    pooled = [1, 2, 3, 1, 2, 3, 3, 2]
    for share, name in ((0.5, "latency_p50_s"), (0.95, "latency_p95_s"), (0.99, "latency_p99_s")):
        assert metrics[name].value == np.quantile(pooled, share)


def test_replications_weigh_by_what_they_answered() -> None:
    system = lone_system()
    traces = [
        make_trace(system, make_draws([0.0]), [125]),
        make_trace(system, make_draws([0.0, 10.0, 20.0]), [375]),
    ]
    summary = summary_of(traces, system, Window(0.0, 40.0))
    assert summary.metrics["latency_mean_s"].value == 2.5
    assert summary.shares["uplink serialisation"].mean_s == 2.5


def test_the_values_by_replication_have_the_metrics_mean_and_interval() -> None:
    system = make_system(edge_s=0.7, crosses_link=False)
    traces = replicate(system, 1.0, 500)
    summary = summary_of(traces, system, Window(100.0, 500.0), crosses_link=False)
    simulated = set(summary.metrics) & set(summary.per_replication)
    assert {"latency_mean_s", "latency_p99_s", "throughput_per_s", "miss_share"} <= simulated
    for name in simulated:
        own = t_interval(summary.per_replication[name])
        metric = summary.metrics[name]
        assert own.value == pytest.approx(metric.value, rel=1e-12), name
        if name.startswith("latency_p"):
            width = metric.high - metric.low
            assert own.high - own.low == pytest.approx(width, rel=1e-9), name


def test_facts_and_accuracy_have_no_values_by_replication(traces: list[Trace]) -> None:
    summary = summary_of(traces, lone_system(), Window(0.0, 40.0))
    assert "latency_p50_s" in summary.per_replication
    assert not {"accuracy", "downlink_bytes"} & set(summary.per_replication)


@given(st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=9), min_size=2, max_size=4))
def test_no_bound_is_negative_and_no_share_passes_one(gaps_s: list[list[float]]) -> None:
    system = lone_system(edge_buffer=1, edge_s=0.5, deadline_s=1.0)
    traces = [make_trace(system, make_draws(np.cumsum(own))) for own in gaps_s]
    for name, metric in summary_of(traces, system, Window(0.0, 30.0)).metrics.items():
        assert 0 <= metric.low <= metric.value <= metric.high, name
        assert metric.high <= 1 or not name.endswith(("_share", "_utilisation")), name


def test_the_warmup_is_simulated_and_not_counted(traces: list[Trace]) -> None:
    summary = summary_of(traces, lone_system(), Window(20.0, 40.0))
    assert summary.metrics["latency_mean_s"].high == t_interval([2.0, 2.5]).high
    assert summary.metrics["uplink_bytes"].high == t_interval([250.0, 312.5]).high
    assert summary.counted_requests == 4


def test_a_request_created_as_the_window_opens_is_counted(traces: list[Trace]) -> None:
    assert summary_of(traces, lone_system(), Window(10.0, 40.0)).counted_requests == 6


def test_a_replication_that_counts_no_request_is_refused(traces: list[Trace]) -> None:
    with pytest.raises(ValueError, match="a replication counted no request"):
        summary_of(traces, lone_system(), Window(30.5, 40.0))


def test_throughput_counts_the_answers_inside_the_window(traces: list[Trace]) -> None:
    # Answers at 1, 12, 23, 31 and at 2, 13, 23, 32.
    metrics = summary_of(traces, lone_system(), Window(12.0, 31.0)).metrics
    assert metrics["throughput_per_s"] == t_interval([2 / 19, 2 / 19])


def test_utilisation_is_the_busy_share_of_the_window(traces: list[Trace]) -> None:
    metrics = summary_of(traces, lone_system(), Window(11.0, 31.0)).metrics
    # Busy on the uplink: 11..12, 20..23, 30..31, and 11..13, 20..23, 30..31.
    assert metrics["uplink_utilisation"].value == 0.275
    assert metrics["uplink_utilisation"].high == t_interval([5 / 20, 6 / 20]).high
    assert metrics["edge_utilisation"] == Estimate(0.0, 0.0, 0.0)


def test_utilisation_of_the_server_is_per_worker() -> None:
    system = lone_system(server_s=4.0, workers=2)
    traces = [make_trace(system, make_draws([0.0, 0.0, 0.0]), [0]) for _ in range(2)]
    metrics = summary_of(traces, system, Window(0.0, 10.0)).metrics
    # 12 worker-seconds of the 20 in ten seconds.
    assert metrics["server_utilisation"].value == pytest.approx(0.6)


def test_facts_have_no_width(traces: list[Trace]) -> None:
    metrics = summary_of(traces, lone_system(), Window(0.0, 40.0)).metrics
    assert metrics["downlink_bytes"] == Estimate(25, 25, 25)
    assert metrics["head_weight_bytes"] == Estimate(4000, 4000, 4000)
    assert metrics["tail_weight_bytes"] == Estimate(3000, 3000, 3000)
    assert metrics["accuracy"] == make_profile().accuracy


def test_energy_is_the_edges_power_times_its_compute_time() -> None:
    system = lone_system(edge_s=0.5, edge_power_w=7.0)
    factors = ([1.0, 2.0], [3.0, 1.0])
    traces = [
        make_trace(system, make_draws([0.0, 8.0], edge_factor=np.array(factor)))
        for factor in factors
    ]
    metrics = summary_of(traces, system, Window(0.0, 20.0)).metrics
    assert metrics["edge_compute_energy_j"].high == t_interval([7 * 0.75, 7 * 1.0]).high


def test_waiting_at_the_edge_costs_no_compute_energy() -> None:
    system = lone_system(edge_s=0.5, edge_power_w=7.0)
    traces = [make_trace(system, make_draws([0.0] * 9)) for _ in range(2)]
    metrics = summary_of(traces, system, Window(0.0, 20.0)).metrics
    assert metrics["edge_compute_energy_j"].value == pytest.approx(3.5)


def test_spans_follow_each_other_from_creation_to_answer() -> None:
    ends = list(SPANS.values())
    assert ends[0][0] == "created_s"
    assert ends[-1][1] == "answered_s"
    assert all(first[1] == second[0] for first, second in pairwise(ends))


def test_shares_are_the_parts_of_the_mean_sojourn_time() -> None:
    system = make_system()  # 0.5 edge, 1 uplink, 0.125 delay, 0.25 server
    traces = [make_trace(system, make_draws([0.0, 8.0])) for _ in range(2)]
    shares = summary_of(traces, system, Window(0.0, 16.0)).shares
    assert {name: share.mean_s for name, share in shares.items()} == dict.fromkeys(SPANS, 0.0) | {
        "edge compute": 0.5,
        "uplink serialisation": 1.0,
        "uplink propagation": 0.125,
        "server compute": 0.25,
        "downlink propagation": 0.125,
    }
    assert shares["edge compute"].share == 0.25


@given(
    st.integers(1, 3),
    st.booleans(),
    st.floats(0.01, 2),
    st.floats(0, 2),
    st.lists(st.floats(0.25, 3), min_size=2, max_size=12),
)
def test_shares_sum_to_one_and_their_means_to_the_mean_sojourn_time(
    workers: int, crosses_link: bool, edge_s: float, server_s: float, gaps_s: list[float]
) -> None:
    system = make_system(
        workers=workers, crosses_link=crosses_link, edge_s=edge_s, server_s=server_s
    )
    traces = [make_trace(system, make_draws(np.cumsum(gaps_s))) for _ in range(2)]
    summary = summary_of(traces, system, Window(0.0, 50.0))
    assert sum(share.share for share in summary.shares.values()) == pytest.approx(1, rel=1e-12)
    assert sum(share.mean_s for share in summary.shares.values()) == pytest.approx(
        summary.metrics["latency_mean_s"].value, rel=1e-12
    )


def test_a_request_that_ends_on_the_edge_has_no_share_of_the_link() -> None:
    system = make_system(crosses_link=False, edge_power_w=7.0)
    traces = [make_trace(system, make_draws([0.0, 0.25, 8.0])) for _ in range(2)]
    summary = summary_of(traces, system, Window(0.0, 16.0), crosses_link=False)
    assert set(summary.shares) == {"edge wait", "edge compute"}
    assert set(summary.loads) == {"edge"}
    assert summary.metrics["downlink_bytes"].value == 0
    assert summary.metrics["uplink_bytes"].value == 0
    assert summary.metrics["edge_compute_energy_j"].value == pytest.approx(3.5)
    for stage in ("uplink", "server", "downlink"):
        assert summary.metrics[f"{stage}_utilisation"] == Estimate(0.0, 0.0, 0.0)


def test_the_loads_and_the_busiest_stage_follow_the_rate(traces: list[Trace]) -> None:
    system = make_system(workers=2, answer_bytes=25)
    summary = summary_of(traces, system, Window(0.0, 40.0), rate_per_s=0.5)
    assert summary.loads == {
        "edge": 0.25,
        "uplink": 0.5,
        "server": 0.0625,
        "downlink": pytest.approx(0.1),
    }
    assert summary.busiest == "uplink"


def test_the_stages_that_are_estimates_are_named(traces: list[Trace]) -> None:
    system = lone_system(labels={"edge": "given", "server": "estimated"})
    assert summary_of(traces, system, Window(0.0, 40.0)).estimated == ("server",)


def test_utilisation_agrees_with_rho_and_throughput_with_the_rate() -> None:
    system = make_system(
        edge_s=0.6, server_s=1.4, workers=2, answer_bytes=50, uplink_bit_per_s=2000.0
    )
    window = Window(500.0, 5000.0)
    traces = replicate(system, 1.0, 5000)
    summary = summary_of(traces, system, window, rate_per_s=1.0)
    for stage in STAGES:
        workers = system.workers if stage == "server" else 1
        shares = []
        for trace in traces:
            start_s, end_s = stage_spans_s(trace, stage)
            inside_s = np.minimum(end_s, window.end_s) - np.maximum(start_s, window.start_s)
            shares.append(inside_s[inside_s > 0].sum() / workers / (window.end_s - window.start_s))
        own = t_interval(shares, 0.999)
        assert summary.metrics[f"{stage}_utilisation"].value == pytest.approx(own.value, rel=1e-9)
        assert own.low <= summary.loads[stage] <= own.high, stage
    throughputs = [
        np.sum((t.answered_s >= window.start_s) & (t.answered_s < window.end_s)) / 4500
        for t in traces
    ]
    own = t_interval(throughputs, 0.999)
    assert summary.metrics["throughput_per_s"].value == pytest.approx(own.value, rel=1e-12)
    assert own.low <= 1.0 <= own.high
