import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from flexrel_sim.statistics import t_interval, wilson_interval

LEVELS = st.floats(0.5, 0.999)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40).filter(lambda v: np.ptp(v) > 1), LEVELS
)
def test_the_t_interval_is_scipys(values: list[float], level: float) -> None:
    array = np.array(values)
    low, high = t.interval(
        level, array.size - 1, array.mean(), array.std(ddof=1) / np.sqrt(array.size)
    )
    estimate = t_interval(values, level)
    # Rounding scales with the size of the values, not with that of the (maybe near-zero) bound.
    slack = 1e-12 * (np.abs(array).max() + high - low)
    assert estimate.value == array.mean()
    assert estimate.low == pytest.approx(low, abs=slack)
    assert estimate.high == pytest.approx(high, abs=slack)


def test_equal_replications_give_an_interval_without_width() -> None:
    estimate = t_interval([2.5, 2.5, 2.5])
    assert (estimate.value, estimate.low, estimate.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_replications_have_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match=f"at least two replications, got {len(values)}"):
        t_interval(values)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), LEVELS)
def test_the_wilson_interval_is_scipys(counts: tuple[int, int], level: float) -> None:
    successes, trials = counts
    expected = binomtest(successes, trials).proportion_ci(level, method="wilson")
    estimate = wilson_interval(successes, trials, level)
    assert estimate.value == successes / trials
    assert estimate.low == pytest.approx(expected.low, abs=1e-12)
    assert estimate.high == pytest.approx(expected.high, abs=1e-12)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), LEVELS)
def test_the_wilson_interval_holds_its_proportion_and_stays_between_zero_and_one(
    counts: tuple[int, int], level: float
) -> None:
    estimate = wilson_interval(*counts, level)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5), (0, -1)])
def test_a_proportion_of_impossible_counts_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"0 <= successes <= trials, got {successes}/{trials}"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_t_interval_covers_the_mean_as_often_as_it_says(level: float) -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    estimates = [t_interval(row, level) for row in samples]
    covered = sum(estimate.low <= 3.0 <= estimate.high for estimate in estimates)
    assert binomtest(covered, len(estimates), level).pvalue > 0.001


def test_the_wilson_interval_covers_proportions_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    shares = rng.uniform(size=4000)
    covered = 0
    for share, successes in zip(shares, rng.binomial(200, shares), strict=True):
        estimate = wilson_interval(int(successes), 200)
        covered += estimate.low <= share <= estimate.high
    assert binomtest(covered, shares.size, 0.95).pvalue > 0.001
