"""The server pool in SimPy: batches, priorities, finite waiting room, failing workers.

A worker that is idle takes the first batch that is ready: the highest tier first, and in a tier
what waits longest. A batch is ready when it is full, or when its oldest request has waited long
enough; other tenants' jobs are served one by one, without waiting for company.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flexrel_sim.simulation.asked import Asked
from flexrel_sim.simulation.clock import DONE, FAILURE, TIMEOUT, Clock
from flexrel_sim.simulation.jobs import Jobs
from flexrel_sim.simulation.outcomes import CRASHED, EXPIRED, FULL
from flexrel_sim.simulation.stages import Window
from flexrel_sim.simulation.system import Pool

__all__ = ["PoolStage"]


@dataclass
class _Worker:
    up: bool = True
    jobs: list[int] = field(default_factory=list)
    # A service that a failure ended must not end again.
    epoch: int = 0
    busy: bool = False

    @property
    def idle(self) -> bool:
        return self.up and not self.busy


class PoolStage:
    """A pool of workers with a queue per tier.

    Parameters
    ----------
    clock
        The environment.
    pool
        Its rules.
    batch_s
        Times of a batch by its size, for each operating point: only requests of one share a batch.
    jobs
        What each job is; their times of arrival are noted here as they come.
    failures
        Windows in which each worker is down, ascending and apart.
    on_start
        Told the job, the time and the size of its batch.
    on_end
        Told the job, the outcome and the time; a served job's outcome is ``SERVED`` = 0.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a stage is its rules
        self,
        clock: Clock,
        pool: Pool,
        batch_s: Sequence[Sequence[float]],
        jobs: Jobs,
        failures: Sequence[Sequence[Window]],
        on_start: Callable[[int, float, int], None],
        on_end: Callable[[int, int, float], None],
    ) -> None:
        self.clock, self.pool, self.jobs = clock, pool, jobs
        self.on_start, self.on_end = on_start, on_end
        self.batch_s, self.largest = batch_s, len(pool.batch_s) - 1
        # Each tier has a queue for every operating point, and one for other tenants.
        self.width = len(batch_s) + 1
        self.option = [0] * jobs.tier.size
        self.service_s: list[float] = jobs.service_s.tolist()
        self.factor: list[float] = jobs.factor.tolist()
        self.tier: list[int] = jobs.tier.tolist()
        self.expires_s: list[float] = jobs.expires_s.tolist()
        self.came_s: list[float] = jobs.arrival_s.tolist()
        self.workers = [_Worker() for _ in range(pool.workers)]
        tiers = int(jobs.tier.max()) + 1 if jobs.tier.size else 1
        self.queues: list[deque[int]] = [deque() for _ in range(self.width * tiers)]
        self.waiting = 0
        self.turn = 1
        self.closing_s = float("inf")
        if pool.held_s > 0:
            self.workers[0].busy = True
            clock.at(pool.held_s, DONE, 0, self._finish, 0, 0)
        for worker, windows in enumerate(failures):
            for down_s, up_s in windows:
                clock.at(down_s, FAILURE, worker, self._fail, worker)
                clock.at(up_s, FAILURE, worker, self._repair, worker)

    def expect(self, job: int, asked: Asked, option: int, expires_s: float) -> None:
        """Note what a job that is yet to come will be."""
        self.option[job] = option
        self.factor[job], self.tier[job] = asked.server_factor[job], asked.tier[job]
        self.expires_s[job] = expires_s

    def arrive(self, job: int) -> None:
        """Take a job in, or turn it away."""
        now = self.clock.now
        self.came_s[job] = now
        buffer = self.pool.buffer
        if 0 <= buffer <= self.waiting and not any(worker.idle for worker in self.workers):
            self.on_end(job, FULL, now)
            return
        self.queues[self._queue_of(job)].append(job)
        self.waiting += 1
        self._dispatch()

    def _queue_of(self, job: int) -> int:
        place = self.option[job] if np.isnan(self.service_s[job]) else self.width - 1
        return self.width * self.tier[job] + place

    def _is_others(self, queue: int) -> bool:
        return queue % self.width == self.width - 1

    def _ready_queue(self, now: float) -> int:
        size, timeout_s = self.largest, self.pool.timeout_s
        best, oldest_s = -1, float("inf")
        for queue, waiting in enumerate(self.queues):
            if queue % self.width == 0 and best >= 0:
                break
            if not waiting:
                continue
            came_s = self.came_s[waiting[0]]
            ready = self._is_others(queue) or len(waiting) >= size or came_s + timeout_s <= now
            if ready and came_s < oldest_s:
                best, oldest_s = queue, came_s
        return best

    def _dispatch(self) -> None:
        now = self.clock.now
        for number, worker in enumerate(self.workers):
            if not self.waiting:
                return
            if not worker.idle:
                continue
            self._discard_expired(now)
            queue = self._ready_queue(now)
            if queue < 0:
                break
            self._start(number, queue, now)
        self._watch_closing(now)

    def _discard_expired(self, now: float) -> None:
        for waiting in self.queues:
            while waiting and self.expires_s[waiting[0]] < now:
                self.waiting -= 1
                self.on_end(waiting.popleft(), EXPIRED, now)

    def _start(self, number: int, queue: int, now: float) -> None:
        worker, waiting = self.workers[number], self.queues[queue]
        others = self._is_others(queue)
        taken = 1 if others else min(len(waiting), self.largest)
        worker.jobs = [waiting.popleft() for _ in range(taken)]
        worker.busy = True
        self.waiting -= taken
        first = worker.jobs[0]
        lasts_s = self.service_s[first]
        if not others:
            lasts_s = self.batch_s[queue % self.width][taken] * self.factor[first]
        for job in worker.jobs:
            self.on_start(job, now, taken)
        # What ends at one time leaves in the order of starting.
        self.clock.at(now + lasts_s, DONE, self.turn, self._finish, number, worker.epoch)
        self.turn += taken

    def _watch_closing(self, now: float) -> None:
        """Come back when the first incomplete batch has waited long enough."""
        if not self.waiting or not any(worker.idle for worker in self.workers):
            return
        closing_s = self._first_closing_s()
        if closing_s != self.closing_s and closing_s > now:
            self.closing_s = closing_s
            self.clock.at(closing_s, TIMEOUT, 0, self._close)

    def _first_closing_s(self) -> float:
        oldest_s = (
            self.came_s[waiting[0]]
            for queue, waiting in enumerate(self.queues)
            if waiting and not self._is_others(queue)
        )
        return min(oldest_s, default=float("inf")) + self.pool.timeout_s

    def _close(self) -> None:
        # The batch that this was meant for may have filled up and gone since.
        if self._first_closing_s() <= self.clock.now:
            self._dispatch()

    def _finish(self, number: int, epoch: int) -> None:
        worker = self.workers[number]
        if worker.epoch != epoch:
            return
        jobs, worker.jobs, worker.busy = worker.jobs, [], False
        worker.epoch += 1
        self._dispatch()
        for job in jobs:
            self.on_end(job, 0, self.clock.now)

    def _fail(self, number: int) -> None:
        worker = self.workers[number]
        jobs, worker.jobs, worker.busy = worker.jobs, [], False
        worker.up = False
        worker.epoch += 1
        if self.pool.requeue:
            for job in reversed(jobs):
                self.queues[self._queue_of(job)].appendleft(job)
                self.on_start(job, float("nan"), 0)
            self.waiting += len(jobs)
        else:
            for job in jobs:
                self.on_end(job, CRASHED, self.clock.now)
        self._dispatch()

    def _repair(self, number: int) -> None:
        self.workers[number].up = True
        self._dispatch()
