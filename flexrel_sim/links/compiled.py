"""Compilation by numba, once per machine: the result is cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    Parameters
    ----------
    function
        A function of numbers and arrays. No fast-math: results are the same bits everywhere that
        the operations are IEEE 754's.

    Returns
    -------
    callable
        Its compiled form, with the type of the original.
    """
    return cast(F, numba.njit(cache=True)(function))
