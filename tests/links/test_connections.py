"""One connection per device: its ceiling, its order, slow against compiled and against theory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.links import Direction, constant
from flexrel_sim.links.connections import Connections
from flexrel_sim.links.delivery import delivered_s, delivery_state, paced_s
from flexrel_sim.links.direction import Buffer, Connection
from flexrel_sim.links.fifo import fifo, fifo_state
from tests.links.slow import slow_connections

PACE = Connection(8000.0, 3000.0)


@st.composite
def crossings(draw):
    """Messages of several flows on a grid that is exact in binary, so that ties are frequent."""
    count, flows = draw(st.integers(0, 40)), draw(st.integers(1, 6))

    def column(*values):
        return np.array(draw(st.lists(st.sampled_from(values), min_size=count, max_size=count)))

    came_s = np.cumsum(column(0, 1, 4)) / 8
    line = Direction(
        "uplink",
        constant(draw(st.sampled_from((512.0, 4096.0)))),
        delay_s=0.5,
        in_order=draw(st.booleans()),
        buffer=Buffer(messages=draw(st.sampled_from((2, math.inf)))),
        connection=draw(st.sampled_from((None, Connection(256.0, 0.0), Connection(128.0, 64.0)))),
    )
    flow = column(*range(flows)).astype(np.int32)
    return line, flows, flow, came_s, column(0, 32, 64).astype(np.int64), column(0.0, 0.25, 3.0)


def states(flows):
    return delivery_state(flows), fifo_state()


def carried(line, messages, before=None):
    """Give when messages (flow, came_s, sizes, late_s) leave the wire, and when they come out."""
    flow, came_s, sizes, late_s = messages
    state, link = before or states(int(flow.max(initial=0)) + 1)
    sent = fifo(came_s, sizes, line.capacity, line.buffer, link)
    left_s = sent.end_s
    if line.connection is not None:
        left_s = paced_s(line.connection, flow, came_s, sizes, sent.end_s, state)
    return sent.end_s, delivered_s(line, flow, left_s, late_s, state)


def at_once(flow, sizes):
    """Messages that all come at time zero, and that nothing makes late."""
    return flow.astype(np.int32), np.zeros(flow.size), sizes, np.zeros(flow.size)


@given(crossings())
def test_the_compiled_the_stepwise_and_the_slow_connections_are_one(crossing):
    line, flows, *messages = crossing
    flow, came_s, sizes, late_s = messages
    ends_s, compiled_s = carried(line, messages)
    sender, out_s = Connections(line, flows), {}
    for index in np.flatnonzero(~np.isnan(ends_s)):
        at = int(flow[index])
        sent_s = sender.sent_s(at, came_s[index], sizes[index])
        after_s = line.delay_s + late_s[index]
        out_s[index] = sender.out_s(at, max(ends_s[index], sent_s), after_s)
    slow = slow_connections(line, flow, came_s, sizes, ends_s, late_s)
    for index in range(flow.size):
        if index in out_s:
            assert compiled_s[index] == out_s[index] == slow[index]
        else:
            assert math.isnan(compiled_s[index])


@given(crossings(), st.integers(0, 40))
def test_where_a_run_is_cut_changes_no_bit_of_a_delivery(crossing, cut):
    line, flows, *messages = crossing
    _, whole_s = carried(line, messages)
    before = states(flows)
    parts = [
        carried(line, [column[part] for column in messages], before)[1]
        for part in (slice(None, cut), slice(cut, None))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole_s)


@given(crossings(), st.integers(0, 5))
def test_a_message_that_is_asked_about_would_be_out_when_it_is_out(crossing, at):
    line, flows, flow, came_s, sizes, late_s = crossing
    sender, at = Connections(line, flows), at % flows
    for index in np.flatnonzero(flow == at):
        after_s = 0.5 + late_s[index]
        asked_s = sender.would_be_out_s(at, came_s[index], came_s[index], sizes[index], after_s)
        sent_s = sender.sent_s(at, came_s[index], sizes[index])
        assert sender.out_s(at, max(came_s[index], sent_s), after_s) == asked_s


def test_a_message_that_fits_the_window_leaves_at_the_rate_of_the_wire():
    line = Direction("uplink", constant(80e3), connection=PACE)
    sizes, before = np.array([3000]), states(1)
    _, out_s = carried(line, at_once(np.zeros(1), sizes), before)
    assert out_s.tolist() == [0.3]
    # Another right after it waits until the window came back, at the ceiling: 1000 B/s.
    nobody = np.zeros(1, np.int32)
    _, out_s = carried(line, (nobody, np.ones(1), sizes, np.zeros(1)), before)
    assert out_s.tolist() == [3.0]


def test_a_long_message_takes_what_exceeds_the_window_at_the_ceiling():
    line = Direction("uplink", constant(1e9), connection=PACE)
    _, out_s = carried(line, at_once(np.zeros(1), np.array([9000])))
    assert out_s[0] == 6000 / 1000
    assert line.pacing_s(9000) == pytest.approx(6.0 - 8 * 9000 / 1e9)
    assert line.mean_connection_s(9000) == 9.0
    assert line.mean_transmission_s(9000) == 8 * 9000 / 1e9
    assert line.pacing_s(3000) == 0


def drawn(seed, flows, sizes_max):
    rng = np.random.default_rng(seed)
    came_s = np.sort(rng.uniform(0, 40.0, 20 * flows))
    flow = rng.integers(flows, size=came_s.size).astype(np.int32)
    return flow, came_s, rng.integers(0, sizes_max, came_s.size), rng.exponential(0.5, came_s.size)


@pytest.mark.parametrize("flows", [1, 10])
def test_a_busy_connection_carries_its_ceiling_and_n_of_them_n_times_as_much(flows):
    sizes = np.full(5000, 4000)
    line = Direction("uplink", constant(1e9), connection=PACE)
    _, out_s = carried(line, at_once(np.arange(5000) % flows, sizes))
    # Beyond one window each, which they have at once.
    sent = sizes.sum() - flows * PACE.window_bytes
    assert 8 * sent / out_s[-1] == pytest.approx(flows * PACE.rate_bit_per_s, rel=1e-9)


def test_together_connections_carry_no_more_than_the_wire():
    line, sizes = Direction("uplink", constant(20e3), connection=PACE), np.full(500, 4000)
    ends_s, out_s = carried(line, at_once(np.arange(500) % 10, sizes))
    assert ends_s[-1] == pytest.approx(8 * sizes.sum() / 20e3)
    assert out_s[-1] == ends_s[-1]


@given(st.integers(0, 2**32), st.integers(1, 8), st.sampled_from((0.5, 0.9, 1.0)))
def test_a_ceiling_above_the_wires_rate_holds_nobody_up(seed, flows, share):
    line = Direction("uplink", constant(share * 8000.0), connection=PACE)
    flow, came_s, sizes, late_s = drawn(seed, flows, 4000)
    ends_s, out_s = carried(line, (flow, came_s, sizes, 0 * late_s))
    np.testing.assert_allclose(out_s, np.fmax.accumulate(ends_s), rtol=1e-12)


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_devices_on_a_wire_that_is_never_busy_are_each_alone(seed, flows):
    line = Direction("uplink", constant(1e15), in_order=True, connection=PACE)
    flow, *columns = messages = drawn(seed, flows, 9000)
    _, together_s = carried(line, messages)
    for own in range(flows):
        mine = [column[flow == own] for column in columns]
        _, alone_s = carried(line, (np.zeros(mine[0].size, np.int32), *mine))
        # A nanosecond on the wire is all that others can cost.
        np.testing.assert_allclose(together_s[flow == own], alone_s, rtol=0, atol=1e-8)


@given(crossings(), st.integers(0, 2**32))
def test_flows_that_are_split_into_more_hold_nobody_up_longer(crossing, seed):
    line, _, flow, *columns = crossing
    _, out_s = carried(line, (flow, *columns))
    apart = flow + 6 * np.random.default_rng(seed).integers(3, size=flow.size).astype(np.int32)
    _, apart_s = carried(line, (apart, *columns))
    assert (np.nan_to_num(apart_s) <= np.nan_to_num(out_s)).all()


def test_a_late_message_holds_up_its_own_device_only():
    line = Direction("uplink", constant(8000.0), delay_s=0.125, in_order=True)
    flow, came_s = np.array([0, 1, 0], np.int32), np.array([0.0, 0.25, 0.5])
    late_s = np.array([4.0, 0.0, 0.0])
    _, out_s = carried(line, (flow, came_s, np.full(3, 125), late_s))
    assert out_s.tolist() == [4.25, 0.5, 4.25]


def test_a_message_that_was_dropped_asks_nothing_of_its_connection():
    line = Direction("uplink", constant(8000.0), connection=PACE, buffer=Buffer(messages=0))
    nobody, came_s = np.zeros(3, np.int32), np.array([0.0, 0.5, 100.0])
    ends_s, out_s = carried(line, (nobody, came_s, np.array([1000, 9000, 3000]), np.zeros(3)))
    assert math.isnan(out_s[1])
    assert out_s[2] == ends_s[2] == 103.0
