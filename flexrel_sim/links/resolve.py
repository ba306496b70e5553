"""A scenario's link to the two directions that engines use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import numpy as np

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.links.capacity import Capacity
from flexrel_sim.links.direction import Buffer, Connection, Direction, Jitter, Loss, Packets
from flexrel_sim.links.generate import generated, markov
from flexrel_sim.links.outages import with_random_outages, with_windows
from flexrel_sim.links.piecewise import PiecewiseConstant, constant
from flexrel_sim.links.tcp import loss_ceiling_packets_per_s, mean_window_packets
from flexrel_sim.links.token_bucket import TokenBucket
from flexrel_sim.links.traces import read_trace
from flexrel_sim.scenario.link_options import (
    BufferSection,
    JitterSection,
    LossSection,
    OutageSection,
)
from flexrel_sim.scenario.link_sections import DirectionSection, LinkSection, parse_column

__all__ = ["ResolvedLink", "is_random", "resolve", "trace_warnings"]

_NAMES: Final = ("uplink", "downlink")

# Headers of IP and transport, and Ethernet's preamble, header, check and gap: RFC 791, RFC 768,
# RFC 9293 with the timestamps of RFC 7323, IEEE 802.3.
_HEADER_BYTES: Final = {"ideal": 0, "udp": 28, "udp-arq": 28, "tcp-warm": 52, "tcp-cold": 52}

_FRAME_BYTES: Final = 38


class ResolvedLink(NamedTuple):
    """Both directions, and what a user should know of them.

    Parameters
    ----------
    uplink, downlink
        The directions.
    warnings
        Each at its key's dotted path, placed at the trace's file.
    """

    uplink: Direction
    downlink: Direction
    warnings: list[Fault]


def resolve(
    link: LinkSection, folder: Path, rng: np.random.Generator | None = None
) -> ResolvedLink:
    """Read the traces, draw the chains, and put a link together.

    Parameters
    ----------
    link
        The scenario's section.
    folder
        Where relative paths of traces start.
    rng
        What is drawn from where a section gives no seed; one of seed 0 when absent. It is spawned
        from, and nothing else is taken from it.

    Returns
    -------
    ResolvedLink
        Its directions and warnings.

    Raises
    ------
    ScenarioError
        With the faults of both directions' traces and realisations.
    """
    streams = (np.random.default_rng(0) if rng is None else rng).spawn(2)
    directions: list[Direction] = []
    faults: list[Fault] = []
    for name, stream in zip(_NAMES, streams, strict=True):
        setting = getattr(link, name)
        try:
            directions.append(_direction(name, setting, link.delay, folder, stream))
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)
    return ResolvedLink(directions[0], directions[1], trace_warnings(link))


def trace_warnings(link: LinkSection) -> list[Fault]:
    """Warn of traces whose bytes went the other way, as far as name, column or layout tell.

    Parameters
    ----------
    link
        The scenario's section; no file is read.

    Returns
    -------
    list of Fault
        Each at its key's dotted path, placed at the trace's file.
    """
    return [
        warning
        for name in _NAMES
        if isinstance(section := getattr(link, name), DirectionSection) and section.trace
        for warning in _trace_warnings(name, section)
    ]


def is_random(link: LinkSection) -> bool:
    """Tell whether resolving a link again with another generator gives another one.

    Parameters
    ----------
    link
        The scenario's section.

    Returns
    -------
    bool
        Whether a capacity or an outage is drawn without a seed of its own.
    """
    return any(
        (section.seed is None and (section.markov or section.generate))
        or (section.outage and section.outage.windows is None and section.outage.seed is None)
        for section in (link.uplink, link.downlink)
        if isinstance(section, DirectionSection)
    )


def _direction(
    name: str,
    setting: float | DirectionSection,
    delay_s: float,
    folder: Path,
    rng: np.random.Generator,
) -> Direction:
    if isinstance(setting, float):
        return Direction(name, constant(setting), delay_s, 2 * delay_s)
    own, outage = rng.spawn(2)
    try:
        capacity = _capacity(name, setting, folder, _seeded(own, setting.seed))
        if setting.outage is not None and isinstance(capacity, PiecewiseConstant):
            capacity = _with_outage(capacity, setting.outage, outage)
    except ValueError as error:
        remedy = "change its times, or its seed"
        raise ScenarioError([Fault(f"link.{name}", str(error), remedy=remedy)]) from None
    packets, loss = _packets(setting), _loss(setting.loss)
    return Direction(
        name,
        capacity,
        delay_s,
        2 * delay_s,
        transport=setting.transport,
        packets=packets,
        attempts=1 if setting.transport in ("ideal", "udp") else setting.attempts,
        loss=loss,
        jitter=_jitter(setting.jitter),
        in_order=_in_order(setting),
        buffer=_buffer(setting.buffer),
        connection=_connection(setting, packets, loss, 2 * delay_s),
    )


def _seeded(rng: np.random.Generator, seed: int | None) -> np.random.Generator:
    return rng if seed is None else np.random.default_rng(seed)


def _capacity(
    name: str, section: DirectionSection, folder: Path, rng: np.random.Generator
) -> Capacity:
    if section.trace is not None:
        file = folder / section.trace
        columns = {str(column): text for column, text in (section.columns or {}).items()}
        return read_trace(file, str(section.format), columns, name)
    if section.schedule is not None:
        times_s, rates = np.array(section.schedule, dtype=np.float64).T
        end_s = np.inf if section.repeat is None else section.repeat
        return PiecewiseConstant(times_s.copy(), rates.copy(), end_s)
    if section.markov is not None:
        chain = section.markov
        return markov(chain.rates, chain.dwell, chain.transitions, section.duration, rng)
    if section.generate is not None:
        return generated(section.generate, section.mean, section.duration, rng)
    if section.token_bucket is not None:
        bucket = section.token_bucket
        peak = np.inf if bucket.peak is None else bucket.peak
        return TokenBucket(bucket.rate, bucket.burst, peak)
    return constant(cast(float, section.rate))


def _with_outage(
    capacity: PiecewiseConstant, outage: OutageSection, rng: np.random.Generator
) -> PiecewiseConstant:
    if outage.mean_up is None or outage.mean_down is None:
        return with_windows(capacity, np.array(outage.windows, dtype=np.float64).reshape(-1, 2))
    means_s = (outage.mean_up, outage.mean_down)
    return with_random_outages(capacity, means_s, outage.duration, _seeded(rng, outage.seed))


def _packets(section: DirectionSection) -> Packets:
    header = _HEADER_BYTES[section.transport] if section.header is None else section.header
    frame = 0 if section.transport == "ideal" else _FRAME_BYTES
    return Packets(
        int(section.mtu), int(header), frame if section.frame is None else int(section.frame)
    )


def _loss(section: LossSection | None) -> Loss | None:
    if section is None:
        return None
    bursts = section.gilbert_elliott
    if bursts is None:
        return Loss(section.bernoulli or 0.0) if section.bernoulli else None
    return Loss(bursts.loss_good, bursts.loss_bad, bursts.enter_bad, bursts.leave_bad)


def _jitter(section: JitterSection | None) -> Jitter | None:
    if section is None or section.mean == 0:
        return None
    std_s = section.mean / 2 if section.std is None else section.std
    return Jitter(section.distribution, section.mean, std_s)


def _in_order(section: DirectionSection) -> bool:
    """Say who keeps order: jitter where it is told, else only TCP and a plain link."""
    if section.jitter is not None:
        return section.jitter.in_order or section.transport.startswith("tcp")
    return not section.transport.startswith("udp")


def _buffer(section: BufferSection) -> Buffer:
    size = np.inf if section.size is None else section.size
    return Buffer(size, np.inf if section.messages is None else float(section.messages))


def _connection(
    section: DirectionSection, packets: Packets, loss: Loss | None, round_trip_s: float
) -> Connection | None:
    """Give what one TCP connection reaches under losses; None where only the wire bounds it."""
    if loss is None or not section.transport.startswith("tcp"):
        return None
    per_s = loss_ceiling_packets_per_s(loss.mean, round_trip_s)
    packet_bytes = packets.mtu_bytes + packets.frame_bytes
    if np.isinf(per_s):
        return None
    return Connection(8 * packet_bytes * per_s, packet_bytes * mean_window_packets(loss.mean))


# Words of a file's or a column's name that say which way its bytes went.
_WAYS: Final = {
    "uplink": {"up", "ul", "uplink", "upload", "upstream", "tx"},
    "downlink": {"down", "dl", "downlink", "download", "downstream", "rx"},
}


def _trace_warnings(name: str, section: DirectionSection) -> list[Fault]:
    file = Path(str(section.trace))
    column = "" if section.columns is None else parse_column("rate", section.columns["rate"])[0]
    other = _NAMES[1 - _NAMES.index(name)]
    told = _ways((column, file.name))
    if section.format == "irish" or told == name:
        # An Irish trace has both, and the right column is taken.
        return []
    if told == other:
        rule = f"is used as {name}, and its name says {other}"
    elif name == "uplink" and section.format in ("norway", "pensieve"):
        rule = f"is used as uplink, and {section.format} traces are downlinks"
    else:
        return []
    remedy = f"the two differ in rate and rhythm: use a trace of the {name}, or mind the result"
    return [Fault(f"link.{name}.trace", rule, section.trace, remedy, str(file))]


def _ways(names: Sequence[str]) -> str | None:
    for name in names:
        words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
        found = [way for way, known in _WAYS.items() if words & known]
        if len(found) == 1:
            return found[0]
    return None
