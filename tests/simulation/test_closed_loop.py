"""Closed workloads: clients that wait for their answers before they think of the next request."""

from __future__ import annotations

from dataclasses import replace
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.scenario.schema import WorkloadSection
from flexrel_sim.simulation import Draws, System, Trace, draw, simulate
from flexrel_sim.simulation.check import system_findings
from flexrel_sim.simulation.engines import chosen_engine
from flexrel_sim.simulation.loop import Loop
from flexrel_sim.simulation.trace import STAMPS
from flexrel_sim.statistics import t_interval
from tests.builders import make_draws, make_profile, make_scenario, make_system, simulated
from tests.simulation.systems import cases, run

THINK_S, SERVICE_S = 2.0, 0.5


def workload(clients: int, duration_s: float, think_s: float = THINK_S) -> WorkloadSection:
    return WorkloadSection(
        arrivals="closed",
        clients=clients,
        think_time=f"{think_s!r} s",
        duration=f"{duration_s!r} s",
    )


def closed_traces(
    system: System, section: WorkloadSection, replications: int, **options: Any
) -> list[Trace]:
    services = ("exponential", "exponential")
    return [
        simulate(
            system,
            draw(section, 1, services, 3, replication, **options),
            np.array([0]),
            np.array([True]),
            until_s=section.duration,
        )
        for replication in range(replications)
    ]


def mean_answers_per_s(trace: Trace, start_s: float, end_s: float) -> float:
    inside = (trace.answered_s >= start_s) & (trace.answered_s < end_s)
    return float(inside.sum()) / (end_s - start_s)


def machine_repair_rate_per_s(clients: int, think_s: float, service_s: float) -> float:
    """Throughput of M/M/1//N by its balance equations (Kleinrock I, sec. 3.8)."""
    ratio = service_s / think_s
    weights = [factorial(clients) / factorial(clients - n) * ratio**n for n in range(clients + 1)]
    return (1 - weights[0] / sum(weights)) / service_s


@pytest.mark.parametrize("clients", [1, 3, 8])
def test_closed_clients_at_one_exponential_server_are_the_machine_repair_model(
    clients: int,
) -> None:
    duration_s = 3000.0
    system = make_system(edge_s=SERVICE_S, crosses_link=False)
    runs = closed_traces(system, workload(clients, duration_s), 24)
    start_s = duration_s / 10
    rates = [mean_answers_per_s(trace, start_s, duration_s) for trace in runs]
    stays_s = [trace.sojourn_time_s[trace.created_s >= start_s] for trace in runs]
    expected = machine_repair_rate_per_s(clients, THINK_S, SERVICE_S)
    rate = t_interval(rates, 0.999)
    assert rate.low <= expected <= rate.high
    assert rate.high - rate.low < 0.1 * expected
    stay = t_interval([np.nanmean(stay_s) for stay_s in stays_s], 0.999)
    assert stay.low <= clients / expected - THINK_S <= stay.high


def test_the_response_time_law_holds_through_edge_link_and_server() -> None:
    # N = X (R + Z): Lazowska et al., Quantitative System Performance, 1984, sec. 3.6.
    duration_s, clients, devices = 800.0, 4, 3
    system = make_system(edge_s=0.4, server_s=0.3, devices=devices, delay_s=0.2)
    runs = closed_traces(system, workload(clients, duration_s), 24, devices=devices)
    start_s = duration_s / 10
    gaps = [
        clients * devices
        - mean_answers_per_s(trace, start_s, duration_s)
        * (np.nanmean(trace.sojourn_time_s[trace.created_s >= start_s]) + THINK_S)
        for trace in runs
    ]
    gap = t_interval(gaps, 0.999)
    assert gap.low <= 0 <= gap.high
    assert gap.high - gap.low < 0.1 * clients * devices


def test_a_client_without_a_rival_creates_exactly_one_think_time_after_each_answer() -> None:
    loop = Loop(np.array([1.0, 2.0, 0.5]), np.array([-1, 0, 1]), 10.0)
    draws = make_draws([1.0, 3.0, 3.5], loop=loop)
    trace = simulate(make_system(delay_s=0.0), draws, np.array([0]), np.array([True]))
    assert trace.created_s.tolist() == [1.0, 3.75, 5.0]
    assert trace.answered_s.tolist() == [1.75, 4.5, 5.75]


def test_no_request_is_created_at_the_end_or_later() -> None:
    loop = Loop(np.array([1.0, 2.0]), np.array([-1, 0]), 3.75)
    trace = simulate(
        make_system(delay_s=0.0),
        make_draws([1.0, 3.0], loop=loop),
        np.array([0]),
        np.array([True]),
    )
    assert trace.created_s.tolist() == [1.0]


def test_a_client_whose_request_is_dropped_thinks_of_the_next_one() -> None:
    # Two clients, one place: the second is turned away at 1 s, and comes again at 3 s.
    loop = Loop(np.array([1.0, 1.0, 2.0]), np.array([-1, -1, 1]), 10.0)
    system = make_system(edge_s=5.0, edge_buffer=0, crosses_link=False)
    trace = simulate(system, make_draws([1, 1, 3], loop=loop), np.array([0]), np.array([True]))
    assert trace.created_s.tolist() == [1.0, 1.0, 3.0]
    assert trace.ended_s.tolist() == [6.0, 1.0, 3.0]


def test_clients_keep_their_thoughts_however_many_rounds_are_drawn() -> None:
    few, many = (
        draw(workload(5, duration_s), 3, ("exponential", "exponential"), 1, 0, 4)
        for duration_s in (20.0, 80.0)
    )
    within = many.created_s < 20
    assert within.sum() == few.created_s.size > 100
    assert few.loop is not None
    assert many.loop is not None
    np.testing.assert_array_equal(few.created_s, many.created_s[within])
    np.testing.assert_array_equal(few.loop.follows, many.loop.follows[within])
    assert set(few.device) == {0, 1, 2, 3}


@st.composite
def closed_cases(draw: st.DrawFn) -> tuple[System, Draws]:
    """Any system, with requests chained to clients; times never tie, so that order is plain."""
    system, draws = draw(cases())
    count = draws.created_s.size
    device = np.zeros(count, np.int32) if draws.device is None else draws.device
    client = 2 * device + np.array(
        draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    )
    last: dict[int, int] = {}
    follows = []
    for request, owner in enumerate(client.tolist()):
        follows.append(last.get(owner, -1))
        last[owner] = request
    think_s = np.random.default_rng(draw(st.integers(0, 2**32))).exponential(0.5, size=count)
    loop = Loop(think_s, np.array(follows), draw(st.sampled_from((2.0, 8.0, 1e6))))
    return system, replace(draws, sample=np.arange(count), loop=loop)


@settings(max_examples=120)
@given(closed_cases())
def test_a_closed_run_is_the_open_run_with_the_same_times_of_creation(
    case: tuple[System, Draws],
) -> None:
    system, draws = case
    assert draws.loop is not None
    payload = np.arange(draws.created_s.size) % 5 * 64
    correct = np.ones(payload.size, dtype=bool)
    trace = simulate(system, draws, payload, correct)
    # The sample tells which request it was.
    taken = trace.sample
    for place, request in enumerate(taken.tolist()):
        before = draws.loop.follows[request]
        ended_s = trace.ended_s[taken == before].item() if before >= 0 else 0.0
        assert trace.created_s[place] == ended_s + draws.loop.think_s[request]
    assert (trace.created_s < draws.loop.until_s).all()
    if not taken.size:
        return
    chosen = {
        name: None if (values := getattr(draws, name)) is None else values[taken]
        for name in ("sample", "edge_factor", "server_factor", "device", "tier")
    }
    for name in ("uplink", "downlink"):
        sent = getattr(draws, name)
        chosen[name] = None if sent is None else type(sent)(*(column[taken] for column in sent))
    again = replace(draws, created_s=trace.created_s, loop=None, **chosen)
    opened = simulate(system, again, payload, correct, "compiled").columns()
    for name in (*STAMPS, "ended_s"):
        closed = trace.columns()[name]
        np.testing.assert_allclose(opened[name], closed, rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(opened["reason"], trace.reason)
    np.testing.assert_array_equal(opened["outcome"], trace.outcome)


def test_the_compiled_engine_is_refused_for_closed_clients_and_auto_takes_simpy() -> None:
    assert chosen_engine(make_system(), "auto", closed=True) == "simpy"
    loop = Loop(np.array([1.0]), np.array([-1]), 10.0)
    with pytest.raises(ValueError, match="closed clients wait for their answers"):
        run(make_system(), make_draws([1.0], loop=loop), "compiled")


CLOSED = {"arrivals": "closed", "rate": None, "clients": 6, "think_time": "1 s"}


def test_a_closed_scenario_reports_loads_that_its_utilisations_do_not_exceed() -> None:
    scenario = make_scenario(
        workload=CLOSED | {"clients": 30}, simulation={"replications": 5, "warmup": "10 s"}
    )
    summary, runs = simulated(scenario, make_profile())
    assert summary.engine == "simpy"
    assert max(summary.loads.values()) == pytest.approx(1.0)
    for stage, load in summary.loads.items():
        assert summary.metrics[f"{stage}_utilisation"].value <= load + 1e-9
    assert all((np.diff(trace.created_s) >= 0).all() for trace in runs)


def test_few_closed_clients_load_no_stage_beyond_what_they_can_ask() -> None:
    one = make_scenario(workload=CLOSED | {"clients": 1})
    summary, _ = simulated(one, make_profile())
    # 100 ms at the edge, 1000 bits and 200 bits at 10 kbit/s, 100 ms at the server, 2 x 50 ms.
    assert summary.loads["edge"] == pytest.approx(0.1 / (1.0 + 0.1 + 0.1 + 0.02 + 0.1 + 0.1))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"think_time": "0 s"}, "must be above zero"),
        ({"clients": 100_000, "think_time": "1 ms"}, "must be at most 20,000,000 requests"),
    ],
)
def test_clients_without_bound_are_refused(changes: dict[str, Any], told: str) -> None:
    findings = list(system_findings(make_scenario(workload=CLOSED | changes)))
    assert [(path, rule) for path, rule, _, _ in findings if told in rule] != []
