"""The same link on a real wire: commands of tc and Mahimahi, and traces in Mahimahi's layout."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.capacity import Capacity
from flexrel_sim.links.direction import Direction
from flexrel_sim.links.opportunities import Opportunities
from flexrel_sim.links.piecewise import PiecewiseConstant
from flexrel_sim.links.token_bucket import TokenBucket
from flexrel_sim.links.traces import MAHIMAHI_BYTES

__all__ = ["mahimahi_command", "mahimahi_stamps_ms", "tc_commands"]

# A trace that is shorter would round its rate to few opportunities.
_OPPORTUNITIES_MIN = 1000

# What the kernel counts as a packet holds Ethernet's header, and not its preamble, check and gap.
_COUNTED_FRAME_BYTES = 14


def tc_commands(direction: Direction, interface: str) -> list[str]:
    """Write the queueing disciplines that make an interface behave like a direction.

    Parameters
    ----------
    direction
        The direction.
    interface
        The interface that its packets leave by, at its sending end.

    Returns
    -------
    list of str
        Commands for a root shell; a line that starts with ``#`` says what tc does otherwise.

    References
    ----------
    tc-netem(8), tc-tbf(8). There ``bit`` is bit per second, ``b`` bytes and ``us`` microseconds.
    """
    capacity = direction.capacity
    notes = _tc_notes(direction)
    netem = [*_netem_delay(direction), *_netem_loss(direction), *_netem_limit(direction)]
    if isinstance(capacity, TokenBucket):
        peak = []
        if math.isfinite(capacity.peak_bit_per_s):
            mtu = direction.packets.mtu_bytes + _COUNTED_FRAME_BYTES
            peak = [f"peakrate {capacity.peak_bit_per_s:.0f}bit mtu {mtu}"]
        size = direction.buffer.size_bytes
        queue = f"limit {size:.0f}b" if math.isfinite(size) else "latency 60s"
        shaper = [f"rate {capacity.rate_bit_per_s:.0f}bit burst {capacity.burst_bytes:.0f}b", queue]
        return [
            *notes,
            " ".join([f"tc qdisc replace dev {interface} root handle 1: tbf", *shaper, *peak]),
            " ".join([f"tc qdisc replace dev {interface} parent 1:1 handle 10: netem", *netem]),
        ]
    overhead = direction.packets.frame_bytes - _COUNTED_FRAME_BYTES
    rate = f"rate {capacity.mean_rate_bit_per_s:.0f}bit"
    if direction.packets.frame_bytes:
        rate += f" {overhead}"
    return [*notes, " ".join([f"tc qdisc replace dev {interface} root netem", rate, *netem])]


def _tc_notes(direction: Direction) -> list[str]:
    notes = []
    capacity, jitter = direction.capacity, direction.jitter
    varies = isinstance(capacity, Opportunities) or (
        isinstance(capacity, PiecewiseConstant) and not capacity.is_constant
    )
    if varies:
        notes.append(f"# {direction.name}: netem holds one rate, here the mean; mm-link replays it")
    if jitter is not None and jitter.distribution == "exponential":
        notes.append(f"# {direction.name}: netem has no exponential jitter; pareto is its nearest")
    if jitter is not None and direction.in_order:
        notes.append(f"# {direction.name}: netem's jitter may reorder packets; here order is kept")
    if math.isfinite(direction.buffer.size_bytes) and not isinstance(capacity, TokenBucket):
        notes.append(f"# {direction.name}: netem's limit counts packets, those under way too")
    if math.isfinite(direction.buffer.messages):
        notes.append(f"# {direction.name}: no emulator counts messages; give its buffer a size")
    return notes


def _netem_delay(direction: Direction) -> list[str]:
    jitter = direction.jitter
    if jitter is None:
        return [f"delay {1e6 * direction.delay_s:.0f}us"]
    centre_us = 1e6 * (direction.delay_s + jitter.mean_s)
    spread_us = 1e6 * (jitter.std_s if jitter.distribution == "normal" else jitter.mean_s)
    # netem spreads evenly when it is told no distribution.
    table = {
        "uniform": "",
        "normal": " distribution normal",
        "exponential": " distribution pareto",
    }
    return [f"delay {centre_us:.0f}us {spread_us:.0f}us{table[jitter.distribution]}"]


def _netem_loss(direction: Direction) -> list[str]:
    loss = direction.loss
    if loss is None:
        return []
    if loss.enter_bad == 0:
        return [f"loss random {100 * loss.loss_good:.6g}%"]
    odds = (loss.enter_bad, loss.leave_bad, loss.loss_bad, loss.loss_good)
    return ["loss gemodel " + " ".join(f"{100 * value:.6g}%" for value in odds)]


def _netem_limit(direction: Direction) -> list[str]:
    size = direction.buffer.size_bytes
    if math.isinf(size) or isinstance(direction.capacity, TokenBucket):
        return ["limit 1000000"]
    # netem holds packets for their delay as well, so those in flight need room.
    in_flight = direction.capacity.mean_rate_bit_per_s * direction.delay_s / 8
    return [f"limit {math.ceil((size + in_flight) / direction.packets.mtu_bytes)}"]


def mahimahi_command(
    uplink: Direction, downlink: Direction, traces: tuple[str, str] = ("up.trace", "down.trace")
) -> list[str]:
    """Write the nested shells of Mahimahi that make a link.

    Parameters
    ----------
    uplink, downlink
        The directions.
    traces
        Files with the stamps of `mahimahi_stamps_ms`.

    Returns
    -------
    list of str
        A command; a line that starts with ``#`` says what Mahimahi does otherwise.

    References
    ----------
    mm-delay(1), mm-loss(1), mm-link(1).
    """
    notes, words = [], []
    delay_ms = 1e3 * uplink.delay_s
    if delay_ms:
        words.append(f"mm-delay {max(1, round(delay_ms))}")
    if not delay_ms.is_integer():
        notes.append(f"# mm-delay has whole milliseconds, and the delay is {delay_ms:g} ms")
    queues = []
    for direction in (uplink, downlink):
        if direction.loss is not None:
            words.append(f"mm-loss {direction.name} {direction.loss.mean:.6g}")
            if direction.loss.enter_bad:
                notes.append(f"# {direction.name}: mm-loss has no bursts, here the mean")
        if direction.jitter is not None:
            notes.append(f"# {direction.name}: Mahimahi has no jitter")
        if math.isfinite(direction.buffer.size_bytes):
            size = f"{direction.buffer.size_bytes:.0f}"
            queues.append(f"--{direction.name}-queue=droptail")
            queues.append(f'--{direction.name}-queue-args="bytes={size}"')
    words.append(" ".join(["mm-link", *traces, *queues]))
    return [*notes, " ".join(words)]


def mahimahi_stamps_ms(capacity: Capacity, duration_s: float) -> NDArray[np.int64]:
    """Write a capacity as opportunities of 1504 bytes.

    Parameters
    ----------
    capacity
        What can be carried.
    duration_s
        How much to write of what does not repeat.

    Returns
    -------
    numpy.ndarray
        Whole milliseconds, the last of them the length of the trace, which repeats. Over that
        length they carry what the capacity does, to half an opportunity.
    """
    if isinstance(capacity, Opportunities):
        return np.rint(1e3 * capacity.stamp_s).astype(np.int64)
    length_s = duration_s
    if isinstance(capacity, PiecewiseConstant) and capacity.repeats:
        length_s = capacity.end_s
    elif isinstance(capacity, PiecewiseConstant) and capacity.is_constant:
        length_s = _OPPORTUNITIES_MIN * 8 * MAHIMAHI_BYTES / capacity.mean_rate_bit_per_s
        length_s = max(1.0, math.ceil(length_s))
    total = float(capacity.sent_bytes(length_s))
    count = max(1, round(total / MAHIMAHI_BYTES))
    shares = total * np.arange(1, count + 1) / count
    times_s = _times_of(capacity, shares, length_s)
    stamps = np.ceil(np.round(1e3 * times_s, 6)).astype(np.int64)
    stamps[-1] = max(1, round(1e3 * length_s))
    return np.asarray(np.minimum(stamps, stamps[-1]))


def _times_of(
    capacity: Capacity, sent_bytes: NDArray[np.float64], length_s: float
) -> NDArray[np.float64]:
    if isinstance(capacity, PiecewiseConstant):
        return capacity.time_of(sent_bytes)
    # C(t) of a bucket has two straight lines: a fine grid inverts it to less than a stamp.
    grid_s = np.linspace(0.0, length_s, 1 + math.ceil(1e4 * length_s))
    return np.interp(sent_bytes, capacity.sent_bytes(grid_s), grid_s)
