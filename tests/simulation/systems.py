"""Random systems and draws, small enough to be checked by hand.

All times are multiples of 1/64 s, which are exact in binary: ties are frequent, and never split by
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from flexrel_sim.links import (
    Buffer,
    Capacity,
    Direction,
    Opportunities,
    PiecewiseConstant,
    TokenBucket,
    Transfers,
    constant,
)
from flexrel_sim.links.direction import Connection
from flexrel_sim.simulation import Draws, Pool, System, Trace, simulate
from flexrel_sim.simulation.draws import Background, Windows
from tests.builders import make_draws, make_system

GRID = np.arange(129) / 64
TICKS = st.integers(0, 128).map(lambda ticks: ticks / 64)
POSITIVE = st.integers(1, 128).map(lambda ticks: ticks / 64)
PAYLOADS = np.array([0, 64, 128, 320])
FACTORS = (1.0, 0.0, 0.5, 2.0)
CONNECTIONS = (Connection(128.0, 0.0), Connection(256.0, 128.0), Connection(2048.0, 64.0))


def column(draw: st.DrawFn, values: Sequence[Any], count: int) -> np.ndarray:
    """Draw one of at most 256 values for each request: one byte each, which is quick."""
    drawn = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
    return np.array(values)[drawn % len(values)]


@st.composite
def windows(draw: st.DrawFn, count: int) -> Windows:
    """Down windows of devices or workers, ascending and apart."""
    own = [np.unique(column(draw, GRID, draw(st.sampled_from((0, 2, 6))))) for _ in range(count)]
    own = [edges[: edges.size // 2 * 2] for edges in own]
    first = np.cumsum([0, *(edges.size // 2 for edges in own)])
    flat = np.concatenate(own).reshape(-1, 2)
    return Windows(first.astype(np.int64), flat[:, 0].copy(), flat[:, 1].copy())


@st.composite
def capacities(draw: st.DrawFn, *, shared: bool = False) -> Capacity:
    """Every kind; a shared medium has rates over time only."""
    kind = draw(st.sampled_from(("constant", "pieces", "repeating", "stamps", "bucket")))
    if kind == "stamps" and not shared:
        return Opportunities(np.cumsum(column(draw, GRID[1:], draw(st.integers(1, 5)))), 100.0)
    if kind == "bucket" and not shared:
        return TokenBucket(512.0, 128.0, 4096.0)
    if kind in ("pieces", "repeating"):
        pieces = draw(st.integers(1, 4))
        starts = np.cumsum([0.0, *column(draw, GRID[1:], pieces)])
        rates = column(draw, (1024.0, 512.0, 0.0), pieces)
        end_s = starts[-1] + 1.0 if kind == "repeating" else np.inf
        return PiecewiseConstant(starts, np.array([*rates, 2048.0]), end_s)
    return constant(draw(st.sampled_from((256.0, 512.0, 4096.0))))


@st.composite
def directions(draw: st.DrawFn, name: str, *, shared: bool = False) -> Direction:
    """A direction with its delay, and perhaps a buffer and the ceiling of TCP."""
    buffer = Buffer()
    if not shared and draw(st.booleans()):
        buffer = Buffer(draw(st.sampled_from((np.inf, 200.0, 0.0))), draw(st.integers(0, 3)))
    return Direction(
        name,
        draw(capacities(shared=shared)),
        delay_s=draw(TICKS),
        in_order=draw(st.booleans()),
        buffer=buffer,
        connection=draw(st.sampled_from((None, *CONNECTIONS))),
    )


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Workers, batches whose time grows with their size, waiting room, calibration."""
    if draw(st.booleans()):
        # One by one and without limits, there is a kernel of its own.
        return Pool((0.0, draw(TICKS)), workers=draw(st.integers(1, 3)))
    size = draw(st.integers(1, 4))
    times = np.sort(column(draw, GRID, size))
    return Pool(
        (0.0, *times.tolist()),
        workers=draw(st.integers(1, 3)),
        timeout_s=draw(TICKS),
        buffer=draw(st.sampled_from((-1, 0, 1, 5))),
        requeue=draw(st.booleans()),
        held_s=draw(st.sampled_from((0.0, 1.5))),
    )


@st.composite
def transfers(draw: st.DrawFn, count: int) -> Transfers:
    """What a lossy transport makes of messages."""
    return Transfers(
        column(draw, (0, 64, 128, 300), count).astype(np.int64),
        column(draw, (0, 1, 2), count).astype(np.int64),
        column(draw, GRID, count),
        column(draw, (False, False, True), count),
    )


@st.composite
def cases(
    draw: st.DrawFn, media: Sequence[str] = ("full-duplex", "full-duplex", "shared")
) -> tuple[System, Draws]:
    """Any system that has no feedback, and up to 25 requests with all that chance can do."""
    devices = draw(st.sampled_from((1, 2, 3, 12)))
    medium = draw(st.sampled_from(media))
    shared = medium == "shared"
    system = make_system(
        edge_s=draw(TICKS),
        devices=devices,
        edge_buffer=draw(st.sampled_from((-1, -1, 0, 1, 3))),
        uplink=draw(directions("uplink", shared=shared)),
        downlink=draw(directions("downlink", shared=shared)),
        medium=medium,
        pool=draw(pools()),
        answer_bytes=draw(st.integers(0, 64)),
        deadline_s=draw(st.sampled_from((np.inf, 4.0))),
        drop_late=draw(st.booleans()),
        calibration_s=draw(st.sampled_from((0.0, 1.0))),
        calibration_where="edge",
        crosses_link=draw(st.sampled_from((True, True, True, False))),
    )
    return system, draw(requests_for(system))


@st.composite
def requests_for(draw: st.DrawFn, system: System) -> Draws:
    """Draw requests, failures, losses and other tenants."""
    count = draw(st.integers(1, 25))
    draws = make_draws(
        np.cumsum(column(draw, GRID, count)) / 4,
        sample=column(draw, range(PAYLOADS.size), count),
        edge_factor=column(draw, FACTORS, count),
        server_factor=column(draw, FACTORS, count),
        device=column(draw, range(system.devices), count).astype(np.int32),
    )
    if draw(st.booleans()):
        draws = replace(draws, tier=column(draw, (0, 1), count))
    if draw(st.booleans()):
        draws = replace(draws, edge_down=draw(windows(system.devices)))
    if draw(st.booleans()):
        draws = replace(draws, server_down=draw(windows(system.workers)))
    if draw(st.booleans()):
        draws = replace(draws, uplink=draw(transfers(count)), downlink=draw(transfers(count)))
    if draw(st.booleans()):
        jobs = draw(st.integers(0, 8))
        came_s = np.sort(column(draw, GRID, jobs)).astype(float)
        other = Background(came_s, np.full(jobs, 0.5), draw(st.integers(0, 1)))
        draws = replace(draws, background=other)
    return draws


def run(system: System, draws: Draws, engine: str = "auto", **options: Any) -> Trace:
    """Simulate requests that carry `PAYLOADS`."""
    return simulate(system, draws, PAYLOADS, np.ones(PAYLOADS.size, bool), engine, **options)
