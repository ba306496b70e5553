"""What TCP makes of a link: its window at first, and its rate under losses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INITIAL_WINDOW",
    "loss_ceiling_packets_per_s",
    "mean_window_packets",
    "retransmission_timeout_s",
    "slow_start_rounds",
]

INITIAL_WINDOW = 10
"""Segments of a connection's first window: RFC 6928."""

# Below it, timeouts are rare, and the square-root law holds.
_MATHIS_LOSS_MAX = 0.01

# RFC 6298, rule 2.4; its estimate itself comes to one round trip where round trips are all equal.
_TIMEOUT_MIN_S = 1.0


def slow_start_rounds(
    segments: NDArray[np.int64], segment_wire_bytes: int, rate_bit_per_s: float, round_trip_s: float
) -> NDArray[np.int64]:
    """Count the round trips that a message waits for acknowledgements in slow start.

    The window starts at `INITIAL_WINDOW` segments and doubles every round trip. A window that the
    link can't send within a round trip keeps it busy until the first acknowledgement returns: from
    there on nothing waits.

    Parameters
    ----------
    segments
        Segments of each message.
    segment_wire_bytes
        Bytes of a full one on the wire.
    rate_bit_per_s
        Rate of the link.
    round_trip_s
        Propagation there and back.

    Returns
    -------
    numpy.ndarray
        Waits of each message. Each costs at most a round trip, less what its window took to send.

    References
    ----------
    RFC 6928 (initial window), RFC 5681 section 3.1 (slow start).
    """
    segment_s = 8 * segment_wire_bytes / rate_bit_per_s
    window, sent, sent_before_wait = INITIAL_WINDOW, INITIAL_WINDOW, []
    largest = int(segments.max(initial=0))
    while window * segment_s < round_trip_s and sent < largest:
        sent_before_wait.append(sent)
        window *= 2
        sent += window
    rounds = np.searchsorted(np.array(sent_before_wait, dtype=np.int64), segments, side="left")
    return np.asarray(rounds, dtype=np.int64)


def retransmission_timeout_s(round_trip_s: float) -> float:
    """Give TCP's first retransmission timeout: a round trip, and at least one second.

    References
    ----------
    RFC 6298, rules 2.3 and 2.4, with a variance of zero.
    """
    return max(_TIMEOUT_MIN_S, round_trip_s)


def mean_window_packets(loss: float) -> float:
    """Give the mean congestion window of a connection that has met losses for long.

    Parameters
    ----------
    loss
        Share of packets lost, above 0 and at most 1.

    Returns
    -------
    float
        Full packets, more than one. Below 1 % of loss it is the ceiling times the round trip.

    References
    ----------
    Mathis et al. 1997, section 2: the window falls to half of its peak W = √(8 / 3p) and climbs
    back by a packet per round trip, so that its mean is 3W/4 = √(3 / 2p).
    """
    return math.sqrt(3 / (2 * loss))


def loss_ceiling_packets_per_s(loss: float, round_trip_s: float) -> float:
    """Give the rate that one connection reaches in the long run under losses.

    Parameters
    ----------
    loss
        Share of packets lost, at least 0 and below 1.
    round_trip_s
        Propagation there and back.

    Returns
    -------
    float
        Full packets per second; infinite without loss.

    References
    ----------
    Mathis, Semke, Mahdavi and Ott, "The macroscopic behavior of the TCP congestion avoidance
    algorithm", 1997, equation 3 with C = √(3/2), where less than 1 % is lost. Padhye, Firoiu,
    Towsley and Kurose, "Modeling TCP throughput: a simple model and its empirical validation",
    1998, equation 30 with b = 1 and without a limit by the receiver, from there on.
    """
    if loss <= 0:
        return math.inf
    recovery_s = round_trip_s * math.sqrt(2 * loss / 3)
    if loss >= _MATHIS_LOSS_MAX:
        timeout_s = retransmission_timeout_s(round_trip_s)
        timeouts = min(1.0, 3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
        recovery_s += timeout_s * timeouts
    return 1 / recovery_s if recovery_s > 0 else math.inf
