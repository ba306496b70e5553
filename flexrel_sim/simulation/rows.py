"""Requests on their way through the compiled engine: columns of equal length, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.trace import STAMPS

__all__ = ["Rows"]

_MISSING: Final[dict[str, float]] = dict.fromkeys((*STAMPS, "ended_s"), float("nan"))


class Rows(dict[str, NDArray[Any]]):
    """Requests in order of creation; a column that no request came to yet is absent."""

    @property
    def count(self) -> int:
        """How many requests there are."""
        return int(self["created_s"].size)

    def drop(self, which: NDArray[np.bool_], reason: Any, ended_s: NDArray[np.float64]) -> None:
        """Note that requests are dropped.

        Parameters
        ----------
        which
            Which of them, shape ``(count,)``.
        reason
            Why: a code, or one for each.
        ended_s
            When, for each.
        """
        if not which.any():
            return
        if "reason" not in self:
            self["reason"] = np.zeros(self.count, np.int8)
            self["ended_s"] = np.full(self.count, np.nan)
        self["reason"] = np.where(which, reason, self["reason"]).astype(np.int8)
        self["ended_s"] = np.where(which, ended_s, self["ended_s"])

    def alive(self) -> tuple[Rows, Rows | None]:
        """Part those that go on from those that were dropped."""
        if "reason" not in self:
            return self, None
        dropped = self["reason"] > 0
        return self.taken(~dropped), self.taken(dropped)

    def taken(self, which: NDArray[Any]) -> Rows:
        """Give some of the requests, by mask or index."""
        return Rows({name: values[which] for name, values in self.items()})

    def column(self, name: str) -> NDArray[Any]:
        """Give a column; one that nobody came to is all NaN, or zero for counts."""
        if name in self:
            return self[name]
        return (
            np.full(self.count, _MISSING[name]) if name in _MISSING else np.zeros(self.count, int)
        )

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Join requests; a column that some of them lack is filled as `column` does."""
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(name for part in parts for name in part)
        return Rows({name: np.concatenate([p.column(name) for p in parts]) for name in names})
