"""Queues that turn away, share, batch, prefer or fail, against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from flexrel_sim.links import Buffer, Direction, constant
from flexrel_sim.simulation import Pool, Trace
from flexrel_sim.simulation.streams import generator
from flexrel_sim.simulation.trace import reason_code
from flexrel_sim.statistics import t_interval
from flexrel_sim.theory import (
    erlang_b,
    full_batches_mean_wait_s,
    mg1_mean_wait_s,
    mg1_priority_mean_waits_s,
    mm1_bulk_mean_wait_s,
    mm1_crashing_answered_share,
    mmck_blocking,
    sharing_mean_sojourn_s,
    timed_batches,
)
from tests.builders import interval, make_scenario, make_system, replicate, settled, wait_s

RATE = 1.0
FIXED = ("deterministic", "deterministic")

# Exponential payloads of mean one: the midpoints of equally likely slices, as bytes at 8 Mbit/s.
SLICES = (np.arange(50_000) + 0.5) / 50_000
UNIT_PAYLOAD = -np.log1p(-SLICES)


def exponential_payload(mean_s: float) -> np.ndarray:
    return np.round(UNIT_PAYLOAD * mean_s * 1e6).astype(np.int64)


def uplink(**options: object) -> Direction:
    return Direction("uplink", constant(8e6), **options)


def dropped(reason: str):
    return lambda trace: trace.reason == reason_code(reason)


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("load", [0.7, 1.4])
def test_an_edge_with_finite_waiting_room_blocks_as_mm1k(places: int, load: float) -> None:
    system = make_system(edge_s=load, edge_buffer=places - 1, crosses_link=False)
    estimate = interval(replicate(system, RATE, 4000), dropped("edge full"))
    assert estimate.low <= mmck_blocking(RATE, load, 1, places) <= estimate.high


@pytest.mark.parametrize(("workers", "waiting"), [(1, 0), (1, 2), (3, 0), (3, 4)])
def test_a_server_with_finite_waiting_room_blocks_as_mmck(workers: int, waiting: int) -> None:
    pool = Pool((0.0, 0.9 * workers), workers, buffer=waiting)
    traces = replicate(make_system(edge_s=0.0, pool=pool), RATE, 4000, payload_bytes=[0])
    estimate = interval(traces, dropped("server full"))
    assert estimate.low <= mmck_blocking(RATE, 0.9 * workers, workers, workers + waiting)
    assert mmck_blocking(RATE, 0.9 * workers, workers, workers + waiting) <= estimate.high


def test_the_simpy_engine_blocks_as_mmck_too() -> None:
    pool = Pool((0.0, 1.4), 2, buffer=2)
    system = make_system(edge_s=0.0, pool=pool)
    traces = replicate(system, RATE, 1000, payload_bytes=[0], replications=20, engine="simpy")
    estimate = interval(traces, dropped("server full"))
    assert estimate.low <= mmck_blocking(RATE, 1.4, 2, 4) <= estimate.high


@pytest.mark.parametrize("services", [FIXED, ("exponential", "exponential")])
def test_without_waiting_room_blocking_is_erlangs_b_whatever_the_service(
    services: tuple[str, str],
) -> None:
    pool = Pool((0.0, 3.0), workers=4, buffer=0)
    system = make_system(edge_s=0.0, pool=pool)
    traces = replicate(system, RATE, 6000, services=services, payload_bytes=[0])
    estimate = interval(traces, dropped("server full"))
    assert estimate.low <= erlang_b(4, 3.0) <= estimate.high


@pytest.mark.parametrize("places", [1, 3])
def test_a_link_with_a_finite_buffer_blocks_as_mm1k(places: int) -> None:
    system = make_system(
        edge_s=0.0, server_s=0.0, uplink=uplink(buffer=Buffer(messages=places - 1))
    )
    traces = replicate(system, RATE, 4000, payload_bytes=exponential_payload(0.9))
    estimate = interval(traces, dropped("uplink full"))
    assert estimate.low <= mmck_blocking(RATE, 0.9, 1, places) <= estimate.high


def test_a_buffer_in_bytes_holds_as_many_messages_of_one_size_as_fit() -> None:
    by = {
        "bytes": Buffer(size_bytes=2 * 900_000 + 899_999),
        "messages": Buffer(messages=2),
    }
    lost = {}
    for name, buffer in by.items():
        system = make_system(edge_s=0.0, server_s=0.0, uplink=uplink(buffer=buffer))
        (trace,) = replicate(system, RATE, 4000, payload_bytes=[900_000], replications=1)
        lost[name] = dropped("uplink full")(trace)
    assert lost["bytes"].sum() > 100
    assert np.array_equal(lost["bytes"], lost["messages"])


def test_a_queue_that_blocks_is_busy_as_often_as_it_is_not_empty() -> None:
    system = make_system(edge_s=1.4, edge_buffer=2, crosses_link=False)
    shares = []
    for trace in replicate(system, RATE, 4000):
        start_s, end_s = trace.created_s[-1] / 10, trace.created_s[-1]
        inside_s = np.clip(trace.edge_end_s, start_s, end_s) - np.clip(
            trace.edge_start_s, start_s, end_s
        )
        shares.append(np.nansum(inside_s) / (end_s - start_s))
    estimate = t_interval(shares, 0.999)
    assert estimate.low <= 1.4 * (1 - mmck_blocking(RATE, 1.4, 1, 3)) <= estimate.high


@pytest.fixture(scope="module")
def shared_mm1() -> list[Trace]:
    system = make_system(edge_s=0.0, server_s=0.0, medium="shared", uplink=uplink())
    return replicate(system, RATE, 8000, payload_bytes=exponential_payload(0.6))


def sent_s(trace: Trace) -> np.ndarray:
    return trace.uplink_end_s - trace.uplink_start_s


def test_the_mean_time_on_a_shared_medium_is_mm1ps(shared_mm1: list[Trace]) -> None:
    estimate = interval(shared_mm1, sent_s)
    assert estimate.low <= sharing_mean_sojourn_s(RATE, 0.6, 0.6) <= estimate.high


@pytest.mark.parametrize(("least_s", "most_s"), [(0.0, 0.2), (0.5, 1.0), (2.0, 10.0)])
def test_a_shared_medium_stretches_short_and_long_messages_alike(
    shared_mm1: list[Trace], least_s: float, most_s: float
) -> None:
    ratios = []
    for trace in shared_mm1:
        alone_s = trace.uplink_bytes / 1e6
        chosen = settled(trace) & (alone_s >= least_s) & (alone_s < most_s)
        ratios.append(sent_s(trace)[chosen].mean() / alone_s[chosen].mean())
    estimate = t_interval(ratios, 0.999)
    assert estimate.low <= sharing_mean_sojourn_s(RATE, 0.6, 1.0) <= estimate.high


@pytest.mark.parametrize(("engine", "requests"), [("compiled", 8000), ("simpy", 800)])
def test_a_shared_medium_takes_as_long_for_equal_messages_as_for_exponential_ones(
    engine: str, requests: int
) -> None:
    system = make_system(edge_s=0.0, server_s=0.0, medium="shared", uplink=uplink())
    traces = replicate(system, RATE, requests, payload_bytes=[600_000], engine=engine)
    estimate = interval(traces, sent_s)
    assert estimate.low <= sharing_mean_sojourn_s(RATE, 0.6, 0.6) <= estimate.high


@pytest.mark.parametrize(("size", "batch_s"), [(1, 0.7), (3, 2.1), (8, 5.0)])
def test_a_server_that_takes_whoever_waits_is_a_bulk_queue(size: int, batch_s: float) -> None:
    pool = Pool((0.0, *[batch_s] * size))
    traces = replicate(make_system(edge_s=0.0, pool=pool), RATE, 8000, payload_bytes=[0])
    estimate = interval(traces, lambda trace: wait_s(trace, "server"))
    assert estimate.low <= mm1_bulk_mean_wait_s(RATE, batch_s, size) <= estimate.high


@pytest.mark.parametrize(("size", "batch_s"), [(2, 1.0), (4, 3.0)])
def test_a_server_that_takes_full_batches_only_is_an_erlang_queue_of_batches(
    size: int, batch_s: float
) -> None:
    pool = Pool((0.0, *[batch_s] * size), timeout_s=1e9)
    traces = replicate(make_system(edge_s=0.0, pool=pool), RATE, 8000, payload_bytes=[0])
    # The last, incomplete batch starts when its time is up, long after the run.
    for trace in traces:
        assert (trace.batch[: -2 * size] == size).all()
    means = [wait_s(trace, "server")[settled(trace)][: -2 * size].mean() for trace in traces]
    estimate = t_interval(means, 0.999)
    assert estimate.low <= full_batches_mean_wait_s(RATE, batch_s, size) <= estimate.high


@pytest.mark.parametrize(("size", "timeout_s"), [(2, 0.5), (4, 2.0), (16, 3.0)])
def test_batches_by_timeout_have_the_size_and_the_wait_of_renewal_theory(
    size: int, timeout_s: float
) -> None:
    pool = Pool((0.0,) * (size + 1), timeout_s=timeout_s)
    traces = replicate(make_system(edge_s=0.0, pool=pool), RATE, 6000, payload_bytes=[0])
    mean_batch, mean_wait_s = timed_batches(RATE, timeout_s, size)
    # One over its batch's size, summed over requests, counts batches.
    estimate = interval(traces, lambda trace: 1 / trace.batch)
    assert estimate.low <= 1 / mean_batch <= estimate.high
    estimate = interval(traces, lambda trace: wait_s(trace, "server"))
    assert estimate.low <= mean_wait_s <= estimate.high


@pytest.mark.parametrize("workers", [1, 3])
def test_urgent_requests_wait_as_cobham_says_and_the_others_too(workers: int) -> None:
    server_s = 0.8 * workers
    system = make_system(edge_s=0.0, server_s=server_s, workers=workers)
    traces = replicate(system, RATE, 10_000, payload_bytes=[0], urgent_share=0.25)
    classes = [(share, server_s, 2 * server_s**2) for share in (0.25, 0.75)]
    expected_s = mg1_priority_mean_waits_s(classes, workers)
    # The draws are those of `replicate`, whose tiers the trace does not keep.
    waits_s = [tier_waits_s(trace, number, 0.25) for number, trace in enumerate(traces)]
    for tier, own_s in enumerate(zip(*waits_s, strict=True)):
        estimate = t_interval(own_s, 0.999)
        assert estimate.low <= expected_s[tier] <= estimate.high, tier
    assert expected_s[0] < expected_s[1] / 3


def tier_waits_s(trace: Trace, replication: int, share: float) -> tuple[float, float]:
    urgent = generator(0, replication, "tiers").random(trace.created_s.size) < share
    waited_s, counted = wait_s(trace, "server"), settled(trace)
    return waited_s[counted & urgent].mean(), waited_s[counted & ~urgent].mean()


@pytest.mark.parametrize("tier", [0, 1])
def test_other_tenants_jobs_delay_as_a_second_stream_of_the_queue(tier: int) -> None:
    theirs = {"rate": "0.2 /s", "service_time": "2 s", "service": "exponential", "tier": tier}
    scenario = make_scenario(server={"background": theirs})
    system = make_system(edge_s=0.0, server_s=0.4)
    traces = replicate(system, RATE, 10_000, payload_bytes=[0], around=scenario)
    estimate = interval(traces, lambda trace: wait_s(trace, "server"))
    classes = [(RATE, 0.4, 2 * 0.4**2), (0.2, 2.0, 2 * 2.0**2)]
    expected_s = mg1_priority_mean_waits_s(classes)[0] if tier else mg1_mean_wait_s(classes)
    assert estimate.low <= expected_s <= estimate.high


def test_a_crashing_edge_answers_the_share_that_its_chain_does() -> None:
    scenario = make_scenario(edge={"failures": {"mean_up": "10 s", "mean_down": "4 s"}})
    system = make_system(edge_s=0.7, crosses_link=False)
    traces = replicate(system, RATE, 6000, around=scenario)
    estimate = interval(traces, lambda trace: trace.answered)
    assert estimate.low <= mm1_crashing_answered_share(RATE, 0.7, 10.0, 4.0) <= estimate.high
    estimate = interval(traces, dropped("edge down"))
    assert estimate.low <= 4.0 / 14.0 <= estimate.high
