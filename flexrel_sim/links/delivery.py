"""When messages arrive: each device's ceiling and order, the compiled implementation.

`flexrel_sim.links.connections` is the reference implementation, message by message; both make the
same operations in the same order, so that they agree to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.compiled import compiled
from flexrel_sim.links.direction import Connection, Direction

__all__ = ["DeliveryState", "delivered_s", "delivery_state", "paced_s"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flows = NDArray[np.int32]


@dataclass
class DeliveryState:
    """What one part of a run leaves to the next, for every flow.

    Parameters
    ----------
    free_s
        When the connection's own queue, which serves at the ceiling, is empty; shape ``(flows,)``.
    last_out_s
        The flow's latest arrival at the other end, shape ``(flows,)``.
    late
        Whether any message was ever held up or late: if not, messages come out as they left.
    """

    free_s: Floats
    last_out_s: Floats
    late: bool = False


def delivery_state(flows: int) -> DeliveryState:
    """Give the state of flows that have carried nothing yet."""
    return DeliveryState(np.full(flows, -np.inf), np.full(flows, -np.inf))


def paced_s(
    connection: Connection,
    flow: Flows,
    came_s: Floats,
    wire_bytes: Counts,
    end_s: Floats,
    state: DeliveryState,
) -> Floats:
    """Give when wire and connection have sent each message.

    Parameters
    ----------
    connection
        What one flow's connection carries.
    flow
        Whose each message is, in order of arrival, shape ``(messages,)``.
    came_s, wire_bytes
        When each came, ascending, and what it puts on the wire.
    end_s
        When its last bit has left the wire; NaN where it was dropped, and asks for nothing.
    state
        From `delivery_state`, and then carried from part to part; changed.

    Returns
    -------
    numpy.ndarray
        The later of the two; NaN where dropped.
    """
    sent_s = np.empty(end_s.size)
    pace = (connection.rate_bit_per_s, connection.window_s)
    messages = (
        np.ascontiguousarray(flow, np.int32),
        np.ascontiguousarray(came_s, np.float64),
        np.ascontiguousarray(wire_bytes, np.int64),
        np.ascontiguousarray(end_s, np.float64),
    )
    _pace(pace, messages, state.free_s, sent_s)
    return sent_s


def delivered_s(
    direction: Direction, flow: Flows, left_s: Floats, extra_delay_s: Floats, state: DeliveryState
) -> Floats:
    """Give when messages arrive at the other end.

    Parameters
    ----------
    direction
        The direction.
    flow
        Whose each message is, in the order in which they left the wire, shape ``(messages,)``.
    left_s
        When wire and connection have sent each; NaN where it was dropped.
    extra_delay_s
        From `transfers`.
    state
        From `delivery_state`, and then carried from part to part; changed.

    Returns
    -------
    numpy.ndarray
        The end of sending, propagation and extra delay; not before the flow's earlier messages,
        where the direction keeps order.
    """
    out_s: Floats = left_s + (direction.delay_s + extra_delay_s)
    if direction.in_order:
        _in_order(np.ascontiguousarray(flow, np.int32), out_s, state.last_out_s)
    return out_s


@compiled
def _pace(
    pace: tuple[float, float],
    messages: tuple[Flows, Floats, Counts, Floats],
    free_s: Floats,
    sent_s: Floats,
) -> None:
    rate_bit_per_s, window_s = pace
    flow, came_s, wire_bytes, end_s = messages
    for index in range(end_s.size):
        if np.isnan(end_s[index]):
            sent_s[index] = np.nan
            continue
        at = flow[index]
        free = max(free_s[at], came_s[index]) + 8.0 * wire_bytes[index] / rate_bit_per_s
        free_s[at] = free
        sent_s[index] = max(end_s[index], free - window_s)


@compiled
def _in_order(flow: Flows, out_s: Floats, last_out_s: Floats) -> None:
    for index in range(out_s.size):
        if np.isnan(out_s[index]):
            continue
        at = flow[index]
        latest = max(out_s[index], last_out_s[at])
        last_out_s[at] = latest
        out_s[index] = latest
