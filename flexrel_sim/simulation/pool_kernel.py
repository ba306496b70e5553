"""The server pool compiled: batches, priorities, finite waiting room, failing workers.

The rules are those of `flexrel_sim.simulation.pool`, which tells them in SimPy; on the same
arrivals both give the same times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.compiled import compiled
from flexrel_sim.simulation.jobs import Jobs
from flexrel_sim.simulation.outcomes import CRASHED, EXPIRED, FULL
from flexrel_sim.simulation.workers import (
    BUSY,
    IDLE,
    JOB,
    Workers,
    fail,
    finish,
    new_workers,
    repair,
    start,
)

__all__ = ["failure_events", "pool_queue"]

_DONE, _FAILURE, _ARRIVAL, _TIMEOUT = 0, 1, 2, 3


class _Queues(NamedTuple):
    """Two queues per tier, of requests (even) and of other tenants' jobs (odd), as linked lists."""

    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    length: NDArray[np.int64]
    behind: NDArray[np.int64]


class _Result(NamedTuple):
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    outcome: NDArray[np.int8]
    ended_s: NDArray[np.float64]
    batch: NDArray[np.int32]
    turn: NDArray[np.int64]


def failure_events(
    first: NDArray[np.int64], down_s: NDArray[np.float64], up_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give all times at which a worker goes down or up, in order.

    Parameters
    ----------
    first, down_s, up_s
        Worker ``w`` is down in windows ``first[w]`` to ``first[w + 1]``, ascending and apart.

    Returns
    -------
    time_s, worker
        Ascending; at one time by worker, and down before up again. A worker's turns alternate.
    """
    worker = np.repeat(np.repeat(np.arange(first.size - 1), np.diff(first)), 2)
    time_s = np.column_stack((down_s, up_s)).ravel()
    order = np.lexsort((np.arange(time_s.size), worker, time_s))
    return time_s[order], worker[order]


@compiled
def _push_back(queues: _Queues, queue: int, job: int) -> None:
    queues.behind[job] = -1
    if queues.tail[queue] >= 0:
        queues.behind[queues.tail[queue]] = job
    else:
        queues.head[queue] = job
    queues.tail[queue] = job
    queues.length[queue] += 1


@compiled
def _push_front(queues: _Queues, queue: int, job: int) -> None:
    queues.behind[job] = queues.head[queue]
    queues.head[queue] = job
    if queues.tail[queue] < 0:
        queues.tail[queue] = job
    queues.length[queue] += 1


@compiled
def _pop(queues: _Queues, queue: int) -> int:
    job = int(queues.head[queue])
    queues.head[queue] = queues.behind[job]
    if queues.head[queue] < 0:
        queues.tail[queue] = -1
    queues.length[queue] -= 1
    queues.behind[job] = -1
    return job


@compiled
def _queue_of(jobs: Jobs, job: int) -> int:
    return int(2 * jobs.tier[job] + (0 if np.isnan(jobs.service_s[job]) else 1))


@compiled
def _ready_queue(jobs: Jobs, queues: _Queues, now: float, size: int, timeout_s: float) -> int:
    """Give the queue to serve next, or -1: of the first tier that is ready, the oldest."""
    for tier in range(queues.head.size // 2):
        best, oldest_s = -1, np.inf
        for queue in (2 * tier, 2 * tier + 1):
            if queues.length[queue] == 0:
                continue
            came_s = jobs.arrival_s[queues.head[queue]]
            ready = queue % 2 == 1 or queues.length[queue] >= size or came_s + timeout_s <= now
            if ready and came_s < oldest_s:
                best, oldest_s = queue, came_s
        if best >= 0:
            return best
    return -1


@compiled
def _closing_s(jobs: Jobs, queues: _Queues, timeout_s: float) -> float:
    """Give when the first incomplete batch has waited long enough."""
    first = np.inf
    for queue in range(0, queues.head.size, 2):
        if queues.length[queue] > 0:
            first = min(first, jobs.arrival_s[queues.head[queue]] + timeout_s)
    return first


@compiled
def _dispatch(  # noqa: PLR0913, PLR0917 - compiled functions share no object
    jobs: Jobs,
    queues: _Queues,
    workers: Workers,
    result: _Result,
    now: float,
    batch_s: NDArray[np.float64],
    timeout_s: float,
    turn: int,
) -> int:
    """Let every idle worker, in order, take what is ready."""
    size = batch_s.size - 1
    while workers.numbers[IDLE, 0]:
        for queue in range(queues.head.size):
            while queues.length[queue] > 0 and jobs.expires_s[queues.head[queue]] < now:
                job = _pop(queues, queue)
                result.outcome[job] = EXPIRED
                result.ended_s[job] = now
        queue = _ready_queue(jobs, queues, now, size, timeout_s)
        if queue < 0:
            return turn
        taken = 1 if queue % 2 else min(queues.length[queue], size)
        job = _pop(queues, queue)
        lasts_s = jobs.service_s[job] if queue % 2 else batch_s[taken] * jobs.factor[job]
        start(workers, job, now + lasts_s, turn)
        for place in range(taken):
            result.start_s[job] = now
            result.turn[job] = turn
            turn += 1
            result.batch[job] = taken
            if place + 1 < taken:
                following = _pop(queues, queue)
                queues.behind[job] = following
                job = following
    return turn


@compiled
def _finish(queues: _Queues, workers: Workers, result: _Result, worker: int, now: float) -> None:
    job = workers.numbers[JOB, worker]
    while job >= 0:
        result.end_s[job] = now
        result.ended_s[job] = now
        job = queues.behind[job]
    finish(workers)


@compiled
def _give_back(  # noqa: PLR0913, PLR0917 - compiled functions share no object
    jobs: Jobs,
    queues: _Queues,
    result: _Result,
    first_job: int,
    now: float,
    size: int,
    requeue: bool,
) -> None:
    """Give up a batch: it is lost, or goes back to the head of its queue in order."""
    held, count = np.empty(size + 1, np.int64), 0
    job = first_job
    while job >= 0:
        held[count] = job
        count += 1
        job = queues.behind[job]
    for place in range(count - 1, -1, -1):
        job = held[place]
        result.batch[job] = 0
        if requeue:
            result.start_s[job] = np.nan
            _push_front(queues, _queue_of(jobs, job), job)
        else:
            result.outcome[job] = CRASHED
            result.ended_s[job] = now


@compiled
def pool_queue(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one event loop
    jobs: Jobs,
    batch_s: NDArray[np.float64],
    timeout_s: float,
    workers: int,
    buffer: int,
    failures: tuple[NDArray[np.float64], NDArray[np.int64]],
    requeue: bool,
    held_s: float,
) -> Any:
    """Serve jobs by a pool of workers.

    Parameters
    ----------
    jobs
        What comes.
    batch_s
        Time of a batch by its size, from 0 to the largest.
    timeout_s
        A batch that is not full is started once its oldest request waited this long.
    workers
        How many there are.
    buffer
        How many may wait while no worker is idle; -1 for any number.
    failures
        ``(time_s, worker)``: when which worker goes down, and up again, ascending; see
        `failure_events`.
    requeue
        Whether what a failing worker had is served again; lost otherwise.
    held_s
        Worker 0 is busy with the calibration pass until then.

    Returns
    -------
    start_s, end_s
        NaN where it did not come to that.
    outcome
        ``SERVED``, ``FULL``, ``CRASHED`` or ``EXPIRED``.
    ended_s
        When the job left the server; NaN if it never does.
    batch
        Size of its batch; 0 where it was not served.
    turn
        Its place in the order of starting, in which jobs that end at one time leave.
    """
    turns_s, turning = failures
    count, size = jobs.arrival_s.size, batch_s.size - 1
    result = _Result(
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.zeros(count, np.int8),
        np.full(count, np.nan),
        np.zeros(count, np.int32),
        np.zeros(count, np.int64),
    )
    tiers = jobs.tier.max() + 1 if count else 1
    queues = _Queues(
        np.full(2 * tiers, -1), np.full(2 * tiers, -1), np.zeros(2 * tiers, np.int64),
        np.full(count, -1),
    )  # fmt: skip
    state = new_workers(workers)
    if held_s > 0:
        start(state, -1, held_s, 0)
    window, index, turn = 0, 0, 1
    while True:
        # The next event: the earliest, then by phase, then by the order of starting.
        now, phase, which = np.inf, _ARRIVAL, -1
        if state.numbers[BUSY, 0]:
            which = state.numbers[BUSY, 1]
            now, phase = state.done_s[which], _DONE
        idle, waiting = state.numbers[IDLE, 0] > 0, queues.length.sum()
        if index == count and waiting == 0 and which < 0:
            break
        if window < turns_s.size and turns_s[window] < now:
            now, phase, which = turns_s[window], _FAILURE, turning[window]
        if index < count and jobs.arrival_s[index] < now:
            now, phase = jobs.arrival_s[index], _ARRIVAL
        if idle and waiting > 0:
            closing_s = _closing_s(jobs, queues, timeout_s)
            if closing_s < now:
                now, phase = closing_s, _TIMEOUT
        if now == np.inf:
            break
        if phase == _DONE:
            _finish(queues, state, result, which, now)
        elif phase == _FAILURE:
            job = state.numbers[JOB, which]
            if not fail(state, which):
                repair(state, which)
            elif job >= 0:
                _give_back(jobs, queues, result, job, now, size, requeue)
            window += 1
        elif phase == _ARRIVAL:
            if buffer >= 0 and waiting >= buffer and not idle:
                result.outcome[index] = FULL
                result.ended_s[index] = now
            else:
                _push_back(queues, _queue_of(jobs, index), index)
            index += 1
        # Asked here already: a call costs more than the answer.
        if state.numbers[IDLE, 0] and queues.length.sum():
            turn = _dispatch(jobs, queues, state, result, now, batch_s, timeout_s, turn)
    return result
