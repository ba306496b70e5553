from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.simulation import quantiles as module
from flexrel_sim.simulation.quantiles import CHUNKS, ROUNDING, PooledLatencies, Quantiles

SHARES = (0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0)


def quantiles_of(values: np.ndarray, *parts: int) -> Quantiles:
    quantiles = Quantiles()
    for part in np.split(values, parts):
        quantiles.add(part)
    return quantiles


def at(pool: PooledLatencies, shares: tuple[float, ...]) -> list[float]:
    return [pool.quantile(share) for share in shares]


@pytest.fixture
def few_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_MAX", 1000)


def test_quantiles_of_a_short_stream_are_exact_however_it_comes() -> None:
    values = np.random.default_rng(0).exponential(size=999)
    quantiles = quantiles_of(values, 1, 500, 500)
    assert quantiles.exact
    np.testing.assert_allclose(
        at(PooledLatencies([quantiles]), SHARES), np.quantile(values, SHARES), rtol=1e-13
    )


def test_quantiles_of_replications_are_those_of_all_their_values() -> None:
    rng = np.random.default_rng(0)
    own = [rng.exponential(size=size) for size in (700, 1, 90)]
    pool = PooledLatencies([quantiles_of(values) for values in own])
    expected = np.quantile(np.concatenate(own), SHARES)
    np.testing.assert_allclose(at(pool, SHARES), expected, rtol=1e-13)


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1e-300, 0.5, 1.0]) | st.floats(0, 1e9), max_size=20),
        min_size=1,
        max_size=3,
    ).filter(any),
    st.floats(-0.1, 1.1),
)
def test_values_too_many_for_one_sorted_copy_have_the_same_quantiles(
    own: list[list[float]], share: float
) -> None:
    replications = [quantiles_of(np.array(values)) for values in own]
    pool, halving = PooledLatencies(replications), PooledLatencies(replications)
    halving._sorted = None
    assert halving.quantile(share) == pool.quantile(share)
    expected = np.quantile(np.concatenate(own), min(max(share, 0.0), 1.0))
    assert pool.quantile(share) == pytest.approx(expected, rel=1e-12)


def test_consecutive_parts_are_as_they_came_and_leave_what_was_added_alone() -> None:
    values = np.arange(80.0)[::-1].copy()
    quantiles = quantiles_of(values, 33)
    chunks = quantiles.chunks()
    assert len(chunks) == CHUNKS
    assert [chunk.tolist() for chunk in chunks[:2]] == [
        list(np.arange(70.0, 80.0)),
        list(np.arange(60.0, 70.0)),
    ]
    assert values[0] == 79.0


def test_counts_tell_values_below_from_those_at_most() -> None:
    quantiles = quantiles_of(np.array([1.0, 2.0, 2.0, 3.0]))
    assert quantiles.count_up_to(2.0) == 3
    assert quantiles.count_up_to(2.0, inclusive=False) == 1
    assert Quantiles().count_up_to(2.0) == 0


def test_extremes_of_nothing_are_unknown() -> None:
    assert all(math.isnan(value) for value in Quantiles().extremes())


@pytest.mark.usefixtures("few_exact")
@pytest.mark.parametrize("kind", ["random", "wide", "few values", "zeros"])
@pytest.mark.parametrize("replications", [1, 4])
def test_quantiles_of_many_values_are_theirs_to_the_stated_rounding(
    kind: str, replications: int
) -> None:
    rng = np.random.default_rng(7)
    values = {
        "random": rng.exponential(size=40_000),
        "wide": np.exp(rng.normal(scale=30, size=40_000)),
        "few values": rng.integers(5, size=40_000).astype(float),
        "zeros": rng.integers(2, size=40_000) * rng.random(40_000),
    }[kind]
    counted = [quantiles_of(own, 9, 777) for own in np.array_split(values, replications)]
    assert not any(own.exact for own in counted)
    shares = tuple(np.linspace(0, 1, 201))
    # Interpolated between the same two neighbours, each rounded.
    found = at(PooledLatencies(counted), shares)
    np.testing.assert_allclose(found, np.quantile(values, shares), rtol=1.001 * ROUNDING)


@given(st.lists(st.floats(0, 1e9) | st.sampled_from([0.0, -0.0, 1.0, 5e-324]), min_size=1))
def test_a_rounded_value_is_off_by_no_more_than_is_stated(values: list[float]) -> None:
    counts = module._Counts()
    counts.add(np.array(values))
    normal = [value for value in values if value >= 1e-300]
    low, high = counts.extremes()
    assert high == pytest.approx(max(values), rel=ROUNDING, abs=1e-300)
    assert low == pytest.approx(min(values), rel=ROUNDING, abs=1e-300)
    assert counts.up_to(high, inclusive=True) == len(values)
    assert counts.up_to(low, inclusive=False) == 0
    for value in normal:
        at_most = sum(other <= value * (1 + 2 * ROUNDING) for other in values)
        surely = sum(other <= value * (1 - 2 * ROUNDING) for other in values)
        assert surely <= counts.up_to(value * (1 + ROUNDING), inclusive=True) <= at_most


@pytest.mark.usefixtures("few_exact")
def test_it_matters_not_in_which_order_and_parts_values_come() -> None:
    values = np.random.default_rng(0).exponential(size=30_000)
    one, other = quantiles_of(values, 5000), quantiles_of(values[::-1], 1, 2, 20_000)
    assert at(PooledLatencies([one]), SHARES) == at(PooledLatencies([other]), SHARES)


def test_the_stated_error_is_small_beside_any_interval() -> None:
    assert 0 < ROUNDING < 0.0002


@pytest.mark.usefixtures("few_exact")
def test_what_came_while_values_were_kept_is_counted() -> None:
    quantiles = Quantiles()
    quantiles.add(np.full(1000, 5.0))
    assert quantiles.exact
    quantiles.add(np.array([9.0]))
    assert not quantiles.exact
    assert quantiles.count == 1001
    assert at(PooledLatencies([quantiles]), (0.0, 0.5, 1.0)) == [5.0, 5.0, 9.0]


@pytest.mark.usefixtures("few_exact")
def test_counts_take_little_of_what_they_were_given() -> None:
    quantiles = Quantiles()
    for _ in range(20):
        quantiles.add(0.001 + np.random.default_rng(0).random(100_000))
    assert quantiles._rounded is not None
    assert quantiles._rounded._counts.size < 50_000
