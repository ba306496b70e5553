"""Nothing is lost and nothing made: requests, bytes, time and energy, in any system."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.hardware import list_radios
from flexrel_sim.links import PiecewiseConstant
from flexrel_sim.simulation import OUTCOMES, REASONS, Draws, System, Trace, Window
from flexrel_sim.simulation.energy import EnergyAccount
from flexrel_sim.simulation.figures import Figures
from flexrel_sim.simulation.trace import DROPPED, IN_FLIGHT, STAMPS
from tests.simulation.systems import POSITIVE, TICKS, cases, requests_for, run

ANY_MEDIUM = ("full-duplex", "full-duplex", "shared", "half-duplex")

STOPS = st.one_of(st.just(math.inf), TICKS)

Case = tuple[System, Draws]


@settings(max_examples=1000)
@given(cases(ANY_MEDIUM), STOPS)
def test_every_request_ends_once_or_is_in_flight_and_its_stamps_and_reason_say_how(
    case: Case, until_s: float
) -> None:
    trace = run(*case, until_s=until_s)
    count = case[1].created_s.size
    assert np.array_equal(trace.created_s, case[1].created_s)
    assert np.bincount(trace.outcome, minlength=len(OUTCOMES)).sum() == count
    answered, dropped, flying = (
        trace.outcome < DROPPED,
        trace.outcome == DROPPED,
        trace.outcome == IN_FLIGHT,
    )
    assert np.array_equal(answered, ~np.isnan(trace.answered_s))
    assert np.array_equal(dropped, trace.reason > 0)
    assert np.array_equal(flying, np.isnan(trace.ended_s))
    assert np.array_equal(trace.ended_s[answered], trace.answered_s[answered])
    check_stamps(case[0], trace)
    check_reasons(trace)
    late = trace.sojourn_time_s > case[0].deadline_s
    assert np.array_equal(late, trace.outcome == OUTCOMES.index("late"))
    assert np.all(trace.ended_s[~flying] <= until_s)
    assert np.all(trace.batch[np.isnan(trace.server_start_s)] == 0)
    assert np.all(trace.batch[~np.isnan(trace.server_end_s)] > 0)


def check_stamps(system: System, trace: Trace) -> None:
    stamps = np.array([getattr(trace, name) for name in STAMPS])
    if not system.crosses_link:
        stamps = stamps[[0, 1, 2, -1]]
    for earlier, later in pairwise(stamps):
        assert np.all((earlier <= later) | np.isnan(later))
        # What did not come to a stage comes to none after it.
        assert np.all(~np.isnan(earlier) | np.isnan(later))
    assert np.all((np.nanmax(stamps, axis=0) <= trace.ended_s) | np.isnan(trace.ended_s))


REACHED = {
    "edge full": ("created_s", "edge_start_s"),
    "edge down": ("created_s", "edge_start_s"),
    "edge crash": ("created_s", "edge_end_s"),
    "uplink full": ("edge_end_s", "uplink_start_s"),
    "uplink lost": ("uplink_end_s", "delivered_s"),
    "server full": ("delivered_s", "server_start_s"),
    "server failure": ("server_start_s", "server_end_s"),
    "deadline past": ("delivered_s", "server_start_s"),
    "downlink full": ("server_end_s", "downlink_start_s"),
    "downlink lost": ("downlink_end_s", "answered_s"),
}
"""The last stamp that a request with this reason has, and the first that it lacks."""


def check_reasons(trace: Trace) -> None:
    assert set(REACHED) == set(REASONS[1:])
    for code, reason in enumerate(REASONS[1:], start=1):
        its = trace.reason == code
        has, lacks = REACHED[reason]
        assert not np.isnan(getattr(trace, has)[its]).any(), reason
        assert np.isnan(getattr(trace, lacks)[its]).all(), reason


@settings(max_examples=300)
@given(cases(("full-duplex", "shared")))
def test_a_direction_carries_the_bytes_that_were_started_on_it_and_no_others(case: Case) -> None:
    system, draws = case
    trace = run(system, draws)
    if not system.crosses_link:
        return
    for name in ("uplink", "downlink"):
        start_s, end_s = getattr(trace, f"{name}_start_s"), getattr(trace, f"{name}_end_s")
        sent, wire = ~np.isnan(start_s), getattr(trace, f"{name}_bytes")
        assert np.array_equal(sent, ~np.isnan(end_s))
        capacity = getattr(system, name).capacity
        if not isinstance(capacity, PiecewiseConstant) or not sent.any():
            continue
        if system.medium == "shared":
            busy = merged(start_s[sent], end_s[sent])
        else:
            busy = list(zip(start_s[sent], end_s[sent], strict=True))
            # One at a time.
            assert all(left <= comes for (_, left), (comes, _) in pairwise(sorted(busy)))
        carried = sum(carried_bits(capacity, start, end) for start, end in busy)
        assert math.isclose(carried, 8 * wire[sent].sum(), rel_tol=1e-9, abs_tol=1e-6)


def merged(start_s: np.ndarray, end_s: np.ndarray) -> list[tuple[float, float]]:
    """Join intervals that overlap or touch."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(zip(start_s.tolist(), end_s.tolist(), strict=True)):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def carried_bits(capacity: PiecewiseConstant, start_s: float, end_s: float) -> float:
    """Integrate the rate, piece by piece, without the package's own integral."""
    edges = capacity.start_s.tolist()
    rates, total, at_s, cycle_s = capacity.rate_bit_per_s.tolist(), 0.0, start_s, 0.0
    while at_s < end_s:
        length_s = capacity.end_s - edges[0] if capacity.end_s < math.inf else math.inf
        while at_s >= edges[0] + cycle_s + length_s:
            cycle_s += length_s
        piece = int(np.searchsorted(np.array(edges) + cycle_s, at_s, side="right")) - 1
        after = edges[piece + 1] if piece + 1 < len(edges) else capacity.end_s
        until_s = min(end_s, after + cycle_s)
        total += rates[piece] * (until_s - at_s)
        at_s = until_s
    return total


@settings(max_examples=300)
@given(cases(ANY_MEDIUM))
def test_no_worker_is_busy_twice_at_a_time_and_batches_are_whole(case: Case) -> None:
    system, draws = case
    trace = run(system, draws)
    served = ~np.isnan(trace.server_end_s)
    size = len(system.pool.batch_s) - 1
    assert np.all(trace.batch <= size)
    assert np.all(trace.batch[served] >= 1)
    # The requests of a batch start together: each size divides its count of requests.
    keys = zip(trace.server_start_s[served], trace.batch[served], strict=True)
    starts: dict[tuple[float, int], int] = {}
    for key in keys:
        starts[key] = starts.get(key, 0) + 1
    assert all(count % batch == 0 for (_, batch), count in starts.items())
    if draws.background is None and draws.server_down is None:
        moments_s = trace.server_start_s[served]
        lasts = trace.server_end_s[served] > moments_s
        for moment_s in moments_s:
            here = (moments_s <= moment_s) & (moment_s < trace.server_end_s[served]) & lasts
            workers = (1 / trace.batch[served][here]).sum()
            assert workers <= system.pool.workers + 1e-9


POWERED = {"edge_power_w": 4.0, "edge_idle_power_w": 0.5, "battery_j": 1000.0}


@st.composite
def powered_cases(draw: st.DrawFn) -> Case:
    system, _ = draw(cases(ANY_MEDIUM))
    system = replace(system, **POWERED, radio=list_radios()["lte-2012"])
    return system, draw(requests_for(system))


@settings(max_examples=300)
@given(powered_cases(), POSITIVE)
def test_energy_is_power_times_time_in_every_state_and_parts_add_up(
    case: Case, run_s: float
) -> None:
    system, draws = case
    trace = run(system, draws)
    account = EnergyAccount(system)
    account.add(trace)
    values, count = account.values(run_s), trace.created_s.size
    end_s = max(run_s, trace.created_s[-1], np.nanmax(trace.ended_s, initial=0.0))
    busy_s = computing_s(trace)
    assert 0 <= busy_s <= system.devices * end_s + 1e-9
    compute_j, idle_j = 4.0 * busy_s, 0.5 * (system.devices * end_s - busy_s)
    assert math.isclose(values["edge_compute_energy_j"] * count, compute_j, abs_tol=1e-9)
    assert math.isclose(values["edge_idle_energy_j"] * count, idle_j, abs_tol=1e-9)
    parts = [values[f"edge_{part}_energy_j"] for part in ("compute", "idle", "radio")]
    assert math.isclose(values["edge_energy_j"], sum(parts), rel_tol=1e-12)
    radio = account.radio.finish(end_s)
    states_s = radio.active_s + radio.tail_s + radio.idle_s
    np.testing.assert_allclose(states_s, end_s, rtol=1e-12)
    life_s = values["battery_life_h"] * 3600
    drawn_j = values["edge_energy_j"] * count * life_s / end_s / system.devices
    assert math.isclose(drawn_j, 1000.0, rel_tol=1e-9)


def computing_s(trace: Trace) -> float:
    """Add up how long edge devices computed; a crash ends it."""
    total_s = 0.0
    for start, end, ended in zip(trace.edge_start_s, trace.edge_end_s, trace.ended_s, strict=True):
        if not math.isnan(start):
            total_s += (ended if math.isnan(end) else end) - start
    return total_s


@settings(max_examples=300)
@given(cases(ANY_MEDIUM), st.integers(0, 25), TICKS)
def test_figures_of_a_trace_in_two_parts_are_those_of_the_whole(
    case: Case, cut: int, start_s: float
) -> None:
    system, draws = case
    trace = run(system, draws)
    window = Window(start_s, start_s + 8.0)
    whole, parts = Figures(system, window), Figures(system, window)
    whole.add(trace)
    rows = np.arange(trace.created_s.size)
    for part in (rows[:cut], rows[cut:]):
        parts.add(trace.taken(part))
    assert np.array_equal(whole.dropped, parts.dropped)
    for name in ("counted", "answered", "late", "in_flight", "retransmissions", "bytes"):
        assert getattr(whole, name) == getattr(parts, name), name
    assert whole.counted == whole.answered + whole.dropped[1:].sum() + whole.in_flight
    if system.medium != "shared":
        assert all(
            math.isclose(whole.busy_s[name], parts.busy_s[name], abs_tol=1e-12)
            for name in whole.busy_s
        )
