"""Connections of the devices at run time: the ceiling of each, and the order of its messages.

All devices share a direction's wire; what TCP makes of it belongs to one device's connection. This
is the reference implementation, which needs no numba; `flexrel_sim.links.delivery` is the compiled
one.
"""

from __future__ import annotations

from flexrel_sim.links.direction import Connection, Direction

__all__ = ["Connections"]


class Connections:
    """All connections of one direction, one for each flow.

    Parameters
    ----------
    direction
        The direction.
    flows
        How many flows there are.
    """

    def __init__(self, direction: Direction, flows: int) -> None:
        self.pacing: Connection | None = direction.connection
        self.in_order = direction.in_order
        # When the connection's own queue, which serves at the ceiling, would be empty.
        self.free_s = [float("-inf")] * flows
        self.last_out_s = [float("-inf")] * flows

    def sent_s(self, flow: int, came_s: float, wire_bytes: float) -> float:
        """Register a message; return the earliest time at which its connection has sent it.

        Parameters
        ----------
        flow
            Whose it is.
        came_s
            When it came to the direction; never before the message before it.
        wire_bytes
            What it puts on the wire.

        Returns
        -------
        float
            The earliest time of its last bit; minus infinity where there is no ceiling.
        """
        if self.pacing is None:
            return float("-inf")
        self.free_s[flow] = free_s = self._served_s(flow, came_s, wire_bytes, self.pacing)
        return free_s - self.pacing.window_s

    def out_s(self, flow: int, left_s: float, after_s: float) -> float:
        """Return when a message arrives; called in the order in which messages leave.

        Parameters
        ----------
        flow
            Whose it is.
        left_s
            When wire and connection have sent it.
        after_s
            Propagation, round trips and jitter.

        Returns
        -------
        float
            When it arrives; not before the flow's earlier ones, if the direction keeps order.
        """
        out_s = left_s + after_s
        if self.in_order:
            out_s = self.last_out_s[flow] = max(out_s, self.last_out_s[flow])
        return out_s

    def would_be_out_s(
        self, flow: int, came_s: float, end_s: float, wire_bytes: float, after_s: float
    ) -> float:
        """Return when a message would arrive, without registering it.

        Parameters
        ----------
        flow, came_s, wire_bytes, after_s
            As in `sent_s` and `out_s`.
        end_s
            When the wire would have sent it.
        """
        if self.pacing is not None:
            free_s = self._served_s(flow, came_s, wire_bytes, self.pacing)
            end_s = max(end_s, free_s - self.pacing.window_s)
        out_s = end_s + after_s
        return max(out_s, self.last_out_s[flow]) if self.in_order else out_s

    def _served_s(self, flow: int, came_s: float, wire_bytes: float, pacing: Connection) -> float:
        return max(self.free_s[flow], came_s) + 8.0 * wire_bytes / pacing.rate_bit_per_s
