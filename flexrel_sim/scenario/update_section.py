"""What a scenario may say of weights that reach the edge over the link."""

from __future__ import annotations

from pydantic import Field

from flexrel_sim.scenario.section import Section
from flexrel_sim.units import PositiveBytes, PositiveSeconds, Seconds

__all__ = ["UpdateSection"]


class UpdateSection(Section):
    """The head's weights on the downlink, among the answers."""

    initial: bool = True
    """Whether the edge starts without weights, and serves once they have come; there before time
    zero otherwise."""
    initial_bytes: PositiveBytes | None = None
    """Size of the first delivery; the head's weights in their shipping format when absent."""
    period: PositiveSeconds | None = None
    """New weights are sent this often, first after one period, until the workload ends."""
    times: list[Seconds] = Field(default_factory=list, max_length=100_000)
    """New weights are sent at these times, ascending; instead of `period`."""
    bytes: PositiveBytes | None = None
    """Size of an update, such as `prune --since` prints; the head's weights when absent."""
    swap: Seconds = 0.0
    """How long an edge device serves nothing while it puts an update in place."""
    broadcast: bool = False
    """Whether all devices hear one transmission; one for each device otherwise."""
