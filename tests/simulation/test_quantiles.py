from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.simulation import quantiles as module
from flexrel_sim.simulation.quantiles import CHUNKS, RANK_ERROR, Pool, Quantiles

SHARES = (0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0)


def quantiles_of(values: np.ndarray, *parts: int) -> Quantiles:
    quantiles = Quantiles()
    for part in np.split(values, parts):
        quantiles.add(part)
    return quantiles


def at(pool: Pool, shares: tuple[float, ...]) -> list[float]:
    return [pool.quantile(share) for share in shares]


@pytest.fixture
def few_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_MAX", 1000)


def test_quantiles_of_a_short_stream_are_exact_however_it_comes() -> None:
    values = np.random.default_rng(0).exponential(size=999)
    quantiles = quantiles_of(values, 1, 500, 500)
    assert quantiles.exact
    np.testing.assert_allclose(
        at(Pool([quantiles]), SHARES), np.quantile(values, SHARES), rtol=1e-13
    )


def test_quantiles_of_replications_are_those_of_all_their_values() -> None:
    rng = np.random.default_rng(0)
    own = [rng.exponential(size=size) for size in (700, 1, 90)]
    pool = Pool([quantiles_of(values) for values in own])
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
    pool, halving = Pool(replications), Pool(replications)
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
@pytest.mark.parametrize("order", ["random", "ascending", "descending", "few values"])
@pytest.mark.parametrize("replications", [1, 4])
def test_a_sketched_quantile_has_a_rank_within_the_stated_error(
    order: str, replications: int
) -> None:
    # Ninety-nine per cent confidence each: the sketch's own randomness is all that there is.
    rng = np.random.default_rng(7)
    values = {
        "random": rng.exponential(size=400_000),
        "ascending": np.arange(400_000.0),
        "descending": np.arange(400_000.0)[::-1],
        "few values": rng.integers(5, size=400_000).astype(float),
    }[order]
    sketches = [quantiles_of(own, 9, 777) for own in np.array_split(values, replications)]
    assert not any(own.exact for own in sketches)
    pool = Pool(sketches)
    ordered = np.sort(values)
    wrong = 0
    shares = np.linspace(0.001, 0.999, 200)
    for share in shares:
        value = pool.quantile(share)
        below = np.searchsorted(ordered, value, side="left") / values.size
        up_to = np.searchsorted(ordered, value, side="right") / values.size
        wrong += not below - RANK_ERROR <= share <= up_to + RANK_ERROR
    assert wrong <= 0.02 * shares.size


def test_the_stated_error_is_small_beside_the_tail_that_is_reported() -> None:
    assert 0 < RANK_ERROR < 0.0005


@pytest.mark.usefixtures("few_exact")
def test_what_came_before_the_sketch_is_in_it_and_extremes_stay_exact() -> None:
    quantiles = Quantiles()
    quantiles.add(np.full(1000, 5.0))
    assert quantiles.exact
    quantiles.add(np.array([9.0]))
    assert not quantiles.exact
    assert quantiles.count == 1001
    assert at(Pool([quantiles]), (0.0, 0.5, 1.0)) == [5.0, 5.0, 9.0]


@pytest.mark.usefixtures("few_exact")
def test_a_sketch_takes_little_of_what_it_was_given() -> None:
    quantiles = Quantiles()
    for _ in range(20):
        quantiles.add(np.random.default_rng(0).random(100_000))
    assert quantiles._sketch.num_retained < 40_000
