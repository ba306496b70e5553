import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import poisson

from flexrel_sim.theory import (
    full_batches_mean_wait_s,
    mm1_bulk_mean_wait_s,
    mm1_mean_wait_s,
    timed_batches,
)
from tests.theory.chains import stationary

LONG = 400


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("load", [0.2, 0.8])
def test_bulk_service_waits_as_its_chain_does(size: int, load: float) -> None:
    batch_s = 0.5
    rate = load * size / batch_s

    def moves(waiting: int) -> list[tuple[int, float]]:
        if waiting < 0:
            return [(0, rate)]
        come = [(waiting + 1, rate)] if waiting < LONG else []
        return [*come, (waiting - min(waiting, size) if waiting else -1, 1 / batch_s)]

    chances = stationary(-1, moves)
    number = sum(waiting * chance for waiting, chance in chances.items() if waiting > 0)
    assert mm1_bulk_mean_wait_s(rate, batch_s, size) == pytest.approx(number / rate, rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("load", [0.2, 0.8])
def test_full_batches_wait_as_their_chain_does(size: int, load: float) -> None:
    batch_s = 0.5
    rate = load * size / batch_s

    def moves(state: tuple[int, int]) -> list[tuple[tuple[int, int], float]]:
        busy, waiting = state
        after = waiting + 1 if waiting < LONG else waiting
        come = (1, after - size) if not busy and after >= size else (busy, after)
        done = [((1, waiting - size) if waiting >= size else (0, waiting), 1 / batch_s)]
        return [(come, rate), *(done if busy else [])]

    chances = stationary((0, 0), moves)
    number = sum(waiting * chance for (_, waiting), chance in chances.items())
    assert full_batches_mean_wait_s(rate, batch_s, size) == pytest.approx(number / rate, rel=1e-9)


@given(st.floats(0.01, 0.95), st.floats(0.01, 100))
def test_batches_of_one_are_mm1(load: float, service_s: float) -> None:
    expected_s = mm1_mean_wait_s(load / service_s, service_s)
    for form in (mm1_bulk_mean_wait_s, full_batches_mean_wait_s):
        assert form(load / service_s, service_s, 1) == pytest.approx(expected_s, rel=1e-6)


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("timeout_s", [0.1, 1.0, 5.0])
def test_timed_batches_follow_the_poisson_counts_in_their_timeout(
    size: int, timeout_s: float
) -> None:
    rate = 1.5
    counts = poisson(rate * timeout_s)
    mean_batch = 1 + sum(min(size - 1, n) * counts.pmf(n) for n in range(200))
    # While the batch is open, all that came wait: the mean number over the time it is open.
    waited_s, _ = quad(
        lambda at_s: sum((n + 1) * poisson.pmf(n, rate * at_s) for n in range(size - 1)),
        0,
        timeout_s,
    )
    batch, wait_s = timed_batches(rate, timeout_s, size)
    assert batch == pytest.approx(mean_batch, rel=1e-12)
    assert wait_s == pytest.approx(waited_s / mean_batch, rel=1e-9)


def test_without_a_timeout_a_batch_is_one_request() -> None:
    assert timed_batches(3.0, 0.0, 8) == (1.0, 0.0)


def test_with_a_long_timeout_batches_are_full() -> None:
    batch, wait_s = timed_batches(2.0, 1e3, 4)
    assert batch == pytest.approx(4)
    assert wait_s == pytest.approx(3 / (2 * 2.0))
    assert math.isfinite(wait_s)
