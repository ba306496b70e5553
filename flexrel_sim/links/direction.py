"""One direction of the link, resolved: all that an engine needs, in SI units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.capacity import Capacity
from flexrel_sim.scenario.link_sections import Transport

__all__ = ["Buffer", "Connection", "Direction", "Jitter", "Loss", "Packets", "Transfers"]


@dataclass(frozen=True)
class Buffer:
    """How much may wait for a direction; the message under way does not count.

    A message that finds no room at its arrival is dropped (drop-tail). At an equal time the next
    message starts, and leaves the buffer, before an arriving one is judged.

    Parameters
    ----------
    size_bytes
        Wire bytes that may wait.
    messages
        Messages that may wait.
    """

    size_bytes: float = math.inf
    messages: float = math.inf


@dataclass(frozen=True)
class Packets:
    """How a message is cut into packets, and what each adds.

    Parameters
    ----------
    mtu_bytes
        Largest packet, its IP and transport headers included.
    header_bytes
        Those headers.
    frame_bytes
        What the layers below add to each packet.
    """

    mtu_bytes: int = 1500
    header_bytes: int = 0
    frame_bytes: int = 0

    @property
    def payload_bytes(self) -> int:
        """Most payload that one packet takes."""
        return self.mtu_bytes - self.header_bytes

    @property
    def overhead_bytes(self) -> int:
        """What each packet adds to its payload on the wire."""
        return self.header_bytes + self.frame_bytes

    @property
    def efficiency(self) -> float:
        """Share of the wire's bytes that are payload, in full packets."""
        return self.payload_bytes / (self.mtu_bytes + self.frame_bytes)

    def count(self, payload_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give how many packets each message takes; an empty one takes one, for its headers."""
        packets = -(-payload_bytes // self.payload_bytes)
        return np.maximum(packets, 1)

    def wire_bytes(self, payload_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give what each message puts on the wire when nothing is sent twice."""
        if self.overhead_bytes == 0:
            return np.asarray(payload_bytes, dtype=np.int64)
        return payload_bytes + self.count(payload_bytes) * self.overhead_bytes


@dataclass(frozen=True)
class Loss:
    """A Gilbert–Elliott channel that takes a step at every packet; Bernoulli is its special case.

    Parameters
    ----------
    loss_good, loss_bad
        Probability that a packet is lost in either state.
    enter_bad, leave_bad
        Probabilities of a change of state before a packet.

    References
    ----------
    Gilbert, "Capacity of a burst-noise channel", 1960; Elliott, "Estimates of error rates for codes
    on burst-noise channels", 1963; tc-netem(8), ``loss gemodel``.
    """

    loss_good: float
    loss_bad: float = 1.0
    enter_bad: float = 0.0
    leave_bad: float = 1.0

    @property
    def bad_share(self) -> float:
        """Stationary share of packets that meet the bad state."""
        return self.enter_bad / (self.enter_bad + self.leave_bad)

    @property
    def mean(self) -> float:
        """Stationary share of packets that are lost."""
        return self.loss_good + self.bad_share * (self.loss_bad - self.loss_good)


@dataclass(frozen=True)
class Jitter:
    """A random delay beyond propagation, of the given mean and never negative.

    Parameters
    ----------
    distribution
        ``uniform`` on 0 … 2 mean, ``normal`` truncated to the same range, or ``exponential``.
    mean_s
        Its mean.
    std_s
        Standard deviation of the normal before it is truncated.
    """

    distribution: Literal["uniform", "normal", "exponential"]
    mean_s: float
    std_s: float


@dataclass(frozen=True)
class Connection:
    """What one TCP connection carries under losses, however much the wire could.

    It is a queue of its own that serves at the ceiling and is ahead by one window: what fits the
    window that it has leaves at the wire's rate, and the window comes back at the ceiling.

    Parameters
    ----------
    rate_bit_per_s
        Ceiling of its rate in the long run; headers and retransmissions count.
    window_bytes
        Wire bytes that leave at once after a pause.
    """

    rate_bit_per_s: float
    window_bytes: float

    @property
    def window_s(self) -> float:
        """Time in which a window comes back; Mathis' round trip."""
        return 8 * self.window_bytes / self.rate_bit_per_s

    def time_s(self, wire_bytes: float) -> float:
        """Give what a message takes of the connection's time: a share of what it can carry."""
        return 8 * wire_bytes / self.rate_bit_per_s

    def least_s(self, wire_bytes: float) -> float:
        """Give the least time from a message's arrival to its last bit's, after a pause."""
        return max(0.0, self.time_s(wire_bytes) - self.window_s)


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction of the link.

    All devices share its capacity; order and the ceiling of TCP belong to each of them.

    Parameters
    ----------
    name
        ``uplink`` or ``downlink``.
    capacity
        What it can carry when.
    delay_s
        Propagation delay; it occupies nothing.
    round_trip_s
        Propagation there and back.
    transport
        How a message crosses.
    packets
        How it is cut.
    attempts
        Transmissions of a packet before its message is given up.
    loss
        Which packets are lost; None for no loss.
    jitter
        What a message is delayed beyond `delay_s`; None for nothing.
    in_order
        Whether a message is delivered only after those of its device that were sent before it.
    buffer
        What may wait.
    connection
        What one device's connection carries, where TCP under losses has a ceiling; None for no
        ceiling but the capacity.
    """

    name: str
    capacity: Capacity
    delay_s: float = 0.0
    round_trip_s: float = 0.0
    transport: Transport = "ideal"
    packets: Packets = Packets()
    attempts: int = 1
    loss: Loss | None = None
    jitter: Jitter | None = None
    in_order: bool = True
    buffer: Buffer = Buffer()
    connection: Connection | None = None

    @property
    def mean_rate_bit_per_s(self) -> float:
        """Long-run mean rate of its capacity, headers included."""
        return self.capacity.mean_rate_bit_per_s

    def mean_wire_bytes(self, payload_bytes: float) -> float:
        """Give the expected bytes on the wire of a message, transmissions of lost packets included.

        Parameters
        ----------
        payload_bytes
            Its payload; a mean payload gives a mean to within one packet's headers.

        Returns
        -------
        float
            Its expected wire bytes. Losses count as independent, which in bursts they are not.
        """
        once = float(self.packets.wire_bytes(np.array([math.ceil(payload_bytes)]))[0])
        if self.packets.overhead_bytes == 0:
            once = payload_bytes
        if self.loss is None:
            return once
        lost = self.loss.mean
        return once * (self.attempts if lost == 1 else (1 - lost**self.attempts) / (1 - lost))

    def mean_transmission_s(self, payload_bytes: float) -> float:
        """Give how long a message occupies the direction at its mean rate, for stability checks."""
        return 8 * self.mean_wire_bytes(payload_bytes) / self.mean_rate_bit_per_s

    def mean_connection_s(self, payload_bytes: float) -> float:
        """Give what a message takes of its device's connection, for stability checks."""
        if self.connection is None:
            return 0.0
        return self.connection.time_s(self.mean_wire_bytes(payload_bytes))

    def pacing_s(self, payload_bytes: float) -> float:
        """Give what its connection adds to the wire's time for a message that meets no other."""
        if self.connection is None:
            return 0.0
        least_s = self.connection.least_s(self.mean_wire_bytes(payload_bytes))
        return max(0.0, least_s - self.mean_transmission_s(payload_bytes))


class Transfers(NamedTuple):
    """What each message does to the direction, each of shape ``(messages,)``.

    Parameters
    ----------
    wire_bytes
        What occupies the link: payload, headers and all transmissions.
    retransmissions
        Packets that were sent again.
    extra_delay_s
        What delays it after its last bit, beyond propagation, and occupies nothing: round trips of
        the transport, and jitter.
    lost
        Whether it never arrives; its bytes were sent all the same.
    """

    wire_bytes: NDArray[np.int64]
    retransmissions: NDArray[np.int64]
    extra_delay_s: NDArray[np.float64]
    lost: NDArray[np.bool_]
