"""A half-duplex link: its directions take turns, each at its own capacity."""

from __future__ import annotations

import numpy as np

from flexrel_sim.links import Direction, Opportunities, constant
from tests.builders import make_draws, make_system, make_trace


def test_messages_of_both_directions_take_turns_in_order_of_arrival() -> None:
    # Up 1 s (125 B at 1 kbit/s), down 2 s (250 B), nothing else takes time.
    system = make_system(
        edge_s=0.0, server_s=0.0, delay_s=0.0, answer_bytes=250, medium="half-duplex"
    )
    trace = make_trace(system, make_draws([0.0, 0.5, 2.5]))
    # The second payload came before the first answer; the third after the second one.
    assert trace.uplink_start_s.tolist() == [0.0, 1.0, 6.0]
    assert trace.downlink_start_s.tolist() == [2.0, 4.0, 7.0]
    assert trace.answered_s.tolist() == [4.0, 6.0, 9.0]


def test_a_direction_that_takes_over_gets_no_opportunity_of_the_past() -> None:
    # An answer needs a tenth of an opportunity; the rest of it is lost while a payload is sent.
    system = make_system(
        edge_s=0.0,
        server_s=0.0,
        delay_s=0.0,
        answer_bytes=10,
        medium="half-duplex",
        uplink=Direction("uplink", constant(1000.0)),
        downlink=Direction("downlink", Opportunities(np.array([0.5]), 100.0)),
    )
    trace = make_trace(system, make_draws([0.0, 0.0, 1.5]))
    assert trace.uplink_end_s.tolist() == [1.0, 2.0, 3.5]
    # The third payload parts the first answer from the other two, which share an opportunity.
    assert trace.answered_s.tolist() == [2.5, 4.0, 4.0]


def test_a_message_of_no_bytes_does_not_bring_the_past_back() -> None:
    system = make_system(
        edge_s=0.0,
        server_s=0.0,
        delay_s=0.0,
        answer_bytes=10,
        medium="half-duplex",
        uplink=Direction("uplink", Opportunities(np.array([0.5]), 100.0)),
        downlink=Direction("downlink", constant(10.0)),
    )
    draws = make_draws([0.0, 1.0, 1.0], sample=np.array([1, 0, 1]))
    trace = make_trace(system, draws, [0, 50])
    # The answer holds the link from 0.5 to 8.5; then comes the empty payload, then the full one.
    assert trace.uplink_end_s.tolist() == [0.5, 8.5, 9.0]
