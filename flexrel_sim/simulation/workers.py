"""The workers of a pool, compiled: who is idle, and who is done next, in logarithmic time.

Two binary heaps of numbers of workers: the idle ones by number, the busy ones by the end of their
service and then by the order of starting. All of it is in two arrays, because every array that one
compiled function hands to another costs time.

======  ==========================================================
row     of `Workers.numbers`, shape ``(4, workers + 1)``
======  ==========================================================
`IDLE`  how many are idle, and then their heap
`BUSY`  how many are busy, and then their heap
`TURN`  by worker: its place in the order of starting
`JOB`   by worker: the first job of its batch; -1 for none
======  ==========================================================
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.compiled import compiled

__all__ = ["BUSY", "IDLE", "JOB", "Workers", "fail", "finish", "new_workers", "repair", "start"]

IDLE: Final = 0
BUSY: Final = 1
TURN: Final = 2
JOB: Final = 3


class Workers(NamedTuple):
    """All workers; those in neither heap are down.

    Parameters
    ----------
    numbers
        Heaps, turns and jobs, as the table says.
    done_s
        When a busy one is done, shape ``(workers,)``.
    """

    numbers: NDArray[np.int64]
    done_s: NDArray[np.float64]


@compiled
def new_workers(count: int) -> Workers:
    """Give workers that are all idle."""
    numbers = np.zeros((4, count + 1), np.int64)
    numbers[IDLE, 0] = count
    numbers[IDLE, 1:] = np.arange(count)
    numbers[JOB] = -1
    return Workers(numbers, np.zeros(count))


@compiled
def start(workers: Workers, job: int, done_s: float, turn: int) -> None:
    """Let the idle worker of the lowest number serve a batch."""
    numbers = workers.numbers
    worker = numbers[IDLE, 1]
    _take(workers, IDLE, 1)
    numbers[TURN, worker], numbers[JOB, worker] = turn, job
    workers.done_s[worker] = done_s
    _put(workers, BUSY, worker)


@compiled
def finish(workers: Workers) -> None:
    """Let the busy worker that is done first be idle."""
    worker = workers.numbers[BUSY, 1]
    _take(workers, BUSY, 1)
    workers.numbers[JOB, worker] = -1
    _put(workers, IDLE, worker)


@compiled
def fail(workers: Workers, worker: int) -> bool:
    """Take a worker down, wherever it is; tell whether it was up."""
    for heap in (IDLE, BUSY):
        for place in range(1, workers.numbers[heap, 0] + 1):
            if workers.numbers[heap, place] == worker:
                _take(workers, heap, place)
                workers.numbers[JOB, worker] = -1
                return True
    return False


@compiled
def repair(workers: Workers, worker: int) -> None:
    """Let a worker that is down be idle."""
    _put(workers, IDLE, worker)


@compiled
def _is_before(workers: Workers, heap: int, one: int, other: int) -> bool:
    if heap == IDLE:
        return one < other
    one_s, other_s = workers.done_s[one], workers.done_s[other]
    if one_s == other_s:
        return bool(workers.numbers[TURN, one] < workers.numbers[TURN, other])
    return bool(one_s < other_s)


@compiled
def _put(workers: Workers, heap: int, worker: int) -> None:
    workers.numbers[heap, 0] += 1
    _rise(workers, heap, workers.numbers[heap, 0], worker)


@compiled
def _take(workers: Workers, heap: int, place: int) -> None:
    """Take out who is at a place: the last one of the heap goes there, and up or down."""
    numbers = workers.numbers
    size = numbers[heap, 0] - 1
    numbers[heap, 0] = size
    if place > size:
        return
    last = numbers[heap, size + 1]
    while 2 * place <= size:
        below = 2 * place
        if below < size and _is_before(
            workers, heap, numbers[heap, below + 1], numbers[heap, below]
        ):
            below += 1
        if _is_before(workers, heap, last, numbers[heap, below]):
            break
        numbers[heap, place] = numbers[heap, below]
        place = below
    _rise(workers, heap, place, last)


@compiled
def _rise(workers: Workers, heap: int, place: int, worker: int) -> None:
    """Put a worker in at a place or above it."""
    numbers = workers.numbers
    while place > 1 and _is_before(workers, heap, worker, numbers[heap, place // 2]):
        numbers[heap, place] = numbers[heap, place // 2]
        place //= 2
    numbers[heap, place] = worker
