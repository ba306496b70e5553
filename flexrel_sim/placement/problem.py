"""Two places to compute, a link between them, and what each way to share the work takes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

__all__ = ["Objective", "Problem", "Value"]

Objective = Literal["latency", "throughput"]


@dataclass(frozen=True)
class Value:
    """Something that is computed once, and read once or more.

    Parameters
    ----------
    source
        The operation that gives it; None for the input, which is on the edge.
    readers
        The operations that read it.
    send_s
        Time to send it over the uplink, once for all its readers; infinite if it can't be sent.
    encode_s, decode_s
        Time to encode it on the edge, and to decode it on the server, if it is sent.
    connection_s
        What it takes of its device's connection, where that has a ceiling.
    """

    source: int | None
    readers: tuple[int, ...]
    send_s: float
    encode_s: float = 0.0
    decode_s: float = 0.0
    connection_s: float = 0.0

    def crossing_s(self, window_s: float = 0.0) -> float:
        """Give what it takes, sent alone, from one side to the other; see `Problem.window_s`."""
        sending_s = max(self.send_s, self.connection_s - window_s)
        return self.encode_s + sending_s + self.decode_s


@dataclass(frozen=True)
class Problem:
    """Operations that run on the edge or on the server.

    Parameters
    ----------
    edge_s, server_s
        Time of every operation on either, in an order of execution.
    values
        What they give and read.
    downlink_s
        Time to send the answer back.
    downlink_connection_s
        What the answer takes of its device's connection.
    window_s, downlink_window_s
        Time by which a connection is ahead of its ceiling for a message that comes after a pause.
    delay_s
        Propagation delay of each direction.
    workers
        How many requests the server serves at a time.
    devices
        How many edge devices share the link and the server.
    half_duplex
        Whether one message at a time is on the link, whatever its direction.
    """

    edge_s: tuple[float, ...]
    server_s: tuple[float, ...]
    values: tuple[Value, ...]
    downlink_s: float = 0.0
    delay_s: float = 0.0
    workers: int = 1
    devices: int = 1
    half_duplex: bool = False
    downlink_connection_s: float = 0.0
    window_s: float = 0.0
    downlink_window_s: float = 0.0

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return len(self.edge_s)

    @property
    def crossing_s(self) -> float:
        """What is paid once if anything runs on the server: both delays, and the answer's way."""
        answer_s = max(self.downlink_s, self.downlink_connection_s - self.downlink_window_s)
        return 2 * self.delay_s + answer_s

    @cached_property
    def needs(self) -> tuple[frozenset[int], ...]:
        """The operations whose results every operation reads."""
        found: list[set[int]] = [set() for _ in self.edge_s]
        for value in self.values:
            if value.source is not None:
                for reader in value.readers:
                    found[reader].add(value.source)
        return tuple(frozenset(sources) for sources in found)

    def stages_s(self, head: AbstractSet[int]) -> tuple[float, float, float, float]:
        """Give the times of edge, uplink, server and downlink if these operations are the head."""
        edge_s = sum(self.edge_s[operation] for operation in sorted(head))
        rest = [operation for operation in range(self.operations) if operation not in head]
        if not rest:
            return edge_s, 0.0, 0.0, 0.0
        sent = self._sent(head)
        return (
            edge_s + sum(value.encode_s for value in sent),
            sum(value.send_s for value in sent),
            sum(self.server_s[one] for one in rest) + sum(value.decode_s for value in sent),
            self.downlink_s,
        )

    def _sent(self, head: AbstractSet[int]) -> list[Value]:
        return [
            value
            for value in self.values
            if (value.source is None or value.source in head)
            and any(reader not in head for reader in value.readers)
        ]

    def latency_s(self, head: AbstractSet[int]) -> float:
        """Give the time of one request that meets no other."""
        stages_s = self.stages_s(head)
        if len(head) == self.operations:
            return sum(stages_s)
        # All that crosses is one message, which a connection's window is there for once.
        paced_s = sum(value.connection_s for value in self._sent(head)) - self.window_s
        answer_s = self.downlink_connection_s - self.downlink_window_s
        held_s = max(0.0, paced_s - stages_s[1]) + max(0.0, answer_s - stages_s[3])
        return sum(stages_s) + 2 * self.delay_s + held_s

    def slowest_s(self, head: AbstractSet[int]) -> float:
        """Give the time between two answers of a device when requests queue, at the least.

        It is that of the busiest stage; what all devices share serves each of them in turn, and
        edge and connection are a device's own.
        """
        edge_s, uplink_s, server_s, downlink_s = self.stages_s(head)
        link_s = uplink_s + downlink_s if self.half_duplex else max(uplink_s, downlink_s)
        own_s = edge_s
        if len(head) < self.operations:
            paced_s = sum(value.connection_s for value in self._sent(head))
            own_s = max(edge_s, paced_s, self.downlink_connection_s)
        return max(own_s, self.devices * max(link_s, server_s / self.workers))
