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
    """

    source: int | None
    readers: tuple[int, ...]
    send_s: float
    encode_s: float = 0.0
    decode_s: float = 0.0

    @property
    def crossing_s(self) -> float:
        """What it takes to bring it from one side to the other."""
        return self.encode_s + self.send_s + self.decode_s


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

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return len(self.edge_s)

    @property
    def crossing_s(self) -> float:
        """What is paid once if anything runs on the server: both delays, and the answer's way."""
        return 2 * self.delay_s + self.downlink_s

    @cached_property
    def needs(self) -> tuple[frozenset[int], ...]:
        """The operations whose results every operation reads."""
        found: list[set[int]] = [set() for _ in self.edge_s]
        for value in self.values:
            if value.source is not None:
                for reader in value.readers:
                    found[reader].add(value.source)
        return tuple(frozenset(sources) for sources in found)

    def is_closed(self, head: AbstractSet[int]) -> bool:
        """Tell whether all that a head reads is in it: nothing goes back to the edge."""
        return all(self.needs[operation] <= head for operation in head)

    def stages_s(self, head: AbstractSet[int]) -> tuple[float, float, float, float]:
        """Give the times of edge, uplink, server and downlink if these operations are the head."""
        edge_s = sum(self.edge_s[operation] for operation in sorted(head))
        rest = [operation for operation in range(self.operations) if operation not in head]
        if not rest:
            return edge_s, 0.0, 0.0, 0.0
        sent = [
            value
            for value in self.values
            if (value.source is None or value.source in head)
            and any(reader not in head for reader in value.readers)
        ]
        return (
            edge_s + sum(value.encode_s for value in sent),
            sum(value.send_s for value in sent),
            sum(self.server_s[one] for one in rest) + sum(value.decode_s for value in sent),
            self.downlink_s,
        )

    def latency_s(self, head: AbstractSet[int]) -> float:
        """Give the time of one request that meets no other."""
        delays_s = 2 * self.delay_s if len(head) < self.operations else 0.0
        return sum(self.stages_s(head)) + delays_s

    def slowest_s(self, head: AbstractSet[int]) -> float:
        """Give the time between two answers of a device when requests queue, at the least.

        It is that of the busiest stage; what all devices share serves each of them in turn.
        """
        edge_s, uplink_s, server_s, downlink_s = self.stages_s(head)
        link_s = uplink_s + downlink_s if self.half_duplex else max(uplink_s, downlink_s)
        return max(edge_s, self.devices * max(link_s, server_s / self.workers))
