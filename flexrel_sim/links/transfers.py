"""What chance and the transport make of each message, drawn before anything is simulated.

An engine sees bytes that occupy the link, a delay that does not, and whether the message is lost.
Every message has one 64-bit key, drawn in order of creation, and its own random numbers from it.
So a message meets the same chance whatever the sizes of the others, except in a channel with
memory, and where a run is cut into chunks changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links.compiled import compiled
from flexrel_sim.links.direction import Direction, Jitter, Packets, Transfers
from flexrel_sim.links.tcp import retransmission_timeout_s, slow_start_rounds

__all__ = ["new_channel", "transfers", "uniforms"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Keys = NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_S27: Final = np.uint64(27)
_S30: Final = np.uint64(30)
_S31: Final = np.uint64(31)
_S11: Final = np.uint64(11)
_ONE: Final = np.uint64(1)

# Loss counts its draws up from 0, so jitter's is one that it never reaches.
_JITTER_DRAW: Final = 2**62

_NOT_STARTED, _GOOD, _BAD = -1, 0, 1

# RFC 5681: as many duplicate acknowledgements start a fast retransmission.
_DUPLICATES: Final = 3


def new_channel() -> Counts:
    """Give the state of a channel that has seen no packet: it starts stationary."""
    return np.array([_NOT_STARTED])


def transfers(
    direction: Direction,
    payload_bytes: NDArray[np.int64],
    rng: np.random.Generator,
    channel: Counts | None = None,
) -> Transfers:
    """Draw what becomes of messages on their way.

    Parameters
    ----------
    direction
        The direction.
    payload_bytes
        Payload of each message in order of creation, at least 0.
    rng
        Gives one key per message, and nothing where the direction has neither loss nor jitter.
    channel
        State of the loss process, from `new_channel` and then carried from chunk to chunk;
        changed. A new one when absent.

    Returns
    -------
    Transfers
        One entry per message. Transmissions of a message come before those of the next one.
    """
    sizes = np.ascontiguousarray(payload_bytes, dtype=np.int64)
    wire_bytes = direction.packets.wire_bytes(sizes)
    retransmissions = np.zeros(sizes.size, dtype=np.int64)
    extra_s, lost = np.zeros(sizes.size), np.zeros(sizes.size, dtype=np.bool_)
    keys = np.empty(0, dtype=np.uint64)
    if direction.loss is not None or direction.jitter is not None:
        keys = rng.integers(0, 2**64, size=sizes.size, dtype=np.uint64)
    if direction.loss is not None:
        state = new_channel() if channel is None else channel
        wire_bytes = wire_bytes.copy()
        packets = _packet_sizes(direction.packets, sizes)
        loss = direction.loss
        odds = (loss.enter_bad, loss.leave_bad, loss.loss_good, loss.loss_bad, loss.bad_share)
        out = (wire_bytes, retransmissions, extra_s, lost)
        _send(keys, packets, odds, _recovery(direction), state, out)
    if direction.transport == "tcp-cold":
        extra_s += direction.round_trip_s * _slow_start(direction, sizes)
    if direction.jitter is not None:
        extra_s += _jitter_s(direction.jitter, uniforms(keys, _JITTER_DRAW))
    return Transfers(wire_bytes, retransmissions, extra_s, lost)


def uniforms(keys: Keys, draw: int) -> Floats:
    """Give the draw of that number of each key, uniform on (0, 1).

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
    """
    with np.errstate(over="ignore"):
        z = keys + np.uint64(draw + 1) * _GOLDEN
        z = (z ^ (z >> _S30)) * _MIX_1
        z = (z ^ (z >> _S27)) * _MIX_2
    z ^= z >> _S31
    return np.asarray(((z >> _S11) + 0.5) * 2.0**-53)


@compiled
def _uniform(key: np.uint64, draw: int) -> float:
    z = key + (np.uint64(draw) + _ONE) * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    z ^= z >> _S31
    return float((np.float64(z >> _S11) + 0.5) * 2.0**-53)


@compiled
def _send(
    keys: Keys,
    packets: tuple[Counts, Counts, int],
    odds: tuple[float, float, float, float, float],
    recovery: tuple[int, int, float, float],
    channel: Counts,
    out: tuple[Counts, Counts, Floats, NDArray[np.bool_]],
) -> None:
    """Send the packets of each message in rounds, until none is missing or attempts are out."""
    full_counts, last_bytes, full_bytes = packets
    attempts, duplicates, round_trip_s, timeout_s = recovery
    wire_bytes, retransmissions, extra_s, lost = out
    for index in range(keys.size):
        if channel[0] == _NOT_STARTED:
            channel[0] = _BAD if _uniform(keys[index], -1) < odds[4] else _GOOD
        full, last, draw, timeout = full_counts[index], 1, 0, timeout_s
        for attempt in range(attempts):
            sent = full + last
            if attempt > 0:
                retransmissions[index] += sent
                wire_bytes[index] += full * full_bytes + last * last_bytes[index]
            full, last = _round(keys[index], draw, (full, last), odds, channel)
            draw += 2 * sent
            if full + last == 0:
                break
            if attempt + 1 == attempts:
                lost[index] = True
            elif sent - full - last >= duplicates:
                extra_s[index] += round_trip_s
                timeout = timeout_s
            else:
                extra_s[index] += timeout
                timeout *= 2


@compiled
def _round(
    key: np.uint64,
    draw: int,
    sent: tuple[int, int],
    odds: tuple[float, float, float, float, float],
    channel: Counts,
) -> tuple[int, int]:
    """Send full packets and perhaps the last one; give how many of each are lost."""
    enter_bad, leave_bad, loss_good, loss_bad, _ = odds
    full, last, state = 0, 0, channel[0]
    for packet in range(sent[0] + sent[1]):
        change = _uniform(key, draw + 2 * packet)
        if state == _GOOD:
            state = _BAD if change < enter_bad else _GOOD
        else:
            state = _GOOD if change < leave_bad else _BAD
        if _uniform(key, draw + 2 * packet + 1) < (loss_bad if state == _BAD else loss_good):
            if packet < sent[0]:
                full += 1
            else:
                last += 1
    channel[0] = state
    return full, last


def _packet_sizes(packets: Packets, payload_bytes: Counts) -> tuple[Counts, Counts, int]:
    """Give each message's full packets before its last, the last's wire bytes, and a full one's."""
    full = packets.count(payload_bytes) - 1
    last = payload_bytes - full * packets.payload_bytes + packets.overhead_bytes
    return full, last, packets.mtu_bytes + packets.frame_bytes


def _recovery(direction: Direction) -> tuple[int, int, float, float]:
    """Give the attempts, the duplicates that tell of a loss, and what a further round costs."""
    round_trip_s = direction.round_trip_s
    if direction.transport in ("tcp-warm", "tcp-cold"):
        timeout_s = retransmission_timeout_s(round_trip_s)
        return direction.attempts, _DUPLICATES, round_trip_s, timeout_s
    return direction.attempts, 0, round_trip_s, 0.0


def _slow_start(direction: Direction, payload_bytes: Counts) -> Counts:
    packets, rate_bit_per_s = direction.packets, direction.mean_rate_bit_per_s
    if direction.connection is not None:
        # A window as large as losses leave it doubles no more.
        rate_bit_per_s = min(rate_bit_per_s, direction.connection.rate_bit_per_s)
    return slow_start_rounds(
        packets.count(payload_bytes),
        packets.mtu_bytes + packets.frame_bytes,
        rate_bit_per_s,
        direction.round_trip_s,
    )


def _jitter_s(jitter: Jitter, uniform: Floats) -> Floats:
    if jitter.distribution == "uniform":
        return 2 * jitter.mean_s * uniform
    if jitter.distribution == "exponential":
        return np.asarray(-jitter.mean_s * np.log1p(-uniform))
    # scipy takes long to import, and nothing else here needs it.
    from scipy.special import ndtr, ndtri  # noqa: PLC0415

    low = ndtr(-jitter.mean_s / jitter.std_s)
    quantile = low + uniform * (1 - 2 * low)
    delay_s = jitter.mean_s + jitter.std_s * ndtri(quantile)
    return np.asarray(np.clip(delay_s, 0.0, 2 * jitter.mean_s))
