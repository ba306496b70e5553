"""More of anything is never worse, wherever that can be proved.

Alone in the system, a request waits for nobody, so each of its stages ends no later when the stage
is faster. With others about, first come, first served tandems of single servers are compositions of
``D_i = max(A_i, D_{i-1}) + S_i``, which grows with every argument; so does the start of service in
a multi-server queue (Kiefer and Wolfowitz's vector; Stoyan, *Comparison Methods for Queues*, 1983,
section 5.2). On a shared medium that is faster, those under way are a subset of those on the slower
one, so each has a larger part of more. Where departures may overtake each other or be dropped,
nothing like it holds for each request, and nothing is claimed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.links import Capacity, Direction, Opportunities, PiecewiseConstant, TokenBucket
from flexrel_sim.simulation import Draws, Pool, System
from tests.builders import make_draws, make_system
from tests.simulation.systems import (
    FACTORS,
    GRID,
    PAYLOADS,
    TICKS,
    cases,
    column,
    directions,
    run,
    transfers,
)

ROUNDING_S = 1e-9


def faster(capacity: Capacity) -> Capacity:
    """Double what a direction carries at any time."""
    if isinstance(capacity, PiecewiseConstant):
        return replace(capacity, rate_bit_per_s=2 * capacity.rate_bit_per_s)
    if isinstance(capacity, Opportunities):
        return Opportunities(capacity.stamp_s, 2 * capacity.bytes_each)
    assert isinstance(capacity, TokenBucket)
    return TokenBucket(
        2 * capacity.rate_bit_per_s, 2 * capacity.burst_bytes, 2 * capacity.peak_bit_per_s
    )


def with_faster_link(system: System) -> System:
    return replace(
        system,
        uplink=replace(system.uplink, capacity=faster(system.uplink.capacity)),
        downlink=replace(system.downlink, capacity=faster(system.downlink.capacity)),
    )


def nearer(direction: Direction) -> Direction:
    return replace(direction, delay_s=direction.delay_s / 2)


BETTER = {
    "a faster link": with_faster_link,
    "a nearer server": lambda system: replace(
        system, uplink=nearer(system.uplink), downlink=nearer(system.downlink)
    ),
    "a faster edge": lambda system: replace(system, edge_s=system.edge_s / 2),
    "a faster server": lambda system: replace(
        system, pool=replace(system.pool, batch_s=tuple(s / 2 for s in system.pool.batch_s))
    ),
    "more workers": lambda system: replace(
        system, pool=replace(system.pool, workers=system.pool.workers + 1)
    ),
    "less waiting for company": lambda system: replace(
        system, pool=replace(system.pool, timeout_s=system.pool.timeout_s / 2)
    ),
    "no calibration": lambda system: replace(
        system, calibration_s=0.0, pool=replace(system.pool, held_s=0.0)
    ),
}

ANY_MEDIUM = ("full-duplex", "shared", "half-duplex")


@st.composite
def lone_requests(draw: st.DrawFn) -> tuple[System, Draws]:
    system, _ = draw(cases(ANY_MEDIUM))
    sample = column(draw, range(PAYLOADS.size), 1)
    draws = make_draws(
        [draw(TICKS)],
        sample=sample,
        edge_factor=column(draw, FACTORS, 1),
        server_factor=column(draw, FACTORS, 1),
    )
    if draw(st.booleans()):
        draws = replace(draws, uplink=draw(transfers(1)), downlink=draw(transfers(1)))
    # Being dropped ends a request sooner than an answer would: by a deadline that the server
    # enforces, or by a full buffer behind a calibration pass.
    pool = replace(system.pool, buffer=-1)
    return replace(system, drop_late=False, edge_buffer=-1, pool=pool), draws


@pytest.mark.parametrize("what", BETTER)
@settings(max_examples=150)
@given(case=lone_requests())
def test_a_request_alone_is_never_slower_with(what: str, case: tuple[System, Draws]) -> None:
    system, draws = case
    before, after = run(system, draws), run(BETTER[what](system), draws)
    assert before.outcome[0] == after.outcome[0] or not np.isnan(after.answered_s[0])
    assert after.ended_s[0] <= before.ended_s[0] + ROUNDING_S


@settings(max_examples=150)
@given(lone_requests())
def test_a_request_alone_is_never_slower_without_losses(case: tuple[System, Draws]) -> None:
    system, draws = case
    lossy, clean = run(system, draws), run(system, replace(draws, uplink=None, downlink=None))
    assert not np.isnan(clean.answered_s[0])
    if draws.uplink is None:
        assert clean.answered_s[0] == lossy.answered_s[0]
    # The drawn transfers are no larger than the payload only where they were drawn so.
    elif draws.uplink.wire_bytes[0] >= clean.uplink_bytes[0] and (
        draws.downlink is not None and draws.downlink.wire_bytes[0] >= clean.downlink_bytes[0]
    ):
        slower = lossy.answered_s[0]
        assert np.isnan(slower) or clean.answered_s[0] <= slower + ROUNDING_S


@st.composite
def tandems(draw: st.DrawFn, *, workers: int = 1) -> tuple[System, Draws]:
    """First come, first served everywhere, and room for all."""
    lines = {
        name: replace(draw(directions(name)), buffer=make_system().uplink.buffer, in_order=True)
        for name in ("uplink", "downlink")
    }
    # A token bucket remembers, and an opportunity is shared: neither grows with each argument.
    for name, line in lines.items():
        if not isinstance(line.capacity, PiecewiseConstant):
            lines[name] = replace(line, capacity=make_system().uplink.capacity)
    devices = draw(st.integers(1, 3))
    system = make_system(
        edge_s=draw(TICKS),
        devices=devices,
        **lines,
        pool=Pool((0.0, draw(TICKS)), workers),
        answer_bytes=draw(st.integers(0, 64)),
    )
    count = draw(st.integers(2, 25))
    draws = make_draws(
        np.cumsum(column(draw, GRID, count)) / 8,
        sample=column(draw, range(PAYLOADS.size), count),
        edge_factor=column(draw, FACTORS, count),
        server_factor=column(draw, FACTORS, count),
        device=np.zeros(count, np.int32),
    )
    return system, draws


SINGLE = ("a faster link", "a nearer server", "a faster edge", "a faster server")


@pytest.mark.parametrize("what", SINGLE)
@settings(max_examples=150)
@given(case=tandems())
def test_no_request_of_a_busy_tandem_is_slower_with(what: str, case: tuple[System, Draws]) -> None:
    system, draws = case
    before, after = run(system, draws), run(BETTER[what](system), draws)
    assert np.all(after.answered_s <= before.answered_s + ROUNDING_S)


@settings(max_examples=150)
@given(tandems(), st.integers(0, 24))
def test_no_request_of_a_busy_tandem_is_slower_if_another_is_smaller(
    case: tuple[System, Draws], which: int
) -> None:
    system, draws = case
    factor = draws.server_factor.copy()
    factor[which % factor.size] = 0.0
    before, after = run(system, draws), run(system, replace(draws, server_factor=factor))
    assert np.all(after.answered_s <= before.answered_s + ROUNDING_S)


@settings(max_examples=150)
@given(tandems(workers=2))
def test_no_request_of_a_busy_server_starts_later_with_more_workers(
    case: tuple[System, Draws],
) -> None:
    system, draws = case
    before, after = run(system, draws), run(BETTER["more workers"](system), draws)
    assert np.all(after.server_start_s <= before.server_start_s + ROUNDING_S)


@settings(max_examples=150)
@given(cases(("shared",)))
def test_no_message_on_a_shared_medium_is_slower_at_a_higher_rate(
    case: tuple[System, Draws],
) -> None:
    system, draws = case
    before, after = run(system, draws), run(with_faster_link(system), draws)
    assert np.array_equal(before.uplink_start_s, after.uplink_start_s, equal_nan=True)
    sent = ~np.isnan(before.uplink_end_s)
    assert np.all(after.uplink_end_s[sent] <= before.uplink_end_s[sent] + ROUNDING_S)
