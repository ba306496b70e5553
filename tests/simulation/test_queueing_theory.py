import numpy as np
import pytest
from scipy.stats import chi2

from flexrel_sim.simulation import Trace
from flexrel_sim.statistics import t_interval
from flexrel_sim.theory import (
    md1_mean_wait_s,
    mm1_mean_wait_s,
    mm1_mean_wait_standard_error_s,
    mm1_sojourn_quantile_s,
    mmc_mean_wait_s,
)
from tests.builders import interval, make_system, replicate, settled, wait_s

RATE = 1.0
EDGE_ONLY = {"crosses_link": False}

# Exponential payloads of mean one: the midpoints of equally likely slices. As bytes at 8 Mbit/s
# they are exponential service times in microseconds' resolution.
SLICES = (np.arange(50_000) + 0.5) / 50_000
UNIT_PAYLOAD = -np.log1p(-SLICES)


@pytest.fixture(scope="module")
def mm1() -> list[Trace]:
    return replicate(make_system(edge_s=0.7, **EDGE_ONLY), RATE, 15_000)


def test_the_mean_wait_of_mm1_is_rho_s_over_one_minus_rho(mm1: list[Trace]) -> None:
    estimate = interval(mm1, lambda trace: wait_s(trace, "edge"))
    assert estimate.low <= mm1_mean_wait_s(RATE, 0.7) <= estimate.high


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_request_of_mm1_exceeds_the_sojourn_quantile_as_often_as_it_should(
    mm1: list[Trace], share: float
) -> None:
    # The share above the theoretical quantile is an unbiased estimate; a sample quantile is not.
    quantile_s = mm1_sojourn_quantile_s(share, RATE, 0.7)
    estimate = interval(mm1, lambda trace: trace.sojourn_time_s > quantile_s)
    assert estimate.low <= 1 - share <= estimate.high


def test_the_p95_sojourn_time_of_mm1_is_the_exponential_quantile(mm1: list[Trace]) -> None:
    estimate = t_interval([np.quantile(t.sojourn_time_s[settled(t)], 0.95) for t in mm1], 0.999)
    assert estimate.low <= mm1_sojourn_quantile_s(0.95, RATE, 0.7) <= estimate.high


def test_a_request_of_mm1_waits_with_probability_rho(mm1: list[Trace]) -> None:
    estimate = interval(mm1, lambda trace: wait_s(trace, "edge") > 0)
    assert estimate.low <= 0.7 <= estimate.high


def test_the_number_in_mm1_is_the_rate_times_the_sojourn_time(mm1: list[Trace]) -> None:
    # Little's law: the number seen at evenly spaced looks, against what each request stayed.
    gaps = []
    for trace in mm1:
        start_s, end_s = trace.created_s[-1] / 10, trace.created_s[-1]
        looks_s = np.linspace(start_s, end_s, 20_000)
        came = np.searchsorted(trace.created_s, looks_s, side="right")
        left = np.searchsorted(np.sort(trace.answered_s), looks_s, side="right")
        stayed_s = trace.sojourn_time_s[settled(trace)]
        gaps.append(np.mean(came - left) - stayed_s.sum() / (end_s - start_s))
    estimate = t_interval(gaps, 0.999)
    assert estimate.low <= 0 <= estimate.high
    assert estimate.high - estimate.low < 0.1 * 0.7 / 0.3


def test_the_mean_wait_of_md1_is_half_of_mm1s() -> None:
    system = make_system(edge_s=0.7, **EDGE_ONLY)
    traces = replicate(system, RATE, 10_000, services=("deterministic", "deterministic"))
    estimate = interval(traces, lambda trace: wait_s(trace, "edge"))
    assert estimate.low <= md1_mean_wait_s(RATE, 0.7) <= estimate.high
    assert estimate.high < mm1_mean_wait_s(RATE, 0.7)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_mean_wait_of_mmc_is_erlangs(workers: int) -> None:
    system = make_system(edge_s=0.0, server_s=0.7 * workers, workers=workers)
    traces = replicate(system, RATE, 4000, payload_bytes=[0])
    estimate = interval(traces, lambda trace: wait_s(trace, "server"))
    assert estimate.low <= mmc_mean_wait_s(RATE, 0.7 * workers, workers) <= estimate.high


def test_every_stage_of_a_tandem_of_exponential_stages_is_mm1() -> None:
    # Burke: departures of M/M/1 are Poisson, so edge, uplink and server are M/M/1 each.
    payload = np.round(UNIT_PAYLOAD * 0.5e6).astype(np.int64)
    system = make_system(edge_s=0.6, server_s=0.4, uplink_bit_per_s=8e6)
    traces = replicate(system, RATE, 6000, payload_bytes=payload)
    for stage, service_s in (("edge", 0.6), ("uplink", 0.5), ("server", 0.4)):
        estimate = interval(traces, lambda trace, stage=stage: wait_s(trace, stage))
        assert estimate.low <= mm1_mean_wait_s(RATE, service_s) <= estimate.high, stage
    waits_s = sum(mm1_mean_wait_s(RATE, service_s) for service_s in (0.6, 0.5, 0.4))
    estimate = interval(traces, lambda trace: trace.sojourn_time_s)
    assert estimate.low <= waits_s + 0.6 + 0.5 + 0.4 + 2 * system.uplink.delay_s <= estimate.high


@pytest.fixture(scope="module")
def waits_s() -> np.ndarray:
    """Consecutive waits at rho = 0.3, where waits forget each other within a few dozen requests.

    Means of 3,800 are then close to normal, and (n-1) s^2 / sigma^2 to chi-square.
    """
    traces = replicate(make_system(edge_s=0.3, **EDGE_ONLY), RATE, 4400, replications=80)
    return np.array([wait_s(trace, "edge")[400:4200] for trace in traces])


def test_the_spread_of_replication_means_is_the_standard_error_of_theory(
    waits_s: np.ndarray,
) -> None:
    replications, customers = waits_s.shape
    error_s = mm1_mean_wait_standard_error_s(RATE, 0.3, customers)
    ratio = (replications - 1) * waits_s.mean(axis=1).var(ddof=1) / error_s**2
    low, high = chi2.ppf([0.0005, 0.9995], replications - 1)
    assert low < ratio < high


def test_a_standard_error_that_forgets_correlation_is_refused_by_the_same_bound(
    waits_s: np.ndarray,
) -> None:
    replications, customers = waits_s.shape
    ratio = (replications - 1) * waits_s.mean(axis=1).var(ddof=1) / (waits_s.var() / customers)
    assert ratio > chi2.ppf(0.9995, replications - 1)
