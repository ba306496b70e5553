import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from flexrel_sim.proportions import (
    lowest_bounds,
    lowest_interval,
    mean_interval,
    stratified_interval,
)
from flexrel_sim.statistics import Estimate, wilson_interval

counted = st.lists(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    min_size=1,
    max_size=12,
)
ALL = [stratified_interval, mean_interval, lowest_interval]


@given(counted, st.floats(0.5, 0.999))
@pytest.mark.parametrize("interval", ALL)
def test_an_interval_holds_its_value_and_stays_between_zero_and_one(interval, counts, level):
    estimate = interval(*zip(*counts, strict=True), level)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(counted)
def test_values_are_the_proportion_of_all_the_mean_and_the_lowest(counts):
    right, trials = np.array(counts).T
    assert stratified_interval(right, trials).value == pytest.approx(right.sum() / trials.sum())
    assert mean_interval(right, trials).value == pytest.approx((right / trials).mean())
    assert lowest_interval(right, trials).value == (right / trials).min()


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@pytest.mark.parametrize("interval", [stratified_interval, mean_interval])
def test_of_one_stratum_the_interval_is_wilsons(interval, counts):
    own, wilsons = interval([counts[0]], [counts[1]]), wilson_interval(*counts)
    for end in ("value", "low", "high"):
        assert getattr(own, end) == pytest.approx(getattr(wilsons, end), abs=1e-12)


@pytest.mark.parametrize("right", [0, 1])
def test_where_all_strata_agree_entirely_the_interval_is_wilsons(right):
    trials = [40, 3, 7]
    own = stratified_interval([right * n for n in trials], trials)
    assert own == wilson_interval(right * 50, 50)


def test_strata_that_differ_narrow_the_interval_and_equal_ones_do_not() -> None:
    plain = wilson_interval(776, 1000)
    apart = stratified_interval([665, 111], [700, 300])
    alike = stratified_interval([543, 233], [700, 300])
    assert width(apart) < 0.8 * width(plain)
    assert width(alike) == pytest.approx(width(plain), rel=0.01)


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def test_of_equally_many_trials_the_mean_is_the_proportion_of_all() -> None:
    counts = [97, 88, 100], [100, 100, 100]
    assert mean_interval(*counts) == stratified_interval(*counts)


def test_a_rare_class_without_a_mistake_keeps_the_mean_unsure() -> None:
    """Fifteen of fifteen do not tell 0.8 from 1, however many of another class are right."""
    estimate = mean_interval([283, 15], [285, 15])
    assert estimate.low < 0.95


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_of_one_proportion_the_lowest_is_clopper_and_pearsons(counts):
    own, exact = lowest_interval([counts[0]], [counts[1]]), binomtest(*counts).proportion_ci()
    assert (own.low, own.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(counted)
def test_the_lowest_proportion_is_bounded_by_the_lowest_bounds(counts):
    right, trials = zip(*counts, strict=True)
    low, high = lowest_bounds(right, trials)
    estimate = lowest_interval(right, trials)
    assert (estimate.low, estimate.high) == (low.min(), high.min())
    # All upper bounds must hold at once, so none is below the one that it has alone.
    assert all(
        bound >= lowest_interval([own], [all_]).high
        for bound, own, all_ in zip(high, right, trials, strict=True)
    )


POPULATIONS = {
    "70/30, the rare class hardly known": ([0.7, 0.3], [0.95, 0.37]),
    "95/5, the rare class guessed": ([0.95, 0.05], [0.99, 0.5]),
    "95/5, the rare class known": ([0.95, 0.05], [0.99, 0.9]),
    "ten even classes, equally well known": ([0.1] * 10, [0.97] * 10),
    "ten even classes, from 0.8 to 0.99": ([0.1] * 10, np.linspace(0.8, 0.99, 10)),
    "one class and three very rare ones": ([0.97, 0.01, 0.01, 0.01], [0.97, 0.6, 0.6, 0.6]),
    "thirty classes, ever rarer": (1 / np.arange(1, 31), np.linspace(0.98, 0.4, 30)),
    "as many classes as half the samples": (None, [0.8]),
}


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("samples", [100, 300, 1000])
def test_nominal_95_percent_are_near_95_percent(name: str, samples: int) -> None:
    """Coverage over draws that hold each class as often as the population does."""
    shares, recalls = POPULATIONS[name]
    shares = np.full(samples // 2, 2 / samples) if shares is None else np.asarray(shares)
    trials = np.maximum(1, np.round(shares / shares.sum() * samples)).astype(int)
    recalls = np.broadcast_to(recalls, trials.shape)
    truths = [(trials * recalls).sum() / trials.sum(), recalls.mean(), recalls.min()]
    rng = np.random.default_rng(samples)
    drawn = rng.binomial(trials, recalls, (1000, trials.size))
    held = np.array(
        [
            [
                estimate.low <= truth <= estimate.high
                for estimate, truth in zip(own, truths, strict=True)
            ]
            for right in drawn
            for own in [[interval(right, trials) for interval in ALL]]
        ]
    ).mean(0)
    # 0.92 less three standard errors of 1000 draws: small samples of 0.97 are as coarse as that.
    assert held[0] >= 0.895
    assert held[1] >= 0.895
    assert held[2] >= 0.93


@pytest.mark.parametrize(("right", "trials"), [([], []), ([1], [0]), ([-1], [3]), ([1, 5], [1, 4])])
@pytest.mark.parametrize("interval", ALL)
def test_impossible_counts_are_refused(interval, right, trials) -> None:
    with pytest.raises(ValueError, match=r"proportions need 0 <= successes <= trials, got \["):
        interval(right, trials)
