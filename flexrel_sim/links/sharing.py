"""A shared medium: all messages under way at once, with equal shares of the rate.

Egalitarian processor sharing in virtual time: V(t) is what each message under way has been given,
in bits, so a message that comes at t with b bits leaves when V reaches V(t) + b, and only arrivals,
departures and changes of rate are events. V starts over whenever nothing is under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.capacity import CapacityArrays, Floats
from flexrel_sim.links.compiled import compiled
from flexrel_sim.links.kernels import locate, piece_end_s
from flexrel_sim.links.piecewise import PiecewiseConstant

__all__ = ["Departures", "SharingState", "processor_sharing", "sharing_state"]

Counts = NDArray[np.int64]


@dataclass
class SharingState:
    """What one chunk leaves to the next.

    Parameters
    ----------
    clock
        Time of the last event in s, virtual time in bits, piece and cycle of the capacity.
    leaves_at
        Virtual times at which the messages under way leave, as a heap.
    number
        Which they are, counted from the first message of the run.
    arrived
        How many messages have come.
    """

    clock: Floats
    leaves_at: Floats
    number: Counts
    arrived: int = 0


@dataclass(frozen=True, eq=False)
class Departures:
    """Messages that have left, in order of departure.

    Parameters
    ----------
    index
        Their numbers, counted from the first message of the run, shape ``(departures,)``.
    end_s
        When each left, shape ``(departures,)``.
    """

    index: Counts
    end_s: Floats


def sharing_state() -> SharingState:
    """Give the state of a medium that has carried nothing yet."""
    return SharingState(np.zeros(4), np.empty(0), np.empty(0, dtype=np.int64))


def processor_sharing(
    arrival_s: Floats,
    wire_bytes: Counts,
    capacity: PiecewiseConstant,
    state: SharingState,
    until_s: float = math.inf,
) -> Departures:
    """Carry messages that share a medium, up to a time.

    Parameters
    ----------
    arrival_s
        When each message of the chunk is ready, ascending, shape ``(messages,)``; none is after
        `until_s`, and none before the last one of the chunk before.
    wire_bytes
        What each puts on the wire, at least 0.
    capacity
        The rate that they share.
    state
        From `sharing_state`, and then carried from chunk to chunk; changed. Where a run is cut does
        not change a bit of what comes out.
    until_s
        What happens after it is left to the next chunk. No message of a later chunk may come
        before it.

    Returns
    -------
    Departures
        The messages that left by then. At an equal time departures come before arrivals, and
        messages that leave together do so in order of arrival.

    Raises
    ------
    ValueError
        If a message arrives after `until_s`.
    """
    count = arrival_s.size
    if count and arrival_s[-1] > until_s:
        raise ValueError("must not have arrivals after the time up to which it is carried")
    under_way = state.number.size
    keys = np.append(state.leaves_at, np.empty(count))
    numbers = np.append(state.number, np.empty(count, dtype=np.int64))
    out = (np.empty(under_way + count, dtype=np.int64), np.empty(under_way + count))
    messages = (
        np.ascontiguousarray(arrival_s, dtype=np.float64),
        np.ascontiguousarray(wire_bytes, dtype=np.int64),
        state.arrived,
    )
    heap = (keys, numbers, under_way)
    left = _share(capacity.arrays(), state.clock, messages, heap, until_s, out)
    remain = under_way + count - left
    state.leaves_at, state.number = keys[:remain].copy(), numbers[:remain].copy()
    state.arrived += count
    return Departures(out[0][:left], out[1][:left])


@compiled
def _share(
    link: CapacityArrays,
    clock: Floats,
    messages: tuple[Floats, Counts, int],
    heap: tuple[Floats, Counts, int],
    until_s: float,
    out: tuple[Counts, Floats],
) -> int:
    arrival_s, wire_bytes, before = messages
    keys, numbers, size = heap
    now_s, virtual = clock[0], clock[1]
    piece, cycle = int(clock[2]), int(clock[3])
    following, left = 0, 0
    while True:
        arrives_s = arrival_s[following] if following < arrival_s.size else math.inf
        if size == 0:
            # Nothing is under way, and nothing changes until the next message.
            if following == arrival_s.size:
                break
            now_s, virtual = arrives_s, 0.0
            piece, cycle = locate(link, piece, cycle, now_s)
        rate, changes_s = link.rate_bit_per_s[piece], piece_end_s(link, piece, cycle)
        leaves_s = math.inf
        if size > 0 and keys[0] <= virtual:
            leaves_s = now_s
        elif size > 0 and rate > 0:
            leaves_s = now_s + (keys[0] - virtual) * size / rate
        if min(leaves_s, arrives_s, changes_s) > until_s:
            break
        if leaves_s <= arrives_s and leaves_s <= changes_s:
            now_s, virtual = leaves_s, max(virtual, keys[0])
            out[0][left], out[1][left] = numbers[0], leaves_s
            left += 1
            size -= 1
            keys[0], numbers[0] = keys[size], numbers[size]
            _sift_down(keys, numbers, size)
        elif arrives_s < changes_s:
            if size > 0:
                virtual += rate * (arrives_s - now_s) / size
            now_s = arrives_s
            keys[size] = virtual + 8.0 * wire_bytes[following]
            numbers[size] = before + following
            size += 1
            following += 1
            _sift_up(keys, numbers, size - 1)
        else:
            virtual += rate * (changes_s - now_s) / size
            now_s = changes_s
            piece, cycle = locate(link, piece, cycle, now_s)
    clock[0], clock[1], clock[2], clock[3] = now_s, virtual, piece, cycle
    return left


@compiled
def _comes_first(keys: Floats, numbers: Counts, one: int, other: int) -> bool:
    if keys[one] == keys[other]:
        return bool(numbers[one] < numbers[other])
    return bool(keys[one] < keys[other])


@compiled
def _swap(keys: Floats, numbers: Counts, one: int, other: int) -> None:
    keys[one], keys[other] = keys[other], keys[one]
    numbers[one], numbers[other] = numbers[other], numbers[one]


@compiled
def _sift_up(keys: Floats, numbers: Counts, place: int) -> None:
    while place > 0:
        parent = (place - 1) // 2
        if not _comes_first(keys, numbers, place, parent):
            return
        _swap(keys, numbers, place, parent)
        place = parent


@compiled
def _sift_down(keys: Floats, numbers: Counts, size: int) -> None:
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            return
        if child + 1 < size and _comes_first(keys, numbers, child + 1, child):
            child += 1
        if not _comes_first(keys, numbers, child, place):
            return
        _swap(keys, numbers, place, child)
        place = child
