"""Compiled steps of a first come, first served direction, for every kind of capacity.

A direction's run-time state is one array of five floats, so that an engine can carry it through
its own compiled loop, and a run cut into chunks makes the same operations in the same order as an
uncut one: the results are the same bits.

====  =============  ===============  ===============  =====================
slot  all kinds      piecewise        opportunities    token bucket
====  =============  ===============  ===============  =====================
0     free from / s
1                    piece            next one         last full at / s
2                    cycle            its cycle        bytes since
3                                     bytes left over  last behind peak / s
4                                                      bytes since
====  =============  ===============  ===============  =====================
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.capacity import (
    CONSTANT,
    OPPORTUNITIES,
    PIECEWISE,
    ROUNDING,
    CapacityArrays,
    Floats,
)
from flexrel_sim.links.compiled import compiled

__all__ = ["fifo_kernel", "finish_s", "locate", "new_state", "piece_end_s"]

# Steps are cheaper than a search while the next piece is near, and it nearly always is.
_STEPS = 8


def new_state() -> Floats:
    """Give the state of a direction that has carried nothing yet."""
    return np.zeros(5)


@compiled
def finish_s(
    link: CapacityArrays, state: Floats, start_s: float, wire_bytes: float, waited: bool
) -> float:
    """Carry one message; as `Sender.finish_s`, with the state in an array.

    Parameters
    ----------
    link
        The capacity.
    state
        Of the direction; changed, all but slot 0.
    start_s
        When the message's turn comes.
    wire_bytes
        Its size.
    waited
        Whether it was queued before that moment.

    Returns
    -------
    float
        When its last bit leaves.
    """
    if link.kind == CONSTANT:
        return float(start_s + 8.0 * wire_bytes / link.rate_bit_per_s[0])
    if wire_bytes <= 0:
        return start_s
    if link.kind == PIECEWISE:
        return _finish_piecewise_s(link, state, start_s, wire_bytes)
    if link.kind == OPPORTUNITIES:
        return _finish_opportunity_s(link, state, start_s, wire_bytes, waited)
    return _finish_token_s(link, state, start_s, wire_bytes)


@compiled
def piece_end_s(link: CapacityArrays, piece: int, cycle: int) -> float:
    """Give when a piece of a cycle ends; the last of an endless capacity never does."""
    end_s = link.time_s[piece]
    return float(end_s + cycle * link.period_s if cycle > 0 else end_s)


@compiled
def locate(link: CapacityArrays, piece: int, cycle: int, time_s: float) -> tuple[int, int]:
    """Find the piece that a time is in, from an earlier one on.

    Parameters
    ----------
    link
        A piecewise constant capacity.
    piece, cycle
        A piece that starts no later.
    time_s
        The time.

    Returns
    -------
    piece, cycle
        The first piece that ends after it.
    """
    last = link.time_s.size - 1
    if time_s >= piece_end_s(link, last, cycle):
        # Whole cycles at once; the ends decide where the division rounds.
        cycle = max(cycle + 1, int((time_s - link.time_s[last]) / link.period_s) - 1)
        while time_s >= piece_end_s(link, last, cycle):
            cycle += 1
        piece = link.first
    for _ in range(_STEPS):
        if time_s < piece_end_s(link, piece, cycle):
            return piece, cycle
        piece += 1
    low, high = piece, last
    while low < high:
        middle = (low + high) // 2
        if time_s < piece_end_s(link, middle, cycle):
            high = middle
        else:
            low = middle + 1
    return low, cycle


@compiled
def _finish_piecewise_s(
    link: CapacityArrays, state: Floats, start_s: float, wire_bytes: float
) -> float:
    piece, cycle = locate(link, int(state[1]), int(state[2]), start_s)
    bits, time_s = 8.0 * wire_bytes, start_s
    while True:
        rate, end_s = link.rate_bit_per_s[piece], piece_end_s(link, piece, cycle)
        if rate > 0:
            finish = time_s + bits / rate
            if finish <= end_s:
                break
            bits -= rate * (end_s - time_s)
            if bits <= rate * ROUNDING * end_s:
                finish = end_s
                break
        time_s = end_s
        piece += 1
        if piece == link.time_s.size:
            piece = link.first
            cycle += 1
    state[1], state[2] = piece, cycle
    return float(finish)


@compiled
def _finish_opportunity_s(
    link: CapacityArrays, state: Floats, start_s: float, wire_bytes: float, waited: bool
) -> float:
    count = link.time_s.size
    index, cycle, left = int(state[1]), int(state[2]), state[3]
    if not waited:
        left = 0.0
        skipped = math.floor(start_s / link.period_s) - 1
        if skipped > cycle:
            index, cycle = 0, skipped
        while cycle * link.period_s + link.time_s[index] <= start_s:
            index += 1
            if index == count:
                index = 0
                cycle += 1
    need = wire_bytes - left
    if need > 0:
        fresh = math.ceil(need / link.size_bytes)
        cycle += (index + fresh) // count
        index = (index + fresh) % count
        left = fresh * link.size_bytes - need
    else:
        left = -need
    state[1], state[2], state[3] = index, cycle, left
    if index == 0:
        return float((cycle - 1) * link.period_s + link.time_s[count - 1])
    return float(cycle * link.period_s + link.time_s[index - 1])


@compiled
def _finish_token_s(
    link: CapacityArrays, state: Floats, start_s: float, wire_bytes: float
) -> float:
    rate_bit_per_s, peak_bit_per_s = link.rate_bit_per_s[0], link.peak_bit_per_s
    if state[1] + 8.0 * state[2] / rate_bit_per_s < start_s:
        state[1], state[2] = start_s, 0.0
    if state[3] + 8.0 * state[4] / peak_bit_per_s < start_s:
        state[3], state[4] = start_s, 0.0
    state[2] += wire_bytes
    state[4] += wire_bytes
    finish_s = state[3] + 8.0 * state[4] / peak_bit_per_s
    if state[2] > link.size_bytes:
        finish_s = max(finish_s, state[1] + 8.0 * (state[2] - link.size_bytes) / rate_bit_per_s)
    return float(finish_s)


@compiled
def _carry_constant(
    rate_bit_per_s: float,
    free_s: float,
    messages: tuple[Floats, NDArray[np.int64]],
    carried: tuple[Floats, Floats, NDArray[np.bool_]],
) -> float:
    """Carry messages by Lindley's recursion, without a question per message."""
    arrival_s, wire_bytes = messages
    start_s, end_s, dropped = carried
    dropped[:] = False
    for index in range(arrival_s.size):
        start = max(free_s, arrival_s[index])
        free_s = start + 8.0 * wire_bytes[index] / rate_bit_per_s
        start_s[index] = start
        end_s[index] = free_s
    return free_s


@compiled
def fifo_kernel(
    link: CapacityArrays,
    state: Floats,
    messages: tuple[Floats, NDArray[np.int64]],
    limits: tuple[float, float],
    waiting: tuple[Floats, NDArray[np.int64]],
    carried: tuple[Floats, Floats, NDArray[np.bool_]],
) -> int:
    """Carry a chunk of messages in order.

    Parameters
    ----------
    link
        The capacity.
    state
        Of the direction; changed.
    messages
        Arrival and wire bytes of the chunk's, by ascending arrival.
    limits
        Bytes and messages that may wait; infinite for no limit.
    waiting
        Start times and sizes of earlier messages that may still wait, in order.
    carried
        Start and end of serialisation, and whether dropped; filled in.

    Returns
    -------
    int
        How many messages, of `waiting` and then of the chunk, have left the queue.
    """
    arrival_s, wire_bytes = messages
    start_s, end_s, dropped = carried
    count, before = arrival_s.size, waiting[0].size
    limited = not (math.isinf(limits[0]) and math.isinf(limits[1]))
    head, queued = 0, waiting[0].size
    queued_bytes = waiting[1].sum()
    free_s = state[0]
    if link.kind == CONSTANT and not limited:
        state[0] = _carry_constant(link.rate_bit_per_s[0], free_s, messages, carried)
        return before
    for index in range(count):
        arrival, size = arrival_s[index], wire_bytes[index]
        waits = free_s > arrival
        if limited:
            # At an equal time a message leaves the queue before another is judged.
            while head < before + index:
                if head < before:
                    started, gone = waiting[0][head], waiting[1][head]
                else:
                    started, gone = start_s[head - before], wire_bytes[head - before]
                if started > arrival:
                    break
                # A dropped message has no start, and was never queued.
                if not math.isnan(started):
                    queued -= 1
                    queued_bytes -= gone
                head += 1
            if waits and (queued + 1 > limits[1] or queued_bytes + size > limits[0]):
                dropped[index] = True
                start_s[index] = end_s[index] = math.nan
                continue
            queued += 1
            queued_bytes += size
        start = free_s if waits else arrival
        free_s = finish_s(link, state, start, float(size), waits)
        dropped[index] = False
        start_s[index] = start
        end_s[index] = free_s
    state[0] = free_s
    return head
