import heapq
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flexrel_sim.simulation import Draws, System, Trace, simulate
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import (
    STAGES,
    make_draws,
    make_system,
    make_trace,
    stage_arrivals_s,
    stage_spans_s,
)

# Times in multiples of 1/64 s: sums of them are exact in binary, so that every comparison below
# is exact, and ties are frequent.
TICKS = st.integers(0, 256).map(lambda ticks: ticks / 64)


@st.composite
def busy_systems(draw: st.DrawFn) -> tuple[System, Draws, list[int]]:
    system = make_system(
        edge_s=draw(TICKS),
        server_s=draw(TICKS),
        workers=draw(st.integers(1, 4)),
        uplink_bit_per_s=512.0,
        downlink_bit_per_s=512.0,
        delay_s=draw(TICKS),
        answer_bytes=draw(st.integers(0, 64)),
    )
    gaps = draw(st.lists(TICKS, min_size=1, max_size=25))
    payload = draw(st.lists(st.integers(0, 256), min_size=1, max_size=5))
    halves = st.lists(
        st.integers(0, 4).map(lambda quarters: quarters / 4),
        min_size=len(gaps),
        max_size=len(gaps),
    )
    draws = make_draws(
        np.cumsum(gaps),
        sample=np.array(
            draw(st.lists(st.integers(0, len(payload) - 1), min_size=len(gaps), max_size=len(gaps)))
        ),
        edge_factor=np.array(draw(halves)),
        server_factor=np.array(draw(halves)),
    )
    return system, draws, payload


def service_times_s(case: tuple[System, Draws, list[int]]) -> dict[str, np.ndarray]:
    system, draws, payload = case
    return {
        "edge": system.edge_s * draws.edge_factor,
        "uplink": 8 * np.array(payload)[draws.sample] / system.uplink.mean_rate_bit_per_s,
        "server": system.server_s * draws.server_factor,
        "downlink": np.full(
            draws.created_s.size, 8 * system.answer_bytes / system.downlink.mean_rate_bit_per_s
        ),
    }


def workers_of(system: System) -> dict[str, int]:
    return dict.fromkeys(STAGES, 1) | {"server": system.workers}


def busy_at(trace: Trace, stage: str, time_s: float) -> int:
    start_s, end_s = stage_spans_s(trace, stage)
    return int(np.sum((start_s <= time_s) & (time_s < end_s)))


@given(busy_systems())
def test_every_request_is_answered_exactly_once(case: tuple[System, Draws, list[int]]) -> None:
    system, draws, payload = case
    trace = make_trace(system, draws, payload)
    for values in trace.columns().values():
        assert values.shape == draws.created_s.shape
        assert not np.isnan(values).any()
    assert np.array_equal(trace.created_s, draws.created_s)
    assert np.array_equal(trace.sample, draws.sample)
    assert np.array_equal(trace.payload_bytes, np.array(payload)[draws.sample])


@given(busy_systems())
def test_no_timestamp_lies_before_its_cause(case: tuple[System, Draws, list[int]]) -> None:
    columns = make_trace(*case).columns()
    for earlier, later in pairwise(STAMPS):
        assert np.all(columns[earlier] <= columns[later]), (earlier, later)


@given(busy_systems())
def test_every_service_takes_its_time_and_every_delay_is_the_links(
    case: tuple[System, Draws, list[int]],
) -> None:
    trace = make_trace(*case)
    for stage, service_s in service_times_s(case).items():
        start_s, end_s = stage_spans_s(trace, stage)
        assert np.array_equal(end_s - start_s, service_s), stage
    assert np.all(trace.delivered_s - trace.uplink_end_s == case[0].uplink.delay_s)
    assert np.all(trace.answered_s - trace.downlink_end_s == case[0].uplink.delay_s)


@given(busy_systems())
def test_every_stage_is_first_come_first_served(case: tuple[System, Draws, list[int]]) -> None:
    trace = make_trace(*case)
    for stage in STAGES:
        came_s, start_s = stage_arrivals_s(trace, stage), stage_spans_s(trace, stage)[0]
        before = came_s[:, None] < came_s[None, :]
        assert np.all(start_s[:, None] <= start_s[None, :], where=before), stage


@given(busy_systems())
def test_no_stage_serves_more_at_a_time_than_it_has_workers(
    case: tuple[System, Draws, list[int]],
) -> None:
    trace = make_trace(*case)
    for stage, workers in workers_of(case[0]).items():
        for time_s in stage_spans_s(trace, stage)[0]:
            assert busy_at(trace, stage, time_s) <= workers, stage


@given(busy_systems())
def test_no_stage_idles_while_a_request_waits_for_it(
    case: tuple[System, Draws, list[int]],
) -> None:
    trace = make_trace(*case)
    for stage, workers in workers_of(case[0]).items():
        came_s = stage_arrivals_s(trace, stage)
        start_s, end_s = stage_spans_s(trace, stage)
        moments_s = np.concatenate([came_s, start_s, end_s])
        for came, start in zip(came_s, start_s, strict=True):
            for moment in moments_s[(moments_s >= came) & (moments_s < start)]:
                assert busy_at(trace, stage, moment) == workers, stage


@given(busy_systems())
def test_every_stage_starts_when_a_hand_written_queue_would(
    case: tuple[System, Draws, list[int]],
) -> None:
    trace = make_trace(*case)
    for stage, service_s in service_times_s(case).items():
        came_s, start_s = stage_arrivals_s(trace, stage), stage_spans_s(trace, stage)[0]
        # Ties come in order of creation; at the downlink all services are alike anyway.
        order = np.argsort(came_s, kind="stable")
        free_s = [0.0] * workers_of(case[0])[stage]
        expected_s = []
        for index in order:
            start = max(came_s[index], heapq.heappop(free_s))
            heapq.heappush(free_s, start + service_s[index])
            expected_s.append(start)
        assert sorted(start_s) == expected_s, stage


def chain_s(system: System, created_s: np.ndarray, payload_bytes: int) -> np.ndarray:
    uplink_s = 8 * payload_bytes / system.uplink.mean_rate_bit_per_s
    downlink_s = 8 * system.answer_bytes / system.downlink.mean_rate_bit_per_s
    delivered_s = ((created_s + system.edge_s) + uplink_s) + system.uplink.delay_s
    return ((delivered_s + system.server_s) + downlink_s) + system.uplink.delay_s


SECONDS = st.floats(1e-6, 1.0)

# Hundredths are not exact in binary: a clock that adds differences drifts off such times.
DECIMAL_TIMES = st.lists(st.integers(1, 4000), min_size=2, max_size=20).map(
    lambda gaps: np.cumsum(gaps) / 100
)
SPARSE_TIMES = st.lists(st.integers(2000, 10**7), min_size=1, max_size=8).map(
    lambda gaps: np.cumsum(gaps) / 100
)


@given(SECONDS, SECONDS, SECONDS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_request_alone_takes_exactly_the_closed_form(
    edge_s: float, server_s: float, delay_s: float, payload: int, answer: int
) -> None:
    system = make_system(
        edge_s=edge_s,
        server_s=server_s,
        delay_s=delay_s,
        answer_bytes=answer,
        uplink_bit_per_s=1e7,
        downlink_bit_per_s=3e7,
    )
    trace = make_trace(system, make_draws([0.0]), [payload])
    expected_s = chain_s(system, np.array([0.0]), payload)
    assert trace.sojourn_time_s.tolist() == expected_s.tolist()


@given(SECONDS, SECONDS, SECONDS, SPARSE_TIMES)
@example(0.1, 0.1, 0.1, np.array([20.01, 52.02]))
def test_at_zero_load_every_request_takes_exactly_the_closed_form(
    edge_s: float, server_s: float, delay_s: float, created_s: np.ndarray
) -> None:
    system = make_system(edge_s=edge_s, server_s=server_s, delay_s=delay_s, answer_bytes=999)
    trace = make_trace(system, make_draws(created_s), [888])
    assert trace.answered_s.tolist() == chain_s(system, created_s, 888).tolist()


def test_at_zero_load_nobody_waits() -> None:
    trace = make_trace(make_system(), make_draws(np.arange(50) * 64.0))
    for stage in STAGES:
        assert np.array_equal(stage_spans_s(trace, stage)[0], stage_arrivals_s(trace, stage))


@given(DECIMAL_TIMES, st.floats(0, 10))
@example(np.array([0.05, 0.21]), 0.0)
def test_service_never_starts_before_the_request_is_created(
    created_s: np.ndarray, edge_s: float
) -> None:
    trace = make_trace(make_system(edge_s=edge_s), make_draws(created_s))
    assert np.all(trace.edge_start_s >= trace.created_s)
    assert np.all(trace.sojourn_time_s >= 0)


@given(DECIMAL_TIMES, st.integers(2, 3))
@example(np.array([0.03, 0.29]), 2)
def test_requests_created_at_the_same_instant_are_all_answered(
    created_s: np.ndarray, together: int
) -> None:
    trace = make_trace(make_system(), make_draws(np.repeat(created_s, together)))
    assert not np.isnan(trace.answered_s).any()


def test_three_requests_at_once_queue_at_the_slowest_stage_as_by_hand() -> None:
    # edge 0.5, uplink 1 (125 B at 1 kbit/s), delay 0.125, server 0.25, no downlink
    trace = make_trace(make_system(), make_draws([0.0, 0.0, 0.0]))
    assert trace.edge_end_s.tolist() == [0.5, 1.0, 1.5]
    assert trace.uplink_start_s.tolist() == [0.5, 1.5, 2.5]
    assert trace.delivered_s.tolist() == [1.625, 2.625, 3.625]
    assert trace.server_end_s.tolist() == [1.875, 2.875, 3.875]
    assert trace.answered_s.tolist() == [2.0, 3.0, 4.0]


def test_two_workers_serve_two_requests_side_by_side_and_the_third_waits() -> None:
    system = make_system(edge_s=0.0, server_s=4.0, workers=2, delay_s=0.0)
    trace = make_trace(system, make_draws([0.0, 0.0, 0.0]), [0])
    assert trace.server_start_s.tolist() == [0.0, 0.0, 4.0]
    assert trace.server_end_s.tolist() == [4.0, 4.0, 8.0]


def test_a_quick_request_on_a_second_worker_overtakes_a_slow_one() -> None:
    system = make_system(edge_s=0.0, server_s=4.0, workers=2, delay_s=0.0)
    draws = make_draws([0.0, 0.0], server_factor=np.array([2.0, 0.5]))
    assert make_trace(system, draws, [0]).answered_s.tolist() == [8.0, 2.0]


def test_each_request_carries_the_payload_and_the_outcome_of_its_sample() -> None:
    draws = make_draws([0.0, 10.0, 20.0], sample=np.array([2, 0, 2]))
    payload, correct = np.array([125, 250, 500]), np.array([False, False, True])
    trace = simulate(make_system(), draws, payload, correct)
    assert trace.payload_bytes.tolist() == [500, 125, 500]
    assert (trace.uplink_end_s - trace.uplink_start_s).tolist() == [4.0, 1.0, 4.0]
    assert trace.correct.tolist() == [True, False, True]


def test_a_request_that_is_cut_on_the_edge_only_ends_there() -> None:
    draws = make_draws([0.0, 0.25, 5.0])
    trace = make_trace(make_system(crosses_link=False), draws)
    assert trace.edge_end_s.tolist() == [0.5, 1.0, 5.5]
    assert np.array_equal(trace.answered_s, trace.edge_end_s)
    for name in STAMPS[3:-1]:
        assert np.isnan(trace.columns()[name]).all(), name


def test_a_request_that_ends_on_the_edge_puts_no_bytes_on_the_uplink() -> None:
    trace = make_trace(make_system(crosses_link=False), make_draws([0.0, 0.25]), [125])
    assert trace.payload_bytes.tolist() == [0, 0]


@pytest.mark.parametrize("crosses_link", [True, False])
def test_a_run_without_requests_gives_an_empty_trace(crosses_link: bool) -> None:
    trace = make_trace(make_system(crosses_link=crosses_link), make_draws([]))
    assert {values.size for values in trace.columns().values()} == {0}


def test_the_engine_is_a_function_of_system_and_draws() -> None:
    draws = make_draws(np.cumsum(np.arange(20) / 16))
    first, second = (make_trace(make_system(), draws).columns() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
