"""Policies choose from what they observed, by rules that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.simulation.policies import (
    Control,
    Edgent,
    LastThroughput,
    LeastLatency,
    OptionCost,
    PageHinkley,
    RunningMean,
    Static,
    Threshold,
    make_policy,
)

# Server only, split, edge only: less to send the more the edge computes.
COSTS = (
    OptionCost(0.0, 1000.0, 0.1, crosses_link=True, accuracy=0.9),
    OptionCost(0.3, 250.0, 0.1, crosses_link=True, accuracy=0.8),
    OptionCost(1.0, 0.0, 0.0, crosses_link=False, accuracy=0.7),
)
RATES = st.floats(1.0, 1e9)


def test_an_estimate_adds_up_device_transfer_and_the_rest() -> None:
    assert COSTS[1].latency_s(1000.0) == 0.3 + 2.0 + 0.1
    assert COSTS[2].latency_s(1e-9) == 1.0


@pytest.mark.parametrize("name", ["static", "threshold", "ema", "change-point", "edgent", "oracle"])
def test_every_policy_starts_with_its_start_before_it_observed_anything(name: str) -> None:
    control = Control(name, COSTS, start=1, thresholds_bit_per_s=(1.0, 2.0))  # type: ignore[arg-type]
    assert make_policy(control).choose() == 1


@given(st.lists(RATES, min_size=1))
def test_static_never_moves(seen: list[float]) -> None:
    policy = Static(2)
    for rate in seen:
        policy.observe(rate)
    assert policy.choose() == 2


@pytest.mark.parametrize(("rate", "option"), [(9.9, 0), (10.0, 1), (19.9, 1), (20.0, 2), (1e9, 2)])
def test_a_threshold_belongs_to_the_option_above_it(rate: float, option: int) -> None:
    policy = Threshold(0, (10.0, 20.0))
    policy.observe(1.0)
    policy.observe(rate)
    assert policy.choose() == option


@given(RATES)
def test_least_latency_is_the_least_by_enumeration(rate: float) -> None:
    policy = LeastLatency(0, COSTS, LastThroughput())
    policy.observe(rate)
    assert COSTS[policy.choose()].latency_s(rate) == min(cost.latency_s(rate) for cost in COSTS)


@given(st.lists(RATES, min_size=1, max_size=30), st.floats(0.01, 1.0))
def test_the_running_mean_is_the_weighted_sum_of_its_definition(
    seen: list[float], weight: float
) -> None:
    mean = RunningMean(weight)
    for rate in seen:
        mean.observe(rate)
    ages = np.arange(len(seen))[::-1]
    weights = weight * (1 - weight) ** ages
    weights[0] = (1 - weight) ** (len(seen) - 1)
    assert mean.bit_per_s == pytest.approx(float(weights @ seen), rel=1e-9)


@given(st.lists(RATES, min_size=1, max_size=40), st.floats(0.0, 0.5), st.floats(0.5, 3.0))
def test_page_hinkley_is_its_definition_with_running_minima(
    seen: list[float], drift: float, limit: float
) -> None:
    found = PageHinkley(drift, limit)
    since: list[float] = []
    for rate in seen:
        found.observe(rate)
        value = math.log(rate)
        # Page 1954: a sum against its lowest value so far, here for both directions.
        sums = {+1: [0.0], -1: [0.0]}
        for place, old in enumerate([*since, value]):
            if place == 0:
                continue
            mean = float(np.mean([*since, value][:place]))
            for sign, total in sums.items():
                total.append(total[-1] + sign * (old - mean) - drift)
        distance = max(total[-1] - min(total) for total in sums.values())
        if abs(distance - limit) < 1e-9:
            return
        since = [value] if distance > limit else [*since, value]
        assert found.bit_per_s == pytest.approx(math.exp(np.mean(since)), rel=1e-9)


def test_a_change_point_forgets_what_was_before_and_a_running_mean_does_not_yet() -> None:
    detector, mean = PageHinkley(0.05, 1.0), RunningMean(0.1)
    for rate in [1e6] * 50 + [1e4] * 2:
        detector.observe(rate)
        mean.observe(rate)
    assert detector.bit_per_s == pytest.approx(1e4)
    assert mean.bit_per_s is not None
    assert mean.bit_per_s > 5e5


def test_edgent_takes_the_most_accurate_option_within_the_deadline_or_else_the_fastest() -> None:
    policy = Edgent(0, COSTS, 1.0)
    for rate, option in ((1e6, 0), (8000.0, 1), (1000.0, 2)):
        policy.observe(rate)
        assert policy.choose() == option
    strict = Edgent(0, COSTS, 0.05)
    strict.observe(1e6)
    assert strict.choose() == 0


def test_the_edge_option_is_the_most_accurate_one_that_needs_no_link() -> None:
    lesser = OptionCost(0.1, 0.0, 0.0, crosses_link=False, accuracy=0.2)
    assert Control("static", (*COSTS, lesser)).edge_option == 2
    assert Control("static", COSTS[:2]).edge_option == -1
