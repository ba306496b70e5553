"""Where requests come from: from a list of times, or from clients that wait for their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from flexrel_sim.simulation.clock import ARRIVAL, Clock
from flexrel_sim.simulation.loop import Loop
from flexrel_sim.simulation.rows import Rows

__all__ = ["ClosedSource", "OpenSource", "Source"]

OnCreate = Callable[[int, int], None]
"""Told the place of creation of a request, from 0, and the row that it was drawn in."""


class Source(Protocol):
    """What the engine asks of a source."""

    row: list[int]
    """Row of every request that was created so far, in the order of creation."""
    created_s: list[float]
    """When each was."""

    def start(self) -> None:
        """Plan the first requests."""

    def ended(self, place: int) -> None:
        """Hear that a request was answered or dropped, now."""


class OpenSource:
    """Requests that come when they were drawn to, whatever becomes of the others.

    Parameters
    ----------
    clock
        The environment.
    rows
        The requests, in order of creation.
    on_create
        Told every request at its creation: its place, and its row.
    """

    def __init__(self, clock: Clock, rows: Rows, on_create: OnCreate) -> None:
        self.clock, self.on_create = clock, on_create
        self.created_s: list[float] = rows["created_s"].tolist()
        self.row = list(range(rows.count))

    def start(self) -> None:
        """Plan the first request."""
        self._plan(0)

    def ended(self, place: int) -> None:
        """Nobody waits for an answer."""

    def _plan(self, place: int) -> None:
        # One creation at a time on the event list keeps it short.
        if place < len(self.created_s):
            self.clock.at(self.created_s[place], ARRIVAL, place, self._create, place)

    def _create(self, place: int) -> None:
        self._plan(place + 1)
        self.on_create(place, place)


class ClosedSource:
    """Clients that create a request some time after their last one was answered or dropped.

    Parameters
    ----------
    clock
        The environment.
    loop
        Who waits for what, and thinks how long.
    on_create
        Told every request at its creation: its place, and its row.
    """

    def __init__(self, clock: Clock, loop: Loop, on_create: OnCreate) -> None:
        self.clock, self.on_create = clock, on_create
        self.think_s: list[float] = loop.think_s.tolist()
        self.until_s = loop.until_s
        self.created_s: list[float] = []
        self.row: list[int] = []
        self.first: list[int] = np.flatnonzero(loop.follows < 0).tolist()
        successor = np.full(loop.follows.size, -1)
        following = np.flatnonzero(loop.follows >= 0)
        successor[loop.follows[following]] = following
        self.successor: list[int] = successor.tolist()

    def start(self) -> None:
        """Let every client think of its first request, from time zero on."""
        for row in self.first:
            self._think(row)

    def ended(self, place: int) -> None:
        """Let its client think of the next one."""
        following = self.successor[self.row[place]]
        if following >= 0:
            self._think(following)

    def _think(self, row: int) -> None:
        created_s = self.clock.now + self.think_s[row]
        if created_s < self.until_s:
            self.clock.at(created_s, ARRIVAL, row, self._create, row)

    def _create(self, row: int) -> None:
        self.row.append(row)
        self.created_s.append(self.clock.now)
        self.on_create(len(self.row) - 1, row)
