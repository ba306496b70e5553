import math

import numpy as np
import pytest

from flexrel_sim.links.tcp import (
    loss_ceiling_packets_per_s,
    mean_window_packets,
    retransmission_timeout_s,
    slow_start_rounds,
)


def slow_rounds(segments, segment_s, round_trip_s):
    """Play the window round by round."""
    window, sent, waits = 10, 0, 0
    while True:
        sent += window
        if sent >= segments or window * segment_s >= round_trip_s:
            return waits
        waits += 1
        window *= 2


@pytest.mark.parametrize("rate", [1e6, 10e6, 100e6, 1e9])
def test_slow_start_waits_as_often_as_its_window_runs_dry(rate):
    segments = np.arange(0, 3000, 7)
    segment_s = 8 * 1538 / rate
    rounds = slow_start_rounds(segments, 1538, rate, 0.05)
    assert rounds.tolist() == [slow_rounds(n, segment_s, 0.05) for n in segments]


def test_the_first_ten_segments_never_wait():
    assert slow_start_rounds(np.array([0, 10, 11, 30, 31]), 1538, 1e9, 0.05).tolist() == [
        0,
        0,
        1,
        1,
        2,
    ]


def test_a_link_slower_than_its_first_window_never_waits():
    assert not slow_start_rounds(np.array([10_000]), 1538, 1e6, 0.05).any()


def test_below_one_percent_the_ceiling_is_mathis():
    # MSS / RTT * sqrt(1.5) / sqrt(p), in packets.
    assert loss_ceiling_packets_per_s(0.0004, 0.1) == pytest.approx(10 * math.sqrt(1.5) / 0.02)


def test_the_mean_window_is_what_the_ceiling_sends_in_a_round_trip():
    for loss in (1e-4, 1e-3, 9e-3):
        sent = loss_ceiling_packets_per_s(loss, 0.05) * 0.05
        assert mean_window_packets(loss) == pytest.approx(sent)
    # Mathis' sawtooth climbs from half of its peak to the peak, a packet per round trip.
    peak = math.sqrt(8 / (3 * 0.001))
    climb = np.linspace(peak / 2, peak, 100_001)
    assert mean_window_packets(0.001) == pytest.approx(climb.mean())


def test_from_one_percent_on_timeouts_lower_it_as_padhye_says():
    loss, trip = 0.02, 0.1
    timeouts = 1.0 * min(1, 3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    expected = 1 / (trip * math.sqrt(2 * loss / 3) + timeouts)
    assert loss_ceiling_packets_per_s(loss, trip) == pytest.approx(expected)
    assert expected < 10 * math.sqrt(1.5) / math.sqrt(loss)


def test_there_is_no_ceiling_without_loss_or_distance():
    assert math.isinf(loss_ceiling_packets_per_s(0.0, 0.1))
    assert math.isinf(loss_ceiling_packets_per_s(0.001, 0.0))


def test_more_loss_never_raises_the_ceiling():
    ceilings = [loss_ceiling_packets_per_s(p, 0.05) for p in np.linspace(1e-4, 0.5, 500)]
    assert ceilings == sorted(ceilings, reverse=True)


def test_the_timeout_is_at_least_a_second():
    assert retransmission_timeout_s(0.05) == 1.0
    assert retransmission_timeout_s(2.5) == 2.5
