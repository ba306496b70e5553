"""What is created is answered, late, dropped for a reason or in flight, with everything on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.links import Direction, Opportunities, constant
from flexrel_sim.simulation import Draws, System, Trace, simulate
from flexrel_sim.simulation.deliveries import Updates, deliveries
from flexrel_sim.simulation.figures import Figures, Window
from flexrel_sim.simulation.loop import Loop
from flexrel_sim.simulation.options import Choices
from flexrel_sim.simulation.policies import Control, OptionCost
from flexrel_sim.simulation.requests import requests
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.trace import DROPPED, IN_FLIGHT, REASONS, STAMPS
from tests.builders import make_draws, make_system, make_trace
from tests.simulation.systems import PAYLOADS, POSITIVE, TICKS, cases

RIGHT = np.ones(PAYLOADS.size, dtype=bool)
MEDIA = ("full-duplex", "half-duplex", "shared")


@st.composite
def updates(draw: st.DrawFn) -> Updates:
    return Updates(
        time_s=tuple(sorted(draw(st.sets(TICKS, max_size=3)))),
        size_bytes=draw(st.sampled_from((0, 64, 300))),
        initial_bytes=draw(st.sampled_from((None, 0, 128))),
        swap_s=draw(TICKS),
        broadcast=draw(st.booleans()),
    )


@st.composite
def loops(draw: st.DrawFn, draws: Draws) -> Loop:
    count = draws.created_s.size
    follows = [draw(st.sampled_from((-1, place - 1))) for place in range(count)]
    think_s = np.array(draw(st.lists(POSITIVE, min_size=count, max_size=count)))
    return Loop(think_s, np.array(follows), draw(st.sampled_from((1.0, 4.0, 1e6))))


@st.composite
def choices(draw: st.DrawFn, system: System, draws: Draws) -> Choices:
    """The system, a faster head that sends twice as much, and all on the edge."""
    systems = (
        system,
        replace(system, edge_s=system.edge_s / 2),
        replace(system, edge_s=system.edge_s + 1.0, crosses_link=False),
    )
    sent = replace(draws, uplink=None)
    rows = (
        requests(system, draws, PAYLOADS, RIGHT),
        requests(systems[1], sent, 2 * PAYLOADS, RIGHT),
        requests(systems[2], sent, PAYLOADS, RIGHT),
    )
    policies = ("static", "threshold", "ema", "change-point", "edgent", "oracle")
    control = Control(
        policy=draw(st.sampled_from(policies)),
        costs=tuple(
            OptionCost(own.edge_s, size, 0.5, own.crosses_link, accuracy)
            for own, size, accuracy in zip(
                systems, (128.0, 256.0, 0.0), (0.9, 0.8, 0.7), strict=True
            )
        ),
        start=draw(st.integers(0, 2)),
        every_s=draw(st.sampled_from((0.0, 1.0))),
        switch_s=draw(st.sampled_from((0.0, 0.25))),
        patience_s=draw(st.sampled_from((None, 0.5))),
        thresholds_bit_per_s=(300.0, 600.0),
        deadline_s=system.deadline_s,
    )
    return Choices(control, systems, rows)


@st.composite
def everything(draw: st.DrawFn) -> tuple[System, Draws, dict[str, Any]]:
    system, draws = draw(cases(MEDIA))
    if draw(st.booleans()):
        system = replace(system, updates=draw(updates()))
        assert system.updates is not None
        plan = deliveries(system.updates, system.devices, system.downlink, Streams(0, 0))
        draws = replace(draws, deliveries=plan)
    if draw(st.booleans()):
        draws = replace(draws, loop=draw(loops(draws)))
    options: dict[str, Any] = {"until_s": draw(st.sampled_from((np.inf, 1.0, 3.0)))}
    if system.crosses_link and draw(st.booleans()):
        options["choices"] = draw(choices(system, draws))
    return system, draws, options


def check_life(trace: Trace, system: System) -> None:
    """Every stamp follows the one before, and how a life ends agrees with its stamps."""
    columns = trace.columns()
    stamps = np.array([columns[name] for name in STAMPS])
    for place in range(trace.created_s.size):
        known = stamps[:, place][~np.isnan(stamps[:, place])]
        assert all(earlier <= later for earlier, later in pairwise(known.tolist()))
        assert not trace.ended_s[place] < known[-1]
    answered = ~np.isnan(trace.answered_s)
    assert np.array_equal(answered, trace.outcome < DROPPED)
    assert np.array_equal(trace.reason > 0, trace.outcome == DROPPED)
    assert np.array_equal(np.isnan(trace.ended_s), trace.outcome == IN_FLIGHT)
    late = trace.sojourn_time_s > system.deadline_s
    assert np.array_equal(trace.outcome == 1, answered & late)


@settings(max_examples=1200)
@given(everything())
def test_the_sum_always_balances(case: tuple[System, Draws, dict[str, Any]]) -> None:
    system, draws, options = case
    trace = simulate(system, draws, PAYLOADS, RIGHT, "simpy", **options)
    created = trace.created_s.size
    outcomes = np.bincount(trace.outcome, minlength=4)
    by_reason = np.bincount(trace.reason, minlength=len(REASONS))
    assert outcomes.sum() == created
    assert by_reason[1:].sum() == outcomes[DROPPED]
    if draws.loop is None:
        assert created == draws.created_s.size
    else:
        assert created <= draws.created_s.size
    if options["until_s"] == np.inf:
        # Nothing is left behind where no failure takes the last worker or the weights for ever.
        assert outcomes[IN_FLIGHT] == 0
    check_life(trace, system)
    figures = Figures(system, Window(0.0, 10.0))
    figures.add(trace)
    ends = (figures.answered, int(figures.dropped[1:].sum()), figures.in_flight)
    assert sum(ends) == figures.counted == created
    assert figures.late == outcomes[1]
    for stage, busy_s in figures.busy_s.items():
        count = {"edge": system.devices, "server": system.workers}.get(stage, 1)
        assert busy_s <= count * 10.0 + 1e-9


def half_duplex(**changes: Any) -> System:
    """A second up for 125 bytes, two seconds down for the answer."""
    return make_system(
        medium="half-duplex",
        edge_s=0.0,
        server_s=0.0,
        delay_s=0.0,
        answer_bytes=250,
        **changes,
    )


def test_on_a_half_duplex_link_answers_and_uploads_take_turns_by_arrival() -> None:
    # By hand: 0 is up until 1; 1 and 2 came before its answer, and go first.
    trace = make_trace(half_duplex(), make_draws([0.0, 0.25, 0.5]))
    assert trace.uplink_start_s.tolist() == [0.0, 1.0, 2.0]
    assert trace.uplink_end_s.tolist() == [1.0, 2.0, 3.0]
    # The answers of 0, 1 and 2 came at 1, 2 and 3 s.
    assert trace.downlink_start_s.tolist() == [3.0, 5.0, 7.0]
    assert trace.answered_s.tolist() == [5.0, 7.0, 9.0]


def test_on_a_half_duplex_link_an_answer_that_came_first_is_not_overtaken_by_an_upload() -> None:
    trace = make_trace(half_duplex(), make_draws([0.0, 0.5, 1.5]))
    # At 1 s the second upload starts; the first answer waits since 1 s, the third upload since 1.5.
    assert trace.downlink_start_s.tolist()[0] == 2.0
    assert trace.uplink_start_s.tolist() == [0.0, 1.0, 4.0]


def test_on_a_half_duplex_link_no_direction_uses_an_opportunity_that_is_gone() -> None:
    # An opportunity of 100 bytes every second; the answer takes from 1 to 3.5 s.
    system = replace(
        half_duplex(), uplink=Direction("uplink", Opportunities(np.array([1.0]), 100.0))
    )
    system = replace(system, downlink=Direction("downlink", constant(800.0)))
    trace = make_trace(system, make_draws([0.0, 1.5]), [50])
    assert trace.uplink_end_s.tolist() == [1.0, 4.0]
    assert trace.uplink_start_s.tolist() == [0.0, 3.5]


def test_one_message_at_a_time_and_first_come_first_served_in_both_directions() -> None:
    rng = np.random.default_rng(3)
    system = half_duplex(devices=4)
    system = replace(
        system,
        uplink=Direction("uplink", constant(4000.0)),
        downlink=Direction("downlink", constant(9000.0)),
    )
    draws = make_draws(
        np.cumsum(rng.exponential(0.5, size=400)),
        device=rng.integers(4, size=400).astype(np.int32),
    )
    trace = make_trace(system, draws)
    came_s = np.concatenate([trace.edge_end_s, trace.server_end_s])
    start_s = np.concatenate([trace.uplink_start_s, trace.downlink_start_s])
    end_s = np.concatenate([trace.uplink_end_s, trace.downlink_end_s])
    order = np.argsort(came_s, kind="stable")
    assert (np.diff(start_s[order]) >= 0).all()
    # Lindley over both directions together: the one queue that there is.
    free_s = 0.0
    for place in order.tolist():
        assert start_s[place] == pytest.approx(max(free_s, came_s[place]), abs=1e-9)
        free_s = end_s[place]


def test_neither_direction_starves_when_both_are_always_asked_for() -> None:
    trace = make_trace(half_duplex(), make_draws(np.arange(200.0) * 3))
    # Exactly at capacity: every upload is followed by its answer, for ever.
    assert (trace.sojourn_time_s == 3.0).all()
    crowded = make_trace(half_duplex(), make_draws(np.zeros(50)))
    starts = [("up", s) for s in crowded.uplink_start_s] + [
        ("down", s) for s in crowded.downlink_start_s
    ]
    turns = [name for name, _ in sorted(starts, key=lambda turn: turn[1])]
    # All uploads were there first; then all answers.
    assert turns == ["up"] * 50 + ["down"] * 50
