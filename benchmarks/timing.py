"""Times of a function."""

from __future__ import annotations

import time
from collections.abc import Callable

_REPEATS = 5


def best_s(function: Callable[[], object]) -> float:
    """Give the best time of a few runs: the least disturbed one."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
