"""Weights that are sent to the edge: what, when, and what the downlink does to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.direction import Direction
from flexrel_sim.scenario.update_section import UpdateSection
from flexrel_sim.simulation.streams import Streams

__all__ = ["ALL_DEVICES", "Deliveries", "Updates", "deliveries"]

ALL_DEVICES: Final = -1
"""Device of a broadcast."""

_ROUNDS_MAX: Final = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Updates:
    """Deliveries of weights.

    Parameters
    ----------
    time_s
        When each update is sent, ascending; an initial delivery at zero comes before them.
    size_bytes
        Payload of each update.
    initial_bytes
        Payload of the initial delivery; None where the weights are there from the start.
    swap_s
        How long a device serves nothing while it puts an update in place.
    broadcast
        Whether one transmission is for all devices.
    rate_per_s
        Mean number of updates per second, for stability checks.
    """

    time_s: tuple[float, ...] = ()
    size_bytes: int = 0
    initial_bytes: int | None = None
    swap_s: float = 0.0
    broadcast: bool = False
    rate_per_s: float = 0.0

    @staticmethod
    def of(section: UpdateSection, head_weight_bytes: int, until_s: float) -> Updates:
        """Resolve a section: updates are sent before a time, of the head's weights by default."""
        times = tuple(time for time in section.times if time < until_s)
        if section.period is not None:
            # Multiples, not a running sum, so that no rounding error builds up.
            ticks = section.period * np.arange(1, int(np.ceil(until_s / section.period)))
            times = tuple(ticks[ticks < until_s].tolist())
        first = section.initial_bytes if section.initial_bytes is not None else head_weight_bytes
        size = section.bytes if section.bytes is not None else head_weight_bytes
        return Updates(
            times,
            int(size),
            int(first) if section.initial else None,
            section.swap,
            section.broadcast,
            len(times) / until_s,
        )


class Deliveries(NamedTuple):
    """Messages with weights in the order in which they are sent, and what became of them.

    Parameters
    ----------
    sent_s
        When each comes to the downlink.
    device
        Whom it is for; `ALL_DEVICES` for everybody.
    wire_bytes
        What it occupies the link with, all transmissions of lost packets included.
    extra_delay_s
        What delays it beyond serialisation and propagation.
    initial
        Whether the device waits for it to serve at all.
    start_s, end_s
        When it was on the downlink; NaN where the run did not come to it.
    down_device, down_start_s, down_end_s
        Every time that a device served nothing because of weights; of another length.
    """

    sent_s: Floats
    device: NDArray[np.int64]
    wire_bytes: NDArray[np.int64]
    extra_delay_s: Floats
    initial: NDArray[np.bool_]
    start_s: Floats = np.empty(0)
    end_s: Floats = np.empty(0)
    down_device: NDArray[np.int64] = np.empty(0, np.int64)
    down_start_s: Floats = np.empty(0)
    down_end_s: Floats = np.empty(0)


def deliveries(updates: Updates, devices: int, downlink: Direction, streams: Streams) -> Deliveries:
    """Draw what the downlink does to every delivery.

    Parameters
    ----------
    updates
        What is sent.
    devices
        How many edge devices there are.
    downlink
        What it is sent over. A delivery that is lost is sent again until it arrives: bytes and
        delays add up.
    streams
        Generators by name; ``updates`` is used.

    Returns
    -------
    Deliveries
        In order of sending; at one time in order of devices.

    Raises
    ------
    ValueError
        If a delivery is lost a thousand times over.
    """
    # Here, not at the top: numba is a third of a second that `--help` need not wait for.
    from flexrel_sim.links.transfers import new_channel, transfers  # noqa: PLC0415

    sizes = [] if updates.initial_bytes is None else [updates.initial_bytes]
    times = [0.0] * len(sizes) + list(updates.time_s)
    sizes += [updates.size_bytes] * len(updates.time_s)
    owners = np.array([ALL_DEVICES]) if updates.broadcast else np.arange(devices)
    size = np.repeat(np.array(sizes, np.int64), owners.size)
    rng, channel = streams["updates"], new_channel()
    wire_bytes, extra_s = np.zeros(size.size, np.int64), np.zeros(size.size)
    left = np.arange(size.size)
    for _ in range(_ROUNDS_MAX):
        sent = transfers(downlink, size[left], rng, channel)
        wire_bytes[left] += sent.wire_bytes
        extra_s[left] += sent.extra_delay_s
        left = left[sent.lost]
        if not left.size:
            break
    else:
        raise ValueError("the downlink loses so much that weights never reach the edge")
    initial = np.zeros(size.size, np.bool_)
    if updates.initial_bytes is not None:
        initial[: owners.size] = True
    device = np.tile(owners, len(sizes)).astype(np.int64)
    return Deliveries(np.repeat(times, owners.size), device, wire_bytes, extra_s, initial)
