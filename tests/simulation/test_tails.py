from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from flexrel_sim.simulation import quantiles as module
from flexrel_sim.simulation.quantiles import ROUNDING, PooledLatencies, Quantiles
from flexrel_sim.simulation.tails import inflation, quantile_interval


def pool_of(*replications: np.ndarray) -> PooledLatencies:
    pooled = []
    for values in replications:
        pooled.append(Quantiles())
        pooled[-1].add(np.asarray(values, dtype=float))
    return PooledLatencies(pooled)


def test_the_bounds_are_the_latencies_between_whose_ranks_the_share_beyond_varies() -> None:
    rng = np.random.default_rng(3)
    own = [rng.exponential(size=1000) for _ in range(6)]
    pooled = np.concatenate(own)
    found = quantile_interval(pool_of(*own), 0.95)
    value = np.quantile(pooled, 0.95)
    beyond = [np.mean(values > value) for values in own]
    half = t.ppf(0.975, 5) * np.std(beyond, ddof=1) / np.sqrt(6)
    expected = (value, *np.quantile(pooled, [0.95 - half, 0.95 + half]))
    estimate = found.estimate
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(expected, rel=1e-12)
    assert found.bounded


def test_rounding_widens_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    # Replications alike to the last value: nothing but rounding leaves a doubt.
    values = np.linspace(0, 1, 100_001)
    exact = quantile_interval(pool_of(values, values), 0.9).estimate
    assert exact.low == exact.high == pytest.approx(0.9)
    monkeypatch.setattr(module, "EXACT_MAX", 1000)
    rounded = quantile_interval(pool_of(values, values), 0.9).estimate
    assert rounded.value == pytest.approx(0.9, rel=ROUNDING)
    assert rounded.high == rounded.value * (1 + ROUNDING)
    assert rounded.low == rounded.value * (1 - ROUNDING)


def test_what_lies_beyond_all_that_was_seen_is_no_bound() -> None:
    rng = np.random.default_rng(0)
    few = quantile_interval(pool_of(*rng.exponential(size=(3, 60))), 0.99)
    assert not few.bounded
    many = quantile_interval(pool_of(*rng.exponential(size=(10, 6000))), 0.99)
    assert many.bounded


def test_one_latency_that_never_changes_is_known() -> None:
    found = quantile_interval(pool_of(np.full(4, 2.5), np.full(3, 2.5)), 0.99)
    assert found.bounded
    estimate = found.estimate
    assert (estimate.value, estimate.low, estimate.high) == (2.5, 2.5, 2.5)
    assert found.values == (2.5, 2.5)


def test_the_share_of_requests_at_the_quantile_may_vary_too() -> None:
    # None is beyond 3.0, but how many are at it differs.
    found = quantile_interval(pool_of([1, 1, 1, 3], [1, 3, 3, 3], [1, 1, 3, 3]), 0.6)
    assert found.estimate.low == 1
    assert found.estimate.value == 3


@given(
    st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=30), min_size=2, max_size=5),
    st.floats(0.01, 0.99),
)
def test_the_interval_holds_its_quantile_and_stays_within_what_was_seen(
    own: list[list[float]], share: float
) -> None:
    found = quantile_interval(pool_of(*map(np.array, own)), share).estimate
    seen = np.concatenate(own)
    assert seen.min() <= found.low <= found.value <= found.high <= seen.max()


@given(st.lists(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), min_size=2, max_size=5))
def test_bounds_are_of_ranks_so_that_another_unit_or_scale_changes_nothing(
    own: list[list[float]],
) -> None:
    plain = quantile_interval(pool_of(*(np.array(v) for v in own)), 0.5)
    double = quantile_interval(pool_of(*(2 * np.array(v) for v in own)), 0.5)
    assert double.estimate.low == pytest.approx(2 * plain.estimate.low)
    assert double.estimate.high == pytest.approx(2 * plain.estimate.high)


def test_independent_requests_tell_as_much_as_they_are() -> None:
    rng = np.random.default_rng(0)
    pool = pool_of(*rng.exponential(size=(20, 4000)))
    assert 1 <= inflation(pool, 3.0) < 1.4


def test_requests_that_come_in_runs_tell_as_much_as_the_runs() -> None:
    rng = np.random.default_rng(0)
    pool = pool_of(*(np.repeat(rng.exponential(size=400), 25) for _ in range(20)))
    assert inflation(pool, 2.0) == pytest.approx(25, rel=0.4)


def test_nothing_beyond_and_lost_order_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inflation(pool_of([1, 2, 3], [1, 2, 3]), 5.0) == 1
    monkeypatch.setattr(module, "EXACT_MAX", 10)
    assert inflation(pool_of(np.arange(50.0), np.arange(50.0)), 25.0) == 1
