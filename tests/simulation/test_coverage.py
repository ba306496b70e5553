"""Intervals cover what they say they do: M/M/1 queues that start empty, against theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.coverage import TAILS, measured, truth_s
from flexrel_sim.simulation import Summary, simulate_point
from flexrel_sim.simulation.quantiles import PooledLatencies, Quantiles
from flexrel_sim.simulation.tails import quantile_interval
from flexrel_sim.simulation.trace import Trace
from tests.builders import make_profile, make_scenario

SEEDS = 400
FIGURES = ("latency_mean_s", *TAILS)


def simulated(
    load: float, replications: int, requests: int, seed: int, keep: list[list[Trace]] | None = None
) -> Summary:
    """An M/M/1 queue at one request a second, by the door that users come through."""
    outcome = simulate_point(
        make_scenario(
            edge={"service_time": f"{load} s", "service": "exponential"},
            workload={"rate": "1 /s", "duration": f"{round(1.1 * requests)} s"},
            simulation={
                "replications": replications,
                "warmup": f"{requests // 10} s",
                "seed": seed,
            },
        ),
        make_profile(crosses_link=False),
        Path(),
        None if keep is None else lambda number, trace: keep[number].append(trace),
    )
    assert isinstance(outcome, Summary)
    return outcome


@pytest.mark.parametrize(
    ("load", "replications", "requests"),
    [(0.5, 5, 6000), (0.7, 10, 3000), (0.9, 10, 38_000)],
)
def test_nominal_95_percent_are_92_to_98_where_no_warning_is_given(
    load: float, replications: int, requests: int
) -> None:
    found = measured(load, (replications, requests), SEEDS)
    for name in FIGURES:
        seen = found[name, "t" if name == "latency_mean_s" else "ranks"]
        sure = [covers for covers, doubted, _ in seen if not doubted]
        # Enough of them to tell: the standard error of a share of 300 is 1.3 %.
        assert len(sure) >= 300, name
        assert 0.92 <= np.mean(sure) <= 0.98, (name, np.mean(sure))


@pytest.mark.parametrize("replications", [5, 10, 30])
def test_few_requests_are_warned_of_however_many_replications_they_are_spread_over(
    replications: int,
) -> None:
    # The example, where means of quantiles covered in 75, 56 and 20 % of the runs.
    found = measured(0.7, (replications, 600), SEEDS)
    covers, doubted, errors = zip(*found["latency_p99_s", "ranks"], strict=True)
    assert all(doubted)
    assert np.mean(covers) > 0.86
    assert abs(np.mean(errors)) < 0.06
    covers, doubted, _ = zip(*found["latency_p50_s", "ranks"], strict=True)
    assert not any(doubted)
    assert 0.92 <= np.mean(covers) <= 0.98


def test_users_see_what_was_measured() -> None:
    covered = dict.fromkeys(FIGURES, 0)
    for seed in range(SEEDS):
        summary = simulated(0.5, 5, 300, seed)
        assert "latency_p50_s" not in summary.doubts
        assert "latency_p99_s" in summary.doubts
        for name in FIGURES:
            metric = summary.metrics[name]
            covered[name] += metric.low <= 0.5 * truth_s(0.5, name) <= metric.high
    assert 0.92 <= covered["latency_p50_s"] / SEEDS <= 0.98


def test_a_summarys_quantiles_are_those_of_its_traces() -> None:
    traces: list[list[Trace]] = [[], [], []]
    summary = simulated(0.7, 3, 2000, 1, traces)
    replications = []
    for own in traces:
        replications.append(Quantiles())
        for trace in own:
            replications[-1].add(trace.sojourn_time_s[trace.created_s >= 200])
    pool = PooledLatencies(replications)
    for name, share in TAILS.items():
        found = quantile_interval(pool, share)
        assert summary.metrics[name] == found.estimate
        assert summary.per_replication[name] == found.values
