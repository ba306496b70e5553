import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.theory import erlang_b, mm1_crashing_answered_share, mmck_blocking
from tests.theory.chains import stationary


@given(st.integers(1, 30), st.floats(0.01, 60))
def test_erlang_b_is_its_sum_of_factorials(workers: int, offered: float) -> None:
    states = [offered**busy / math.factorial(busy) for busy in range(workers + 1)]
    assert erlang_b(workers, offered) == pytest.approx(states[-1] / sum(states), rel=1e-9)


@given(st.floats(0.01, 5), st.integers(1, 12))
def test_mm1k_blocks_by_the_truncated_geometric_law(load: float, places: int) -> None:
    states = [load**number for number in range(places + 1)]
    expected = states[-1] / sum(states)
    assert mmck_blocking(load, 1.0, 1, places) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.1, 8), st.integers(1, 4), st.integers(0, 6))
def test_mmck_blocks_as_its_birth_death_chain(rate: float, workers: int, waiting: int) -> None:
    places = workers + waiting

    def moves(number: int) -> list[tuple[int, float]]:
        up = [(number + 1, rate)] if number < places else []
        down = [(number - 1, min(number, workers) / 0.5)] if number else []
        return up + down

    full = stationary(0, moves)[places]
    assert mmck_blocking(rate, 0.5, workers, places) == pytest.approx(full, rel=1e-9, abs=1e-12)


def test_without_room_to_wait_mmck_is_erlang_b() -> None:
    assert mmck_blocking(3.0, 0.5, 4, 4) == erlang_b(4, 1.5)


def test_a_crashing_server_answers_as_its_chain_does() -> None:
    rate, service_s, up_s, down_s = 1.2, 0.7, 5.0, 2.0

    def moves(state: int) -> list[tuple[int, float]]:
        if state < 0:
            return [(0, 1 / down_s)]
        crash = [(-1, 1 / up_s)]
        come = [(state + 1, rate)] if state < 300 else []
        return crash + come + ([(state - 1, 1 / service_s)] if state else [])

    chances = stationary(0, moves)
    answered_per_s = sum(chance for state, chance in chances.items() if state > 0) / service_s
    share = mm1_crashing_answered_share(rate, service_s, up_s, down_s)
    assert share == pytest.approx(answered_per_s / rate, rel=1e-9)


def test_a_server_that_never_crashes_answers_all() -> None:
    assert mm1_crashing_answered_share(0.5, 1.0, 1e12, 1.0) == pytest.approx(1.0, abs=1e-6)
