"""Running independent tasks in this process or in several."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from flexrel_sim.errors import WorkError

__all__ = ["run_tasks"]

T = TypeVar("T")
R = TypeVar("R")


def run_tasks(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Apply a function to all tasks.

    Parameters
    ----------
    function
        A module-level function, deterministic: results don't depend on where it runs.
    tasks
        Its arguments.
    workers
        Processes to use; with one, or one task, all runs here.

    Yields
    ------
    object
        Results in the order of the tasks.

    Raises
    ------
    WorkError
        If a worker process dies.
    """
    if workers == 1 or len(tasks) < 2:
        yield from map(function, tasks)
        return
    # Not fork: torch's threads don't survive it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_ignore_interrupt)
    try:
        yield from pool.map(function, tasks)
    except BrokenProcessPool:
        raise WorkError(
            "a worker process died (out of memory?); try again with --workers 1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides, and cancels what has not started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
