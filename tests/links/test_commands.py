import math

import numpy as np
import pytest
from hypothesis import given

from flexrel_sim.links import Opportunities, PiecewiseConstant, TokenBucket, constant
from flexrel_sim.links.commands import mahimahi_command, mahimahi_stamps_ms, tc_commands
from flexrel_sim.links.direction import Buffer, Connection, Direction, Jitter, Loss, Packets
from flexrel_sim.links.windows import duration_of, window_rates, window_s
from tests.links.capacities import capacities

SLOT = 8 * 1504


def made(capacity=None, name="uplink", **changes):
    return Direction(name, constant(10e6) if capacity is None else capacity, 0.02, 0.04, **changes)


def test_a_plain_direction_is_one_netem():
    assert tc_commands(made(), "eth0") == [
        "tc qdisc replace dev eth0 root netem rate 10000000bit delay 20000us limit 1000000"
    ]


def test_netem_gets_loss_jitter_framing_and_a_queue_in_its_own_words():
    direction = made(
        packets=Packets(1500, 28, 38),
        loss=Loss(0.01),
        jitter=Jitter("normal", 0.004, 0.002),
        in_order=False,
        buffer=Buffer(size_bytes=150_000),
    )
    note, command = tc_commands(direction, "eth0")
    assert "limit counts packets" in note
    # 24 bytes of preamble, check and gap are not in what the kernel counts; 25 kB are in flight.
    assert command == (
        "tc qdisc replace dev eth0 root netem rate 10000000bit 24 delay 24000us 2000us"
        " distribution normal loss random 1% limit 117"
    )


def test_bursts_are_netems_gemodel_in_its_order():
    (command,) = tc_commands(made(loss=Loss(0.001, 0.9, 0.02, 0.3)), "eth0")
    assert "loss gemodel 2% 30% 90% 0.1%" in command


@pytest.mark.parametrize(
    ("jitter", "words"),
    [("uniform", "delay 24000us 4000us limit"), ("exponential", "4000us distribution pareto")],
)
def test_jitter_has_the_nearest_of_netems_tables(jitter, words):
    *notes, command = tc_commands(made(jitter=Jitter(jitter, 0.004, 0.002)), "eth0")
    assert words in command
    assert any("reorder" in note for note in notes)
    assert any("no exponential" in note for note in notes) == (jitter == "exponential")


def test_a_bucket_is_tbf_with_netem_below():
    bucket = TokenBucket(1e6, 10e3, 5e6)
    lines = tc_commands(made(bucket, buffer=Buffer(64e3, 9)), "eth0")
    assert "no emulator counts messages" in lines[0]
    shaper = "root handle 1: tbf rate 1000000bit burst 10000b limit 64000b peakrate 5000000bit"
    assert lines[1:] == [
        f"tc qdisc replace dev eth0 {shaper} mtu 1514",
        "tc qdisc replace dev eth0 parent 1:1 handle 10: netem delay 20000us limit 1000000",
    ]
    assert "latency 60s" in tc_commands(made(TokenBucket(1e6, 10e3)), "eth0")[0]


def test_a_rate_that_varies_is_its_mean_in_tc_and_says_so():
    trace = Opportunities(np.array([0.001, 0.004]))
    note, command = tc_commands(made(trace), "eth0")
    assert "the mean" in note
    assert f"rate {2 * SLOT / 0.004:.0f}bit" in command


def test_a_real_tcp_gets_the_wires_own_rate_and_finds_its_ceiling_itself():
    lossy = made(transport="tcp-warm", loss=Loss(0.01), connection=Connection(3e6, 15e3))
    assert "rate 10000000bit" in tc_commands(lossy, "eth0")[0]


def test_mahimahis_shells_are_nested_as_the_link_is():
    up = made(loss=Loss(0.01), buffer=Buffer(size_bytes=64e3))
    down = made(name="downlink", loss=Loss(0.0, 1.0, 0.1, 0.4), jitter=Jitter("uniform", 0.1, 0.1))
    *notes, command = mahimahi_command(up, down, ("a", "b"))
    assert command == (
        "mm-delay 20 mm-loss uplink 0.01 mm-loss downlink 0.2 mm-link a b"
        ' --uplink-queue=droptail --uplink-queue-args="bytes=64000"'
    )
    assert any("no bursts" in note for note in notes)
    assert any("no jitter" in note for note in notes)


def test_mahimahis_delay_is_in_whole_milliseconds():
    near = Direction("uplink", constant(1e6), 0.0004, 0.0008)
    note, command = mahimahi_command(near, near)
    assert "0.4 ms" in note
    assert command.startswith("mm-delay 1 ")
    assert mahimahi_command(Direction("uplink", constant(1e6)), near) == [
        "mm-link up.trace down.trace"
    ]


@given(capacities)
def test_a_written_trace_is_one_that_mahimahi_reads_and_carries_the_same(capacity):
    stamps = mahimahi_stamps_ms(capacity, 30.0)
    assert (np.diff(stamps) >= 0).all()
    assert stamps[0] >= 0
    assert stamps[-1] > 0
    if isinstance(capacity, Opportunities):
        np.testing.assert_allclose(stamps / 1e3, capacity.stamp_s)
        return
    length_s = stamps[-1] / 1e3
    carried = float(capacity.sent_bytes(length_s))
    # Half an opportunity, what half a millisecond of rounding carries, and at least one.
    peak = np.max(getattr(capacity, "rate_bit_per_s", 0.0))
    slack = 752 + peak * 1e-3 / 8 + (752 if carried < 1504 else 0)
    assert abs(1504 * stamps.size - carried) <= slack + getattr(capacity, "burst_bytes", 0.0)


def test_a_constant_rate_is_written_with_enough_stamps_to_be_exact():
    stamps = mahimahi_stamps_ms(constant(7e6), 10.0)
    assert Opportunities(stamps / 1e3).mean_rate_bit_per_s == pytest.approx(7e6, rel=1e-3)


def test_windows_carry_what_the_capacity_does():
    capacity = PiecewiseConstant(np.array([0.0, 1.5]), np.array([8.0, 24.0]), 3.0)
    edges_s, rates = window_rates(capacity, 100.0)
    assert window_s(100.0) == 1.0
    assert edges_s[[0, -1]].tolist() == [0, 100]
    assert rates[:3].tolist() == [8, 16, 24]


@pytest.mark.parametrize(
    ("capacity", "duration_s"),
    [
        (constant(1.0), 10),
        (PiecewiseConstant(np.zeros(1), np.ones(1), 140.0), 140),
        (PiecewiseConstant(np.array([0.0, 30.0]), np.ones(2)), 40),
        (Opportunities(np.array([60.0])), 60),
        (TokenBucket(1.0, 1.0), 10),
        (PiecewiseConstant(np.zeros(1), np.ones(1), 9e5), 3600),
    ],
)
def test_a_capacity_is_looked_at_for_as_long_as_it_has_something_new(capacity, duration_s):
    assert math.isclose(duration_of(capacity), duration_s)
