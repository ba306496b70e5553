from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.simulation.clock import ARRIVAL, DONE, FAILURE, TIMEOUT, Clock

CALLS = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from((DONE, FAILURE, ARRIVAL, TIMEOUT)), st.integers(0, 3)
    ),
    max_size=12,
)


@given(CALLS)
def test_calls_come_by_time_phase_sequence_and_then_as_they_were_asked_for(
    calls: list[tuple[int, int, int]],
) -> None:
    clock, came = Clock(), []
    for place, (time_s, phase, sequence) in enumerate(calls):
        clock.at(float(time_s), phase, sequence, came.append, (time_s, phase, sequence, place))
    clock.run()
    assert came == sorted(came)
    assert len(came) == len(calls)


def test_phases_are_ends_then_failures_then_arrivals_then_timeouts() -> None:
    assert DONE < FAILURE < ARRIVAL < TIMEOUT


def test_never_does_not_come() -> None:
    clock, came = Clock(), []
    clock.at(math.inf, DONE, 0, came.append, 1)
    clock.run()
    assert not came
    assert clock.now == 0.0


def test_a_time_is_met_to_the_last_bit_and_not_by_adding_differences() -> None:
    clock, came = Clock(), []
    times_s = [0.1 * step for step in range(1, 50)]

    def on(step: int) -> None:
        came.append(clock.now)
        if step + 1 < len(times_s):
            clock.at(times_s[step + 1], ARRIVAL, step, on, step + 1)

    clock.at(times_s[0], ARRIVAL, 0, on, 0)
    clock.run()
    assert came == times_s


def test_what_is_passed_on_comes_at_once_unless_something_else_comes_first() -> None:
    clock, came = Clock(), []
    clock.at(1.0, DONE, 0, lambda: clock.pass_on(7, came.append, "passed"))
    clock.at(1.0, DONE, 1, came.append, "another end")
    clock.at(1.0, ARRIVAL, 3, came.append, "an earlier arrival")
    clock.at(1.0, ARRIVAL, 9, came.append, "a later arrival")
    clock.run()
    assert came == ["another end", "an earlier arrival", "passed", "a later arrival"]


def test_what_is_passed_on_alone_needs_no_event() -> None:
    clock, came = Clock(), []
    clock.pass_on(0, came.append, 1)
    assert came == [1]
