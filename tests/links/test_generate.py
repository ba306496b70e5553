import math
import os
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.links import PiecewiseConstant, constant
from flexrel_sim.links.generate import GENERATORS, generated, markov
from flexrel_sim.links.outages import random_windows_s, with_random_outages, with_windows


def busy_s(capacity, until_s):
    times = np.linspace(0, until_s, 200_001)[:-1]
    return float(np.mean(capacity.rate_at(times) > 0)) * until_s


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_a_synthetic_trace_has_its_mean_exactly_and_repeats(kind):
    capacity = generated(kind, 10e6, 100.0, np.random.default_rng(1))
    assert capacity.mean_rate_bit_per_s == pytest.approx(10e6)
    assert capacity.end_s == pytest.approx(100.0)
    own = generated(kind, None, 100.0, np.random.default_rng(1))
    assert own.mean_rate_bit_per_s == pytest.approx(GENERATORS[kind].mean_bit_per_s)


@pytest.mark.parametrize("kind", ["5g", "wifi"])
def test_a_synthetic_trace_has_the_memory_that_its_model_states(kind):
    model = GENERATORS[kind]
    lag = round(model.memory_s / model.step_s)
    correlations, spreads = [], []
    for seed in range(20):
        capacity = generated(kind, 10e6, 400 * model.memory_s, np.random.default_rng(seed))
        # Dips are no part of the log-normal; few steps have one.
        rates = capacity.rate_bit_per_s
        logs = np.log(rates[rates > 0.3 * np.median(rates)])
        spreads.append(logs.std())
        correlations.append(np.corrcoef(logs[lag:], logs[:-lag])[0, 1])
    # What is below 0.3 medians is cut off, which takes a little of the spread and the memory.
    assert np.mean(spreads) == pytest.approx(model.log_std, rel=0.25)
    assert np.mean(correlations) == pytest.approx(math.exp(-1), abs=0.1)


# Of two measured LTE traces: rate in windows of 100 ms over its mean, how often and for how long it
# is below 5 % of that, and its correlation. `docs/links.md` states each with this tolerance.
LTE = {
    "5th percentile": (0.13, 0.04),
    "25th percentile": (0.51, 0.05),
    "median": (0.88, 0.05),
    "95th percentile": (2.24, 0.25),
    "deviation": (0.65, 0.08),
    "share below 5 %": (0.026, 0.006),
    "stall, mean (s)": (0.25, 0.08),
    "correlation after 0.1 s": (0.87, 0.05),
    "correlation after 1 s": (0.62, 0.08),
    "correlation after 5 s": (0.25, 0.08),
}


def shape_of(rates):
    """What a series of rates, one per 100 ms, looks like, whatever its mean is."""
    rates = rates / rates.mean()
    below = np.concatenate([[False], rates < 0.05, [False]])
    starts, ends = np.flatnonzero(below[1:] > below[:-1]), np.flatnonzero(below[1:] < below[:-1])
    quantiles = np.quantile(rates, [0.05, 0.25, 0.5, 0.95])
    correlations = [np.corrcoef(rates[lag:], rates[:-lag])[0, 1] for lag in (1, 10, 50)]
    stall_s = 0.1 * np.mean(ends - starts)
    found = [*quantiles, rates.std(), below[1:-1].mean(), stall_s, *correlations]
    return dict(zip(LTE, found, strict=True))


def test_a_synthetic_lte_link_moves_and_stalls_as_measured_ones():
    rates = generated("lte", None, 20_000.0, np.random.default_rng(1)).rate_bit_per_s
    for name, found in shape_of(rates).items():
        expected, tolerance = LTE[name]
        assert found == pytest.approx(expected, abs=tolerance), name


def test_some_stalls_of_a_synthetic_lte_link_last_longer_than_a_second():
    rates = generated("lte", None, 20_000.0, np.random.default_rng(1)).rate_bit_per_s
    still = np.convolve(rates == 0, np.ones(10), "valid") == 10
    # Stalls of 0.3 s on average, one in 12 s, are longer than a second in one of thirty cases.
    assert 5 < np.sum(still[1:] & ~still[:-1]) < 150


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_is_stated_of_measured_lte_traces_is_so(direction):
    folder = os.environ.get("FLEXREL_TRACES")
    file = Path(folder or ".") / f"Verizon-LTE-short.{direction}"
    if not folder or not file.is_file():
        pytest.skip("FLEXREL_TRACES names no folder with Mahimahi's Verizon-LTE-short traces")
    stamps_ms = np.loadtxt(file, dtype=int)
    # 140 s are few stalls and few memories of several seconds: twice the tolerance.
    for name, found in shape_of(np.bincount(stamps_ms // 100)[:-1]).items():
        expected, tolerance = LTE[name]
        assert found == pytest.approx(expected, abs=2 * tolerance), name


def test_a_synthetic_trace_that_is_too_long_or_empty_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="at most 20,000,000 steps"):
        generated("wifi", None, 1e6, np.random.default_rng(0))
    monkeypatch.setattr(
        "flexrel_sim.links.generate.random_windows_s", lambda _, end_s, __: np.array([[0, end_s]])
    )
    with pytest.raises(ValueError, match="one long dip"):
        generated("lte", None, 1.0, np.random.default_rng(0))


def test_a_chain_spends_its_stationary_share_in_each_state():
    # Visits 1/4, 1/2, 1/4 times dwells 1, 2, 4: shares 1/9, 4/9, 4/9.
    means = [
        markov(
            [1.0, 2.0, 4.0], [1.0, 2.0, 4.0], None, 4000.0, np.random.default_rng(seed)
        ).mean_rate_bit_per_s
        for seed in range(20)
    ]
    error = np.std(means, ddof=1) / math.sqrt(20)
    assert np.mean(means) == pytest.approx((1 + 8 + 16) / 9, abs=4 * error)


def test_a_chain_follows_its_transitions():
    cycle = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    capacity = markov([1.0, 2.0, 3.0], [0.5] * 3, cycle, 500.0, np.random.default_rng(0))
    rates = capacity.rate_bit_per_s
    np.testing.assert_array_equal(rates[1:], rates[:-1] % 3 + 1)
    gaps = np.diff(capacity.start_s)
    assert gaps.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(gaps.size))


def test_windows_of_an_endless_capacity_come_once():
    capacity = with_windows(constant(8.0), np.array([[1.0, 2.0], [5.0, 6.0]]))
    assert capacity.start_s.tolist() == [0, 1, 2, 5, 6]
    assert capacity.rate_bit_per_s.tolist() == [8, 0, 8, 0, 8]
    assert not capacity.repeats
    assert with_windows(capacity, np.empty((0, 2))) is capacity


def test_after_its_windows_a_repeating_capacity_goes_on_as_before():
    base = PiecewiseConstant(np.array([0.0, 1.0]), np.array([8.0, 16.0]), 3.0)
    capacity = with_windows(base, np.array([[0.5, 1.5], [4.0, 5.0]]))
    times = np.arange(0.05, 30, 0.1)
    outage = ((times > 0.5) & (times < 1.5)) | ((times > 4) & (times < 5))
    expected = np.where(outage, 0.0, base.rate_at(times))
    np.testing.assert_array_equal(capacity.rate_at(times), expected)


def test_random_outages_take_their_share_of_time():
    shares = []
    for seed in range(20):
        capacity = with_random_outages(
            constant(8.0), (6.0, 2.0), 4000.0, np.random.default_rng(seed)
        )
        shares.append(capacity.mean_rate_bit_per_s / 8)
    error = np.std(shares, ddof=1) / math.sqrt(20)
    assert np.mean(shares) == pytest.approx(0.75, abs=4 * error + 1e-3)


def test_random_outages_repeat_with_the_capacity_under_them():
    base = PiecewiseConstant(np.array([0.0, 1.0]), np.array([8.0, 16.0]), 3.0)
    capacity = with_random_outages(base, (5.0, 1.0), 100.0, np.random.default_rng(3))
    assert (capacity.end_s, capacity.repeat_from_s) == (102.0, 0.0)
    up = capacity.rate_bit_per_s > 0
    np.testing.assert_array_equal(capacity.rate_bit_per_s[up], base.rate_at(capacity.start_s[up]))


def test_random_outages_of_a_schedule_go_on_after_its_last_change():
    base = PiecewiseConstant(np.array([0.0, 10.0]), np.array([8.0, 16.0]))
    capacity = with_random_outages(base, (5.0, 1.0), 100.0, np.random.default_rng(3))
    assert (capacity.end_s, capacity.repeat_from_s) == (110.0, 10.0)
    assert set(capacity.rate_at(np.arange(200.0, 400.0, 0.1))) == {0.0, 16.0}
    assert 0 < busy_s(capacity, 110.0) < 110.0


def test_too_many_outages_or_pieces_are_refused():
    with pytest.raises(ValueError, match="50,000,000 outages"):
        random_windows_s((1e-6, 1e-6), 1e3, np.random.default_rng(0))
    base = PiecewiseConstant(np.arange(1000) * 1e-3, np.ones(1000), 1.0)
    with pytest.raises(ValueError, match="50,000,000 pieces"):
        with_windows(base, np.array([[1e5, 1e5 + 1]]))
