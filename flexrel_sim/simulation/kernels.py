"""Compiled queues of edge and server; each is exact, request by request.

Arrivals come sorted by (time, place of creation). At equal times what leaves goes before what
comes, so a request that arrives as another starts to be served does not count it as waiting.
Compilation is cached on disk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.compiled import compiled
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, FULL

__all__ = ["edge_queue", "edge_queue_with_limits", "worker_queue"]


@compiled
def edge_queue(
    arrival_s: NDArray[np.float64],
    service_s: NDArray[np.float64],
    device: NDArray[np.int32],
    free_s: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Serve each device's requests one at a time, with unlimited waiting room and no crash.

    Parameters
    ----------
    arrival_s, service_s, device
        Of every request, shape ``(n,)``.
    free_s
        When each device is free again, shape ``(devices,)``; updated, so that a long run can come
        in parts.

    Returns
    -------
    start_s, end_s
        Shape ``(n,)``.
    """
    count = arrival_s.size
    start_s = np.empty(count)
    end_s = np.empty(count)
    for index in range(count):
        at = device[index]
        start = max(arrival_s[index], free_s[at])
        end = start + service_s[index]
        start_s[index] = start
        end_s[index] = end
        free_s[at] = end
    return start_s, end_s


class _Waiting(NamedTuple):
    """Who waits on each device, as linked lists, so that memory follows what waits."""

    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]
    length: NDArray[np.int64]
    behind: NDArray[np.int64]
    start_s: NDArray[np.float64]


@compiled
def _waiting_at(waiting: _Waiting, device: int, now: float) -> int:
    """Let go who has started, which is in order, and count the others."""
    oldest = waiting.oldest[device]
    while oldest >= 0 and waiting.start_s[oldest] <= now:
        oldest = waiting.behind[oldest]
        waiting.length[device] -= 1
    waiting.oldest[device] = oldest
    return int(waiting.length[device])


@compiled
def _wait(waiting: _Waiting, device: int, request: int, start_s: float) -> None:
    waiting.start_s[request] = start_s
    if waiting.oldest[device] < 0:
        waiting.oldest[device] = request
    else:
        waiting.behind[waiting.newest[device]] = request
    waiting.newest[device] = request
    waiting.length[device] += 1


@compiled
def edge_queue_with_limits(
    arrival_s: NDArray[np.float64],
    service_s: NDArray[np.float64],
    device: NDArray[np.int32],
    free_s: NDArray[np.float64],
    buffer: int,
    crashes: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
) -> tuple[Any, ...]:
    """Serve each device's requests with finite waiting room, and lose what a crash finds there.

    Parameters
    ----------
    arrival_s, service_s, device, free_s
        As in `edge_queue`.
    buffer
        How many requests may wait, the served one not counted; -1 for any number.
    crashes
        ``(first, down_s, up_s)``: device ``d`` is down in the windows ``first[d]`` to
        ``first[d + 1]``, in ascending order and apart.

    Returns
    -------
    start_s, end_s
        NaN where it did not come to that.
    outcome
        ``SERVED``, ``FULL``, ``DOWN`` (came while the device was down) or ``CRASHED``.
    ended_s
        When the request left the device.
    """
    first, down_s, up_s = crashes
    count = arrival_s.size
    start_s = np.full(count, np.nan)
    end_s = np.full(count, np.nan)
    ended_s = np.empty(count)
    outcome = np.zeros(count, np.int8)
    window = first[:-1].copy()
    room = count if buffer > 0 else 0
    waiting = _Waiting(
        np.full(free_s.size, -1), np.full(free_s.size, -1), np.zeros(free_s.size, np.int64),
        np.full(room, -1), np.empty(room),
    )  # fmt: skip
    for index in range(count):
        at = device[index]
        now = arrival_s[index]
        while window[at] < first[at + 1] and up_s[window[at]] <= now:
            # A restarted device has forgotten what waited.
            free_s[at] = min(free_s[at], up_s[window[at]])
            waiting.oldest[at] = -1
            waiting.length[at] = 0
            window[at] += 1
        crash_s = down_s[window[at]] if window[at] < first[at + 1] else np.inf
        if crash_s <= now:
            outcome[index] = DOWN
            ended_s[index] = now
            continue
        start = max(now, free_s[at])
        if buffer >= 0:
            if start > now and _waiting_at(waiting, at, now) >= buffer:
                outcome[index] = FULL
                ended_s[index] = now
                continue
            if start > now:
                _wait(waiting, at, index, start)
        end = start + service_s[index]
        free_s[at] = end
        if end > crash_s:
            outcome[index] = CRASHED
            ended_s[index] = crash_s
            # What starts as the crash strikes was waiting, and its turn came first.
            if start <= crash_s:
                start_s[index] = start
            continue
        start_s[index] = start
        end_s[index] = end
        ended_s[index] = end
    return start_s, end_s, outcome, ended_s


@compiled
def worker_queue(
    arrival_s: NDArray[np.float64],
    service_s: NDArray[np.float64],
    free_s: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Serve requests by whichever worker is free first, with unlimited waiting room.

    Parameters
    ----------
    arrival_s, service_s
        Of every request, shape ``(n,)``.
    free_s
        When each worker is free again, shape ``(workers,)``, as a binary heap; updated.

    Returns
    -------
    start_s, end_s
        Shape ``(n,)``.
    """
    count, workers = arrival_s.size, free_s.size
    start_s = np.empty(count)
    end_s = np.empty(count)
    if workers == 1:
        free = free_s[0]
        for index in range(count):
            start = max(arrival_s[index], free)
            free = start + service_s[index]
            start_s[index] = start
            end_s[index] = free
        free_s[0] = free
        return start_s, end_s
    for index in range(count):
        start = max(arrival_s[index], free_s[0])
        end = start + service_s[index]
        start_s[index] = start
        end_s[index] = end
        # The earliest worker takes it: put its new time in the heap's root and let it sink.
        at = 0
        while True:
            child = 2 * at + 1
            if child >= workers:
                break
            if child + 1 < workers and free_s[child + 1] < free_s[child]:
                child += 1
            if free_s[child] >= end:
                break
            free_s[at] = free_s[child]
            at = child
        free_s[at] = end
    return start_s, end_s
