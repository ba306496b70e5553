"""Two engines, one meaning: on the same draws both give the same trace, request by request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.links import (
    Buffer,
    Direction,
    Opportunities,
    PiecewiseConstant,
    TokenBucket,
    Transfers,
    constant,
)
from flexrel_sim.simulation import Draws, Pool, System, simulate
from flexrel_sim.simulation.draws import Background, Windows
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import make_draws, make_system

# Multiples of 1/64 s are exact in binary, so that ties are frequent and never split by rounding.
TICKS = st.integers(0, 128).map(lambda ticks: ticks / 64)
POSITIVE = st.integers(1, 128).map(lambda ticks: ticks / 64)
PAYLOADS = np.array([0, 64, 128, 320])


@st.composite
def windows(draw: st.DrawFn, count: int) -> Windows:
    """Down windows of devices or workers, ascending and apart."""
    own = [sorted(draw(st.sets(TICKS, max_size=6))) for _ in range(count)]
    own = [edges[: len(edges) // 2 * 2] for edges in own]
    first = np.cumsum([0, *(len(edges) // 2 for edges in own)])
    flat = np.array([edge for edges in own for edge in edges], dtype=float).reshape(-1, 2)
    return Windows(first.astype(np.int64), flat[:, 0].copy(), flat[:, 1].copy())


@st.composite
def capacities(draw: st.DrawFn, *, shared: bool) -> Any:
    kind = draw(st.sampled_from(("constant", "pieces", "repeating", "stamps", "bucket")))
    if kind == "stamps" and not shared:
        stamps = np.cumsum(draw(st.lists(POSITIVE, min_size=1, max_size=5)))
        return Opportunities(stamps, 100.0)
    if kind == "bucket" and not shared:
        return TokenBucket(512.0, 128.0, 4096.0)
    if kind in ("pieces", "repeating"):
        lengths = draw(st.lists(POSITIVE, min_size=1, max_size=4))
        rates = draw(st.lists(st.sampled_from((0.0, 512.0, 1024.0)), min_size=len(lengths),
                              max_size=len(lengths)))  # fmt: skip
        starts = np.cumsum([0.0, *lengths])
        end_s = starts[-1] + 1.0 if kind == "repeating" else np.inf
        return PiecewiseConstant(starts, np.array([*rates, 2048.0]), end_s)
    return constant(draw(st.sampled_from((256.0, 512.0, 4096.0))))


@st.composite
def directions(draw: st.DrawFn, name: str, *, shared: bool) -> Direction:
    buffer = Buffer()
    if not shared and draw(st.booleans()):
        buffer = Buffer(draw(st.sampled_from((np.inf, 200.0, 0.0))), draw(st.integers(0, 3)))
    return Direction(
        name,
        draw(capacities(shared=shared)),
        delay_s=draw(TICKS),
        in_order=draw(st.booleans()),
        buffer=buffer,
    )


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    size = draw(st.integers(1, 4))
    times = sorted(draw(st.lists(TICKS, min_size=size, max_size=size)))
    return Pool(
        (0.0, *times),
        workers=draw(st.integers(1, 3)),
        timeout_s=draw(TICKS),
        buffer=draw(st.sampled_from((-1, 0, 1, 5))),
        requeue=draw(st.booleans()),
        held_s=draw(st.sampled_from((0.0, 1.5))),
    )


@st.composite
def transfers(draw: st.DrawFn, count: int) -> Transfers:
    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return Transfers(
        np.array(column(st.sampled_from((0, 64, 128, 300))), dtype=np.int64),
        np.array(column(st.integers(0, 2)), dtype=np.int64),
        np.array(column(TICKS), dtype=float),
        np.array(column(st.sampled_from((False, False, True))), dtype=bool),
    )


@st.composite
def cases(
    draw: st.DrawFn, media: tuple[str, ...] = ("full-duplex", "full-duplex", "shared")
) -> tuple[System, Draws]:
    devices = draw(st.integers(1, 3))
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
    count = draw(st.integers(1, 25))

    def column(values: st.SearchStrategy[Any]) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=count, max_size=count)))

    draws = make_draws(
        np.cumsum(column(TICKS)) / 4,
        sample=column(st.integers(0, PAYLOADS.size - 1)),
        edge_factor=column(st.sampled_from((0.0, 0.5, 1.0, 2.0))),
        server_factor=column(st.sampled_from((0.0, 0.5, 1.0, 2.0))),
        device=column(st.integers(0, devices - 1)).astype(np.int32),
    )
    if draw(st.booleans()):
        draws = replace(draws, tier=column(st.integers(0, 1)))
    if draw(st.booleans()):
        draws = replace(draws, edge_down=draw(windows(devices)))
    if draw(st.booleans()):
        draws = replace(draws, server_down=draw(windows(system.workers)))
    if draw(st.booleans()):
        draws = replace(draws, uplink=draw(transfers(count)), downlink=draw(transfers(count)))
    if draw(st.booleans()):
        jobs = draw(st.lists(TICKS, max_size=8))
        service = np.array([0.5] * len(jobs))
        tier = draw(st.integers(0, 1))
        draws = replace(draws, background=Background(np.sort(np.array(jobs)), service, tier))
    return system, draws


def traces(system: System, draws: Draws, **options: Any) -> list[dict[str, np.ndarray]]:
    correct = np.ones(PAYLOADS.size, dtype=bool)
    return [
        simulate(system, draws, PAYLOADS, correct, engine, **options).columns()
        for engine in ("simpy", "compiled")
    ]


@settings(max_examples=1500)
@given(cases())
def test_both_engines_give_the_same_trace_of_any_system(case: tuple[System, Draws]) -> None:
    reference, compiled = traces(*case)
    for name in (*STAMPS, "ended_s"):
        np.testing.assert_allclose(compiled[name], reference[name], rtol=0, atol=1e-9, err_msg=name)
    for name in set(reference) - {*STAMPS, "ended_s"}:
        np.testing.assert_array_equal(compiled[name], reference[name], err_msg=name)
