import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from flexrel_sim.theory import (
    erlang_c,
    md1_mean_wait_s,
    mg1_mean_wait_s,
    mg1_priority_mean_waits_s,
    mm1_mean_wait_s,
    mm1_mean_wait_standard_error_s,
    mm1_sojourn_quantile_s,
    mmc_mean_wait_s,
    sharing_mean_sojourn_s,
)

LOADS = st.floats(0.001, 0.99)
TIMES = st.floats(1e-3, 1e3)


def test_mm1_waits_as_long_as_it_serves_at_half_load() -> None:
    assert mm1_mean_wait_s(1, 0.5) == 0.5
    assert mm1_mean_wait_s(4, 0.2) == pytest.approx(0.8)


@given(LOADS, TIMES)
def test_mm1_agrees_with_littles_law_and_the_geometric_queue(load: float, time_s: float) -> None:
    rate = load / time_s
    sojourn_s = mm1_mean_wait_s(rate, time_s) + time_s
    assert rate * sojourn_s == pytest.approx(load / (1 - load), rel=1e-9)


@given(LOADS, TIMES, st.floats(0, 0.9999))
def test_the_mm1_quantile_inverts_the_exponential_law(
    load: float, time_s: float, share: float
) -> None:
    quantile_s = mm1_sojourn_quantile_s(share, load / time_s, time_s)
    mean_s = mm1_mean_wait_s(load / time_s, time_s) + time_s
    assert 1 - math.exp(-quantile_s / mean_s) == pytest.approx(share, abs=1e-9)


@given(LOADS, TIMES)
def test_md1_follows_pollaczek_and_khinchine(load: float, time_s: float) -> None:
    rate = load / time_s
    expected_s = rate * time_s**2 / (2 * (1 - load))
    assert md1_mean_wait_s(rate, time_s) == pytest.approx(expected_s, rel=1e-9)


def test_md1_is_the_quarter_second_of_the_worked_example() -> None:
    assert md1_mean_wait_s(1, 0.5) == 0.25


@given(LOADS, TIMES)
def test_mmc_with_one_worker_is_mm1(load: float, time_s: float) -> None:
    rate = load / time_s
    expected_s = mm1_mean_wait_s(rate, time_s)
    assert mmc_mean_wait_s(rate, time_s, 1) == pytest.approx(expected_s, rel=1e-9)


@given(st.integers(1, 30), LOADS)
def test_erlang_c_is_its_sum_of_factorials(workers: int, load: float) -> None:
    offered = load * workers
    last = offered**workers / math.factorial(workers) / (1 - load)
    others = sum(offered**busy / math.factorial(busy) for busy in range(workers))
    assert erlang_c(workers, offered) == pytest.approx(last / (others + last), rel=1e-9)


def test_erlang_c_of_two_workers_is_the_textbook_value() -> None:
    # C(2, a) = 2 rho^2 / (1 + rho)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3, rel=1e-15)
    assert mmc_mean_wait_s(1, 1, 2) == pytest.approx(1 / 3, rel=1e-15)


def test_erlang_c_stays_a_probability_with_a_thousand_workers() -> None:
    assert 0 < erlang_c(1000, 990.0) < 1


def test_nobody_waits_where_nobody_comes() -> None:
    assert mm1_mean_wait_s(0, 1) == 0
    assert md1_mean_wait_s(0, 1) == 0
    assert mmc_mean_wait_s(0, 1, 3) == 0
    assert mm1_mean_wait_standard_error_s(0, 1, 10) == 0


@given(LOADS, TIMES, st.integers(1, 10**6))
def test_the_standard_error_falls_with_the_root_of_customers_and_scales_with_time(
    load: float, time_s: float, customers: int
) -> None:
    error_s = mm1_mean_wait_standard_error_s(load / time_s, time_s, customers)
    many_s = mm1_mean_wait_standard_error_s(load / time_s, time_s, 4 * customers)
    assert many_s == pytest.approx(error_s / 2, rel=1e-9)
    assert error_s == pytest.approx(
        time_s * mm1_mean_wait_standard_error_s(load, 1, customers), rel=1e-9
    )


@given(st.floats(0.05, 0.95))
def test_the_standard_error_counts_correlation_on_top_of_the_variance(load: float) -> None:
    # The wait is 0 with probability 1-rho, else exponential: variance rho (2-rho) / (1-rho)^2.
    independent = load * (2 - load) / (1 - load) ** 2
    assert mm1_mean_wait_standard_error_s(load, 1, 1) ** 2 > independent


@given(st.floats(0.05, 0.95))
def test_the_standard_error_is_the_sum_of_all_of_daleys_correlations(load: float) -> None:
    # Daley (1968): corr(W_0, W_n) is a mixture of x^n over a spectrum on [0, r],
    # r = 4 rho / (1+rho)^2; summed over all n, the mixture's (1+x)/(1-x).
    edge = 4 * load / (1 + load) ** 2

    def density(x: float) -> float:
        return x**1.5 * math.sqrt(edge - x) / (1 - x) ** 3

    total = quad(density, 0, edge, epsabs=0, epsrel=1e-11, limit=200)[0]
    correlated = quad(
        lambda x: density(x) * (1 + x) / (1 - x), 0, edge, epsabs=0, epsrel=1e-11, limit=200
    )[0]
    variance = load * (2 - load) / (1 - load) ** 2
    expected = variance * correlated / total
    assert mm1_mean_wait_standard_error_s(load, 1, 1) ** 2 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("load", [1.0, 1.5, -0.1, math.nan])
@pytest.mark.parametrize(
    "figure",
    [
        lambda rate: mm1_mean_wait_s(rate, 1),
        lambda rate: md1_mean_wait_s(rate, 1),
        lambda rate: mm1_sojourn_quantile_s(0.5, rate, 1),
        lambda rate: mm1_mean_wait_standard_error_s(rate, 1, 10),
        lambda rate: mmc_mean_wait_s(rate * 3, 1, 3),
    ],
)
def test_a_queue_that_is_not_stable_has_no_figure(
    load: float, figure: Callable[[float], float]
) -> None:
    with pytest.raises(ValueError, match="needs 0 <= rho < 1, got rho = "):
        figure(load)


@given(LOADS, TIMES)
def test_one_stream_of_a_mixture_is_pollaczek_and_khinchines(load: float, time_s: float) -> None:
    rate = load / time_s
    exponential = mg1_mean_wait_s([(rate, time_s, 2 * time_s**2)])
    assert exponential == pytest.approx(mm1_mean_wait_s(rate, time_s), rel=1e-9)
    deterministic = mg1_mean_wait_s([(rate, time_s, time_s**2)])
    assert deterministic == pytest.approx(md1_mean_wait_s(rate, time_s), rel=1e-9)


CLASSES = [(0.5, 0.4, 0.32), (0.3, 1.0, 1.0), (0.2, 0.6, 0.9)]


def test_priorities_keep_the_work_that_waits() -> None:
    # Kleinrock's conservation law: sum of rho_k W_k does not hang on who goes first.
    waits_s = mg1_priority_mean_waits_s(CLASSES)
    assert waits_s == sorted(waits_s)
    kept = sum(rate * mean * wait for (rate, mean, _), wait in zip(CLASSES, waits_s, strict=True))
    load = sum(rate * mean for rate, mean, _ in CLASSES)
    assert kept == pytest.approx(load * mg1_mean_wait_s(CLASSES), rel=1e-12)


def test_one_class_of_a_priority_queue_is_the_queue_itself() -> None:
    assert mg1_priority_mean_waits_s(CLASSES[:1])[0] == mg1_mean_wait_s(CLASSES[:1])
    several = mg1_priority_mean_waits_s([(1.0, 1.4, 3.92)], workers=2)[0]
    assert several == pytest.approx(mmc_mean_wait_s(1.0, 1.4, 2), rel=1e-12)


def test_sharing_stretches_every_size_alike() -> None:
    assert sharing_mean_sojourn_s(0.5, 1.0, 3.0) == 6.0
    mean_s = sharing_mean_sojourn_s(0.5, 1.0, 1.0)
    assert mean_s == mm1_mean_wait_s(0.5, 1.0) + 1.0


@pytest.mark.parametrize("form", [mg1_mean_wait_s, mg1_priority_mean_waits_s])
def test_classes_that_together_ask_too_much_are_refused(form: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="got rho = 1.2"):
        form([(1.0, 0.6, 0.4), (1.0, 0.6, 0.4)])
