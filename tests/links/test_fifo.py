import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.links import Opportunities, PiecewiseConstant, constant
from flexrel_sim.links.direction import Buffer
from flexrel_sim.links.fifo import fifo, fifo_state
from tests.links.capacities import capacities, messages
from tests.links.slow import slow_fifo

buffers = st.builds(
    Buffer,
    st.sampled_from([math.inf, 0.0, 1504.0, 5000.0]),
    st.sampled_from([math.inf, 0.0, 1.0, 3.0]),
)


ENDLESS = Buffer()


def carry(arrivals, sizes, capacity, buffer=ENDLESS):
    return fifo(np.array(arrivals, dtype=float), np.array(sizes), capacity, buffer, fifo_state())


@given(capacities, messages(), buffers)
def test_the_compiled_queue_is_the_slow_one(capacity, sent, buffer):
    arrivals, sizes = sent
    start_s, end_s, dropped = slow_fifo(
        arrivals.tolist(), sizes.tolist(), capacity.sender(), buffer.size_bytes, buffer.messages
    )
    carried = carry(arrivals, sizes, capacity, buffer)
    np.testing.assert_array_equal(carried.dropped, dropped)
    np.testing.assert_allclose(carried.start_s, start_s, rtol=0, atol=1e-9)
    np.testing.assert_allclose(carried.end_s, end_s, rtol=0, atol=1e-9)


@given(capacities, messages(), buffers, st.lists(st.integers(0, 25), max_size=4))
def test_where_a_run_is_cut_changes_no_bit(capacity, sent, buffer, cuts):
    arrivals, sizes = sent
    whole = carry(arrivals, sizes, capacity, buffer)
    state = fifo_state()
    parts = [
        fifo(part, size, capacity, buffer, state)
        for part, size in zip(
            np.split(arrivals, sorted(cuts)), np.split(sizes, sorted(cuts)), strict=True
        )
    ]
    for index, column in enumerate(whole):
        joined = np.concatenate([part[index] for part in parts])
        np.testing.assert_array_equal(joined, column)


def test_a_constant_link_is_lindleys_recursion_to_the_bit():
    rng = np.random.default_rng(5)
    arrivals, sizes = np.cumsum(rng.exponential(1e-3, 500)), rng.integers(1, 2000, 500)
    carried = carry(arrivals, sizes, constant(9e6))
    free = 0.0
    for arrival, size, start_s, end_s in zip(
        arrivals, sizes, carried.start_s, carried.end_s, strict=True
    ):
        start = max(free, arrival)
        free = start + 8 * size / 9e6
        assert (start_s, end_s) == (start, free)


def test_a_trace_driven_link_is_the_closed_form_in_cumulative_bytes():
    rng = np.random.default_rng(6)
    capacity = PiecewiseConstant(np.arange(50) * 0.1, rng.uniform(1e6, 2e7, 50), 5.0)
    arrivals, sizes = np.cumsum(rng.exponential(1e-3, 5000)), rng.integers(1, 2000, 5000)
    done = np.cumsum(sizes)
    # D_i = max(D_i-1, C(a_i)) + b_i, and d_i is where C reaches D_i.
    started = np.maximum.accumulate(capacity.sent_bytes(arrivals) - (done - sizes))
    expected = capacity.time_of(started + done)
    np.testing.assert_allclose(carry(arrivals, sizes, capacity).end_s, expected, rtol=0, atol=1e-9)


def test_a_departure_comes_before_an_arrival_at_the_same_time():
    # 1 s each; at 1.0 the second starts and leaves room for the third.
    carried = carry([0.0, 0.5, 1.0, 1.5], [1000] * 4, constant(8e3), Buffer(messages=1))
    assert carried.dropped.tolist() == [False, False, False, True]
    assert carried.end_s[:3].tolist() == [1, 2, 3]


def test_a_buffer_of_bytes_counts_what_waits_and_not_what_is_under_way():
    buffer = Buffer(size_bytes=1000)
    carried = carry([0.0, 0.1, 0.2, 0.3], [5000, 600, 500, 400], constant(8e3), buffer)
    assert carried.dropped.tolist() == [False, False, True, False]


def test_a_dropped_message_has_no_times_and_takes_none():
    carried = carry([0.0, 0.1, 0.2], [1000] * 3, constant(8e3), Buffer(messages=0))
    assert carried.dropped.tolist() == [False, True, True]
    assert np.isnan(carried.start_s[1:]).all()
    assert np.isnan(carried.end_s[1:]).all()


def test_more_rate_never_delays_a_message():
    rng = np.random.default_rng(1)
    arrivals, sizes = np.cumsum(rng.exponential(1e-3, 300)), rng.integers(1, 3000, 300)
    starts, rates = np.arange(20) * 0.01, rng.uniform(1e6, 1e7, 20)
    slow = carry(arrivals, sizes, PiecewiseConstant(starts, rates, 0.2))
    fast = carry(arrivals, sizes, PiecewiseConstant(starts, 1.5 * rates, 0.2))
    assert (fast.end_s <= slow.end_s + 1e-12).all()


def test_a_message_waits_out_an_outage_and_one_of_no_bytes_does_not():
    capacity = PiecewiseConstant(np.array([0.0, 1.0, 3.0]), np.array([8e3, 0.0, 8e3]))
    carried = carry([0.5, 1.5], [1000, 0], capacity)
    assert carried.end_s.tolist() == [3.5, 3.5]
    assert carry([1.5], [0], capacity).end_s.tolist() == [1.5]


@pytest.mark.parametrize(
    "capacity",
    [
        PiecewiseConstant(np.array([0.0, 0.25, 0.5]), np.array([8192.0, 0.0, 16384.0]), 1.0),
        Opportunities(np.array([0.25, 0.5, 1.0]), 500.0),
    ],
)
def test_a_long_idle_time_costs_no_accuracy(capacity):
    # A shift by whole cycles, exact in binary, shifts the result and no more.
    early = carry([0.125, 0.25], [640, 896], capacity)
    late = carry([2.0**20 + 0.125, 2.0**20 + 0.25], [640, 896], capacity)
    assert (late.end_s - 2.0**20).tolist() == early.end_s.tolist()
