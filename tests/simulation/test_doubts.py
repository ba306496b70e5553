from __future__ import annotations

import re

import numpy as np
import pytest

from flexrel_sim.simulation import Stage, Window
from flexrel_sim.simulation.doubts import BEYOND_MIN, MEAN_MIN, Doubt, doubts_of, queues_of
from flexrel_sim.simulation.quantiles import PooledLatencies, Quantiles
from flexrel_sim.simulation.tails import quantile_interval

LONG = Window(1e6, 2e6)


def doubts(
    latency_s: np.ndarray, load: float = 0.0, window: Window = LONG, service_s: float = 1.0
) -> dict[str, Doubt]:
    """Doubts of p99 and mean, of replications in rows, with one queue."""
    replications = []
    for own in latency_s:
        replications.append(Quantiles())
        replications[-1].add(own)
    pool = PooledLatencies(replications)
    queues = queues_of([Stage("edge", service_s, 1, "edge.device")], {"edge": load})
    tails = {"latency_p99_s": quantile_interval(pool, 0.99)}
    return doubts_of(pool, float(latency_s.mean()), tails, queues, window)


def exponential(replications: int, requests: int) -> np.ndarray:
    return np.random.default_rng(5).exponential(size=(replications, requests))


def test_a_queue_remembers_by_its_load_and_the_slowest_comes_first() -> None:
    stages = [
        Stage("edge", 1.0, 1, "edge.device"),
        Stage("uplink", 0.5, 1, "link.uplink"),
        Stage("server", 4.0, 4, "server.workers"),
        Stage("downlink", 1.0, 1, "link.downlink", bounded=True),
    ]
    loads = {"edge": 0.7, "uplink": 0.9, "server": 0.7, "downlink": 0.9}
    uplink, edge, server = queues_of(stages, loads)
    assert (uplink.name, edge.name, server.name) == ("uplink", "edge", "server")
    assert edge.requests == server.requests == pytest.approx(0.7 / (1 - 0.7**0.5) ** 2)
    assert uplink.relaxation_s == pytest.approx(0.5 / (1 - 0.9**0.5) ** 2)


@pytest.mark.parametrize("load", [0.0, 1.0, 1.5])
def test_what_is_idle_or_full_is_no_queue_with_a_memory(load: float) -> None:
    assert not queues_of([Stage("edge", 1.0, 1, "edge.device")], {"edge": load})


def test_so_many_requests_beyond_the_quantile_are_enough_and_fewer_are_not() -> None:
    # A load of 0.25 holds one request together: theory is that of independent ones.
    enough = int(100 * BEYOND_MIN)
    assert "latency_p99_s" not in doubts(exponential(25, enough // 25), 0.25)
    few = doubts(exponential(25, enough // 25 - 1), 0.25)["latency_p99_s"]
    assert few.cause == "few"
    assert few.longer == pytest.approx(enough / (enough - 25))


def test_a_mean_needs_more_where_the_queue_remembers() -> None:
    memory = 0.7 / (1 - 0.7**0.5) ** 2
    requests = int(MEAN_MIN * memory) // 20
    assert "latency_mean_s" in doubts(exponential(20, requests), 0.7)
    assert "latency_mean_s" not in doubts(exponential(20, requests + 1), 0.7)
    assert "latency_mean_s" not in doubts(exponential(20, 21), 0.0)


def test_counts_are_told_without_an_exponent() -> None:
    reasons = [
        doubts(exponential(2, 20_000), 0.999)["latency_mean_s"].reason,
        doubts(np.full((2, 5), 1.0) + exponential(2, 5), 0.99)["latency_mean_s"].reason,
        doubts(exponential(40, 2000) ** 9)["latency_mean_s"].reason,
    ]
    assert not [reason for reason in reasons if "e+" in reason or "e-" in reason]
    assert reasons[0].startswith("40,000 requests count, as informative as 0.0")
    assert re.search(r"; \d+,\d00 are needed$", reasons[2])
    start = doubts(np.full((100, 1000), 1e6), 0.99, Window(0.0, 1e6), service_s=1.0)
    assert all("e+" not in doubt.reason for doubt in start.values())


def test_latencies_without_skewness_need_no_number_for_their_mean() -> None:
    even = np.random.default_rng(0).uniform(1, 2, size=(5, 8))
    assert "latency_mean_s" not in doubts(even)
    skewed = np.random.default_rng(0).exponential(size=(5, 8)) ** 2
    assert doubts(skewed)["latency_mean_s"].cause == "few"


def test_a_queue_whose_wait_is_a_small_part_of_the_latency_is_not_asked() -> None:
    latency_s = 1000 + np.random.default_rng(0).uniform(size=(10, 2000))
    assert doubts(latency_s, 0.9, service_s=100.0)
    assert not doubts(latency_s, 0.9, service_s=1.0)


def test_fading_that_theory_does_not_know_of_counts() -> None:
    rng = np.random.default_rng(0)
    fading = np.repeat(rng.exponential(size=(10, 20)), 200, axis=1)
    found = doubts(fading, 0.25)
    assert found["latency_p99_s"].cause == found["latency_mean_s"].cause == "few"
    assert not doubts(rng.exponential(size=(10, 4000)), 0.25)


def test_one_latency_that_nothing_changes_is_never_doubted() -> None:
    assert not doubts(np.full((2, 3), 0.25))


def test_an_interval_past_all_that_was_seen_is_doubted() -> None:
    # Student's t of one degree of freedom is 12.7.
    assert doubts(exponential(2, 4000), 0.2)["latency_p99_s"].cause == "unbounded"
    assert "latency_p99_s" not in doubts(exponential(8, 1000), 0.2)


def test_what_all_replications_do_alike_is_no_chance() -> None:
    schedule = np.repeat([1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0], 500)
    rng = np.random.default_rng(0)
    assert not doubts(schedule * rng.uniform(1, 1.1, size=(10, 4000)))


def test_an_empty_start_is_doubted_until_the_warm_up_or_the_run_is_long() -> None:
    latency_s = exponential(30, 4000)
    tau_s = 1 / (1 - 0.5**0.5) ** 2
    length_s = 2 * 30 * tau_s
    start = doubts(latency_s, 0.5, Window(0.0, length_s))["latency_mean_s"]
    assert start.cause == "start"
    needed_s = start.warmup_s
    assert doubts(latency_s, 0.5, Window(0.9 * needed_s, 0.9 * needed_s + length_s))
    assert not doubts(latency_s, 0.5, Window(1.01 * needed_s, 1.01 * needed_s + length_s))
    assert not doubts(latency_s, 0.5, Window(0.0, 2.1 * length_s))
