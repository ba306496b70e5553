"""A first come, first served direction with a finite buffer, chunk by chunk."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.capacity import Capacity
from flexrel_sim.links.direction import Buffer
from flexrel_sim.links.kernels import fifo_kernel, new_state

__all__ = ["Carried", "FifoState", "fifo", "fifo_state"]


@dataclass
class FifoState:
    """What one chunk leaves to the next.

    Parameters
    ----------
    link
        State of the capacity; slot 0 is when the direction is free.
    waiting_start_s, waiting_bytes
        Messages that may still wait when the next chunk begins, with the start they will have.
    """

    link: NDArray[np.float64]
    waiting_start_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    waiting_bytes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class Carried(NamedTuple):
    """What became of the messages of a chunk, each of shape ``(messages,)``.

    Parameters
    ----------
    start_s
        When serialisation starts; NaN where dropped.
    end_s
        When it ends: the link is free, and propagation starts; NaN where dropped.
    dropped
        Whether it found no room.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    dropped: NDArray[np.bool_]


def fifo_state() -> FifoState:
    """Give the state of a direction that has carried nothing yet."""
    return FifoState(new_state())


def fifo(
    arrival_s: NDArray[np.float64],
    wire_bytes: NDArray[np.int64],
    capacity: Capacity,
    buffer: Buffer,
    state: FifoState,
) -> Carried:
    """Carry messages in order of arrival.

    Parameters
    ----------
    arrival_s
        When each is ready to leave, ascending, shape ``(messages,)``; not before the last one of
        the chunk before.
    wire_bytes
        What each puts on the wire, at least 0.
    capacity
        What the direction can carry when.
    buffer
        What may wait.
    state
        From `fifo_state`, and then carried from chunk to chunk; changed. Where a run is cut does
        not change a bit of what comes out.

    Returns
    -------
    Carried
        Start, end and drops.
    """
    count = arrival_s.size
    carried = Carried(np.empty(count), np.empty(count), np.empty(count, dtype=np.bool_))
    limits = (float(buffer.size_bytes), float(buffer.messages))
    sizes = np.ascontiguousarray(wire_bytes, dtype=np.int64)
    waiting = (state.waiting_start_s, state.waiting_bytes)
    arrivals = np.ascontiguousarray(arrival_s, dtype=np.float64)
    out = (carried.start_s, carried.end_s, carried.dropped)
    head = fifo_kernel(capacity.arrays(), state.link, (arrivals, sizes), limits, waiting, out)
    if limits != (math.inf, math.inf):
        accepted = ~carried.dropped
        starts = np.concatenate((state.waiting_start_s, carried.start_s))[head:]
        sizes = np.concatenate((state.waiting_bytes, sizes))[head:]
        known = np.concatenate((np.ones(waiting[0].size, dtype=np.bool_), accepted))[head:]
        state.waiting_start_s, state.waiting_bytes = starts[known], sizes[known]
    return carried
