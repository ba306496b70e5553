from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, kstest, norm

from flexrel_sim.scenario.schema import WorkloadSection
from flexrel_sim.simulation import Draws, draw
from flexrel_sim.simulation.draws import disturbed, transferred, unit_factors
from flexrel_sim.simulation.streams import STREAMS, Streams, generator
from flexrel_sim.simulation.workload import arrivals
from tests.builders import make_scenario, make_system

EXPONENTIAL = ("exponential", "exponential")


def poisson(rate: str = "10 /s", duration: str = "500 s") -> WorkloadSection:
    return WorkloadSection(rate=rate, duration=duration)


def periodic(rate: str, duration: str) -> WorkloadSection:
    return WorkloadSection(arrivals="periodic", rate=rate, duration=duration)


def drawn(draws: Draws) -> dict[str, np.ndarray]:
    """What was drawn of every request; a lone device is not."""
    return {
        name: value
        for name, value in vars(draws).items()
        if isinstance(value, np.ndarray) and name != "device"
    }


def same(first: Draws, second: Draws) -> bool:
    return all(np.array_equal(drawn(first)[name], drawn(second)[name]) for name in drawn(first))


def test_the_same_seed_gives_the_same_draws() -> None:
    assert same(draw(poisson(), 9, EXPONENTIAL, 3, 1), draw(poisson(), 9, EXPONENTIAL, 3, 1))


@pytest.mark.parametrize(("seed", "replication"), [(4, 1), (3, 2), (1, 3)])
def test_another_seed_or_replication_gives_other_draws_of_everything(
    seed: int, replication: int
) -> None:
    first = draw(poisson(), 1000, EXPONENTIAL, 3, 1)
    second = draw(poisson(), 1000, EXPONENTIAL, seed, replication)
    for name, value in drawn(first).items():
        assert not np.array_equal(value[:100], getattr(second, name)[:100])


def test_every_request_has_one_of_each_draw() -> None:
    draws = draw(poisson(), 9, EXPONENTIAL, 0, 0)
    assert {value.shape for value in drawn(draws).values()} == {draws.created_s.shape}


def test_arrivals_ascend_within_the_duration() -> None:
    created_s = draw(poisson(), 9, EXPONENTIAL, 0, 0).created_s
    assert created_s[0] > 0
    assert np.all(np.diff(created_s) > 0)
    assert created_s[-1] < 500


def test_the_same_seed_at_another_rate_gives_the_same_arrivals_faster() -> None:
    slow = draw(poisson("2 /s", "100 s"), 9, EXPONENTIAL, 0, 0)
    fast = draw(poisson("8 /s", "25 s"), 9, EXPONENTIAL, 0, 0)
    assert np.array_equal(slow.created_s, 4 * fast.created_s)


def test_common_random_numbers_do_not_depend_on_how_many_requests_there_are() -> None:
    few = draw(poisson("2 /s", "100 s"), 9, EXPONENTIAL, 0, 0)
    many = draw(poisson("8 /s", "100 s"), 9, EXPONENTIAL, 0, 0)
    count = few.created_s.size
    assert many.created_s.size > count
    assert np.array_equal(few.created_s, 4 * many.created_s[:count])
    for name in ("sample", "edge_factor", "server_factor"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[:count])


@pytest.mark.parametrize(
    ("services", "kept"),
    [
        (("deterministic", "exponential"), ["created_s", "sample", "server_factor"]),
        (("exponential", "deterministic"), ["created_s", "sample", "edge_factor"]),
    ],
)
def test_the_draws_of_one_stream_do_not_move_when_another_is_not_drawn(
    services: tuple[str, str], kept: list[str]
) -> None:
    both = draw(poisson(), 9, EXPONENTIAL, 0, 0)
    one = draw(poisson(), 9, services, 0, 0)
    assert all(np.array_equal(getattr(both, name), getattr(one, name)) for name in kept)


def test_streams_and_replications_are_uncorrelated() -> None:
    columns = []
    for replication in range(3):
        draws = draw(poisson(), 10**6, EXPONENTIAL, 0, replication)
        columns += [np.diff(draws.created_s), draws.sample, draws.edge_factor, draws.server_factor]
    count = min(column.size for column in columns)
    correlations = np.corrcoef([column[:count] for column in columns])
    pairs = correlations[np.triu_indices(len(columns), 1)]
    # r of independent columns is normal with deviation 1/sqrt(n); Bonferroni over the pairs.
    bound = norm.ppf(1 - 0.001 / 2 / pairs.size) / np.sqrt(count)
    assert np.abs(pairs).max() < bound


def test_the_gaps_between_poisson_arrivals_are_exponential() -> None:
    gaps_s = np.diff(draw(poisson(), 9, EXPONENTIAL, 0, 0).created_s)
    assert kstest(gaps_s, "expon", args=(0, 0.1)).pvalue > 0.001


def test_the_number_of_poisson_arrivals_has_the_poisson_spread() -> None:
    counts = [
        draw(poisson("1 /s", "100 s"), 9, EXPONENTIAL, 0, r).created_s.size for r in range(200)
    ]
    mean_bound = norm.ppf(0.9995) * np.sqrt(100 / 200)
    assert abs(np.mean(counts) - 100) < mean_bound
    dispersion = np.var(counts, ddof=1) * 199 / 100
    assert chi2.ppf(0.0005, 199) < dispersion < chi2.ppf(0.9995, 199)


def test_arrivals_reach_the_end_even_where_the_first_gaps_are_short() -> None:
    class ShortGaps:
        def exponential(self, size: int) -> np.ndarray:
            return np.full(size, 0.0625)

    streams = Streams(0, 0)
    streams["arrivals"] = ShortGaps()
    created_s = arrivals(poisson("2 /s", "64 s"), 1, streams, Path()).created_s
    assert np.array_equal(created_s, np.arange(1, 16 * 128) / 32)


@given(st.floats(0.1, 100), st.floats(0.1, 100))
def test_periodic_arrivals_are_multiples_of_the_period_below_the_duration(
    rate: float, duration: float
) -> None:
    workload = periodic(f"{rate!r} /s", f"{duration!r} s")
    created_s = draw(workload, 1, EXPONENTIAL, 0, 0).created_s
    assert np.array_equal(created_s, np.arange(created_s.size) / rate)
    assert created_s[-1] < duration <= created_s.size / rate


def test_periodic_arrivals_need_no_seed() -> None:
    workload = periodic("3 /s", "10 s")
    first, second = (draw(workload, 1, EXPONENTIAL, seed, 0).created_s for seed in (0, 1))
    assert np.array_equal(first, second)
    assert first.size == 30


def test_every_sample_is_as_likely_as_every_other() -> None:
    sample = draw(poisson("100 /s", "500 s"), 10, EXPONENTIAL, 0, 0).sample
    counts = np.bincount(sample, minlength=10)
    assert counts.size == 10
    expected = sample.size / 10
    assert np.sum((counts - expected) ** 2 / expected) < chi2.ppf(0.999, 9)


def test_exponential_factors_have_mean_one_and_deterministic_ones_are_one() -> None:
    factors = unit_factors("exponential", 10_000, generator(0, 0, "edge service"))
    assert kstest(factors, "expon").pvalue > 0.001
    ones = unit_factors("deterministic", 5, generator(0, 0, "edge service"))
    assert np.array_equal(ones, np.ones(5))


def disturbed_draws(duration: str = "20000 s", replication: int = 0, **sections: Any) -> Draws:
    workload = {"rate": "0.01 /s", "duration": duration}
    scenario = make_scenario(**sections, workload=workload)
    draws = draw(scenario.workload, 4, EXPONENTIAL, 0, replication)
    return disturbed(draws, scenario, 0, replication)


def test_without_failures_or_tenants_nothing_is_disturbed() -> None:
    draws = disturbed_draws()
    assert (draws.background, draws.edge_down, draws.server_down) == (None, None, None)


def test_failures_by_chance_alternate_with_their_means_device_by_device() -> None:
    failures = {"mean_up": "10 s", "mean_down": "2 s"}
    down = disturbed_draws(edge={"count": 3, "failures": failures}).edge_down
    assert down is not None
    assert down.any
    for device in range(3):
        own = np.array(down.of(device))
        up_s = own[:, 0] - np.concatenate([[0.0], own[:-1, 1]])
        assert kstest(up_s, "expon", args=(0, 10)).pvalue > 0.001
        assert kstest(own[:, 1] - own[:, 0], "expon", args=(0, 2)).pvalue > 0.001
        assert own[-1, 0] < 20_000
    assert down.of(0) != down.of(1)


def test_windows_that_are_given_hold_for_all_workers() -> None:
    windows = [["1 s", "2 s"], ["5 s", "8 s"]]
    down = disturbed_draws(server={"workers": 3, "failures": {"windows": windows}}).server_down
    assert down is not None
    assert [down.of(worker) for worker in range(3)] == [[(1.0, 2.0), (5.0, 8.0)]] * 3


@pytest.mark.parametrize("service", ["deterministic", "exponential"])
def test_other_tenants_come_as_a_poisson_process_of_their_own(service: str) -> None:
    background = {"rate": "0.5 /s", "service_time": "3 s", "service": service, "tier": 2}
    other = disturbed_draws(server={"background": background}).background
    assert other is not None
    assert kstest(np.diff(other.arrival_s), "expon", args=(0, 2)).pvalue > 0.001
    assert other.tier == 2
    if service == "exponential":
        assert kstest(other.service_s, "expon", args=(0, 3)).pvalue > 0.001
    else:
        assert set(other.service_s) == {3.0}


def test_disturbances_change_no_draw_of_a_request() -> None:
    failures = {"mean_up": "10 s", "mean_down": "2 s"}
    background = {"rate": "0.5 /s", "service_time": "3 s"}
    calm = disturbed_draws()
    rough = disturbed_draws(
        edge={"failures": failures}, server={"failures": failures, "background": background}
    )
    assert same(calm, rough)


def test_a_request_is_urgent_as_often_as_the_workload_says() -> None:
    workload = WorkloadSection(rate="10 /s", duration="1000 s", urgent_share=0.3)
    tier = draw(workload, 9, EXPONENTIAL, 0, 0).tier
    assert tier is not None
    assert set(tier) == {0, 1}
    # Binomial, to five standard deviations.
    assert abs((tier == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / tier.size)


def test_the_link_draws_nothing_for_requests_that_stay_on_the_edge() -> None:
    draws = draw(poisson(), 1, EXPONENTIAL, 0, 0)
    system = make_system(crosses_link=False)
    assert transferred(draws, system, np.array([9]), Streams(0, 0), {}) is draws
    crossing = transferred(draws, make_system(answer_bytes=7), np.array([9]), Streams(0, 0), {})
    assert crossing.uplink is not None
    assert crossing.downlink is not None
    assert set(crossing.uplink.wire_bytes) == {9}
    assert set(crossing.downlink.wire_bytes) == {7}


def test_a_generator_is_the_child_that_spawning_would_give() -> None:
    for index, stream in enumerate(STREAMS):
        child = np.random.SeedSequence(5).spawn(3)[2].spawn(index + 1)[index]
        expected = np.random.default_rng(child).random(8)
        assert np.array_equal(generator(5, 2, stream).random(8), expected)


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        generator(0, 0, "weather")
