"""What each request asks of every stage, as lists that the reference engine looks up."""

from __future__ import annotations

from typing import Final

from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.system import System

__all__ = ["LINES", "Asked"]

LINES: Final = ("uplink", "downlink")
"""The link's directions."""


class Asked:
    """What requests ask; `put` overwrites a place with what a row of another list asks.

    Parameters
    ----------
    system
        Where they ask it.
    rows
        The requests.
    """

    def __init__(self, system: System, rows: Rows) -> None:
        self.crosses_link = [system.crosses_link] * rows.count
        self.device: list[int] = rows["device"].tolist()
        self.edge_s: list[float] = rows["edge_s"].tolist()
        self.server_factor: list[float] = rows["server_factor"].tolist()
        self.tier: list[int] = rows["tier"].tolist()
        self.wire_bytes: dict[str, list[float]] = {}
        self.after_s: dict[str, list[float]] = {}
        self.lost: dict[str, list[bool]] = {}
        for name in LINES:
            delay_s = getattr(system, name).delay_s
            self.wire_bytes[name] = rows[f"{name}_bytes"].tolist()
            self.after_s[name] = (delay_s + rows[f"{name}_extra_s"]).tolist()
            self.lost[name] = rows[f"{name}_lost"].tolist()

    def put(self, place: int, other: Asked, row: int) -> None:
        """Let the request at a place ask what a row of `other` does."""
        self.crosses_link[place] = other.crosses_link[row]
        self.device[place] = other.device[row]
        self.edge_s[place] = other.edge_s[row]
        self.server_factor[place] = other.server_factor[row]
        self.tier[place] = other.tier[row]
        for name in LINES:
            self.wire_bytes[name][place] = other.wire_bytes[name][row]
            self.after_s[name][place] = other.after_s[name][row]
            self.lost[name][place] = other.lost[name][row]
