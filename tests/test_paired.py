"""Paired comparisons: against published values, the slow definition, and their own promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from flexrel_sim.paired import (
    difference_interval,
    difference_statistic,
    surely_worse,
    surely_worse_apart,
    surely_worse_by_samples,
)
from flexrel_sim.statistics import Estimate, wilson_interval

tables = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60)).filter(
    lambda own: sum(own) > 1
)


def test_the_statistic_at_no_difference_is_mcnemars():
    assert difference_statistic(12, 5, 100, 0.0) == pytest.approx((12 - 5) / math.sqrt(12 + 5))


def slow_statistic(gained, lost, samples, difference):
    """Score statistic with the variance at the likeliest table that has the difference."""
    same = samples - gained - lost

    def unlikelihood(p_lost):
        cells = (p_lost + difference, p_lost, 1 - 2 * p_lost - difference)
        return -sum(
            n * math.log(max(p, 1e-300)) for n, p in zip((gained, lost, same), cells, strict=True)
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = minimize_scalar(
        unlikelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    p_lost = min((found.x, low, high), key=unlikelihood)
    variance = samples * (2 * p_lost + difference - difference**2)
    return (gained - lost - samples * difference) / math.sqrt(variance)


@given(tables, st.floats(-0.9, 0.9).filter(lambda d: abs(d) > 0.02))
def test_the_statistic_is_the_score_at_the_likeliest_table_with_the_supposed_difference(
    table, difference
):
    gained, lost, same = table
    samples = gained + lost + same
    fast = difference_statistic(gained, lost, samples, difference)
    slow = slow_statistic(gained, lost, samples, difference)
    assert fast == pytest.approx(slow, rel=1e-3, abs=1e-4)


@given(tables)
def test_the_interval_holds_what_the_test_does_not_reject(table):
    gained, lost, same = table
    samples = gained + lost + same
    found = difference_interval(gained, lost, samples)
    assert -1 <= found.low <= found.value <= found.high <= 1
    for end, inward in ((found.low, 1e-6), (found.high, -1e-6)):
        if abs(end) < 1 and abs(found.value) < 1:
            assert abs(difference_statistic(gained, lost, samples, end)) == pytest.approx(
                1.959964, rel=1e-4
            )
            assert abs(difference_statistic(gained, lost, samples, end + inward)) < 1.96
    mirrored = difference_interval(lost, gained, samples)
    assert mirrored.low == pytest.approx(-found.high, abs=1e-9)


def test_where_nothing_differs_the_interval_is_wilsons_of_none():
    assert difference_interval(0, 0, 50).high == pytest.approx(wilson_interval(0, 50).high)


def test_the_interval_of_a_margin_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(5)
    gained, lost, samples = 0.02, 0.05, 400
    draws = rng.multinomial(samples, [gained, lost, 1 - gained - lost], 3000)
    intervals = [difference_interval(int(b), int(c), samples) for b, c, _ in draws]
    covered = np.mean([own.low <= gained - lost <= own.high for own in intervals])
    assert 0.94 < covered < 0.965


@pytest.mark.parametrize("table", [(0, 0, 0), (3, 3, 5), (-1, 0, 5)])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(ValueError, match="a paired difference needs"):
        difference_interval(*table)


@pytest.mark.parametrize("noise", ["normal", "skewed"])
@pytest.mark.parametrize(("systems", "replications"), [(5, 5), (28, 10), (28, 5)])
def test_the_truly_best_is_not_called_worse_in_95_of_100_seeds(systems, replications, noise):
    # All as good as the best, but for a shared part: the most that the set must hold.
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        shared = rng.exponential(1.0, replications)
        own = rng.normal(0, 0.3, (systems, replications))
        if noise == "skewed":
            own = rng.exponential(0.3, (systems, replications))
        costs = 1 + shared + own
        best = int(costs.mean(1).argmin())
        held += not surely_worse(costs, best, systems - 1)[0]
    assert held / 400 >= 0.95


def test_common_draws_tell_apart_what_their_intervals_do_not():
    rng = np.random.default_rng(3)
    shared = rng.exponential(1.0, 10)
    costs = np.array([shared, shared + 0.05 + rng.normal(0, 0.005, 10), shared])
    assert surely_worse(costs, 0, 2).tolist() == [False, True, False]


def test_what_only_rounding_tells_apart_is_the_same():
    costs = np.array([[1.0, 2.0, 3.0]] * 2)
    costs[1] += 1e-12
    assert not surely_worse(costs, 0, 1).any()


def test_more_comparisons_ask_for_a_greater_difference():
    rng = np.random.default_rng(4)
    costs = np.array([np.zeros(6), 1 + rng.normal(0, 0.8, 6)])
    assert surely_worse(costs, 0, 1)[1]
    assert not surely_worse(costs, 0, 1000)[1]


@given(st.integers(0, 15), st.integers(0, 15))
def test_networks_are_told_apart_by_mcnemars_exact_test(lost, gained):
    best = np.array([True] * lost + [False] * gained + [True] * 5)
    other = np.array([False] * lost + [True] * gained + [True] * 5)
    p_value = 1.0
    if lost + gained:
        p_value = binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue
    found = surely_worse_by_samples(np.array([best, other]), 0, 3)
    assert found.tolist() == [False, p_value <= 0.05 / 3]


def test_what_shares_nothing_is_told_apart_by_its_intervals():
    costs = [Estimate(1.0, 0.9, 1.1), Estimate(1.12, 1.02, 1.22), Estimate(2.0, 1.9, 2.1)]
    assert surely_worse_apart(costs, 0, 2).tolist() == [False, False, True]
