"""Running independent tasks in this process or in several, none of which outlives this one."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import ModuleType
from typing import TypeVar

from flexrel_sim.errors import WorkError
from flexrel_sim.signals import STOPPING, held

__all__ = ["mark_warnings", "run_tasks"]

T = TypeVar("T")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1


def mark_warnings() -> None:
    """Let what is logged in this process be shown on stderr as other warnings are."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))


def run_tasks(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Apply a function to all tasks.

    Workers import what they run by its name, and not the caller's script: it needs no ``__main__``
    guard.

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
        Results in the order of the tasks. When the last is taken, or when the work is given up,
        all processes are gone.

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
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_begin_worker)
    finished = False
    try:
        with _spawning(function):
            results = pool.map(function, tasks)
        yield from results
        finished = True
    except (BrokenProcessPool, BrokenPipeError):
        raise WorkError(
            "a worker process died (out of memory?); try again with --workers 1"
        ) from None
    finally:
        with held():
            if not finished:
                # What they work on is wanted no more, and may take minutes.
                for process in list((pool._processes or {}).values()):
                    process.kill()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _spawning(function: Callable[..., object]) -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, and that don't run the caller's script again."""
    main = sys.modules["__main__"]
    if function.__module__ != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    masks = hasattr(signal, "pthread_sigmask")
    # What is blocked here is blocked there from the first instruction on, and waits here.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING[:1]) if masks else set()
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mark_warnings()
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        # Ends a worker that is inside compiled code, too, where no thread of Python gets a turn.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """End this process when its parent has ended, however it did."""
    wait([sentinel])
    os._exit(1)
