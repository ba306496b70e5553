"""Weights on the downlink: they compete with answers, and hold the edge up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from flexrel_sim.hardware import list_radios
from flexrel_sim.links import Direction, constant
from flexrel_sim.links.direction import Loss, Packets
from flexrel_sim.scenario.update_section import UpdateSection
from flexrel_sim.simulation import Draws, System, Trace, Unstable, simulate
from flexrel_sim.simulation.check import system_findings
from flexrel_sim.simulation.deliveries import Updates, deliveries
from flexrel_sim.simulation.draws import Windows
from flexrel_sim.simulation.figures import Figures, Window
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import built, make_draws, make_profile, make_scenario, make_system, simulated
from tests.simulation.systems import PAYLOADS, cases


def run(system: System, draws: Draws, **options: Any) -> Trace:
    assert system.updates is not None
    plan = deliveries(system.updates, system.devices, system.downlink, Streams(0, 0))
    return simulate(
        system,
        replace(draws, deliveries=plan),
        PAYLOADS,
        np.ones(PAYLOADS.size, dtype=bool),
        "simpy",
        **options,
    )


def weights_only(**changes: Any) -> System:
    """125 bytes take one second on either direction, and an eighth to propagate."""
    return make_system(updates=Updates(**changes.pop("updates")), **changes)


def test_the_edge_serves_nothing_before_its_weights_came_and_then_all_that_waited() -> None:
    system = weights_only(updates={"initial_bytes": 125})
    trace = run(system, make_draws([0.0, 0.25, 2.0]))
    assert trace.edge_start_s.tolist() == [1.125, 1.625, 2.125]
    assert trace.deliveries is not None
    assert trace.deliveries.end_s.tolist() == [1.0]


def test_an_answer_waits_behind_weights_and_weights_behind_an_answer() -> None:
    # Without weights the answer is on the downlink from 1.0 to 2.0 s.
    system = weights_only(updates={"time_s": (0.5, 1.75), "size_bytes": 125}, answer_bytes=125)
    trace = run(system, make_draws([0.0]))
    assert trace.server_end_s.tolist() == [1.0 - 0.125]
    assert (trace.downlink_start_s.item(), trace.downlink_end_s.item()) == (1.5, 2.5)
    assert trace.deliveries is not None
    assert trace.deliveries.start_s.tolist() == [0.5, 2.5]


def test_requests_wait_while_an_update_is_put_in_place_and_none_is_cut_short() -> None:
    system = weights_only(updates={"time_s": (0.0,), "size_bytes": 125, "swap_s": 2.0})
    # The update comes at 1.125 s, while the first request is served until 1.375 s.
    trace = run(system, make_draws([0.875, 1.0, 3.5]))
    assert trace.edge_start_s.tolist() == [0.875, 3.375, 3.875]
    assert trace.deliveries is not None
    assert trace.deliveries.down_start_s.tolist() == [1.375]
    assert trace.deliveries.down_end_s.tolist() == [3.375]


@pytest.mark.parametrize(
    ("broadcast", "expected"), [(True, [1.125, 1.125, 1.125]), (False, [1.125, 2.125, 3.125])]
)
def test_a_broadcast_reaches_all_devices_at_once_and_single_deliveries_one_by_one(
    broadcast: bool, expected: list[float]
) -> None:
    system = weights_only(
        updates={"initial_bytes": 125, "broadcast": broadcast}, devices=3, crosses_link=False
    )
    device = np.array([0, 1, 2], dtype=np.int32)
    trace = run(system, make_draws([0.0, 0.0, 0.0], device=device))
    assert trace.edge_start_s.tolist() == expected


def test_a_crash_during_a_swap_starts_it_over() -> None:
    system = weights_only(
        updates={"time_s": (0.0,), "size_bytes": 125, "swap_s": 2.0}, crosses_link=False
    )
    down = Windows(np.array([0, 1]), np.array([2.0]), np.array([4.0]))
    trace = run(system, make_draws([1.5, 4.5], edge_down=down))
    assert trace.ended_s.tolist() == [2.0, 6.5]
    assert trace.edge_start_s.tolist()[1] == 6.0


def test_weights_wait_beside_a_finite_buffer_of_answers() -> None:
    downlink = Direction("downlink", constant(1000.0), 0.0, buffer=replace(_buffer(), messages=0))
    system = weights_only(
        updates={"time_s": (0.5, 0.5), "size_bytes": 125}, downlink=downlink, answer_bytes=125
    )
    trace = run(system, make_draws([0.0]))
    assert trace.reason.tolist() != [0]
    assert trace.deliveries is not None
    assert trace.deliveries.end_s.tolist() == [1.5, 2.5]


def _buffer() -> Any:
    return Direction("downlink", constant(1.0)).buffer


def test_figures_count_weights_apart_from_answers_and_payload() -> None:
    updates = {"initial_bytes": 125, "time_s": (4.0,), "size_bytes": 250, "swap_s": 1.0}
    system = weights_only(updates=updates, devices=2, answer_bytes=5)
    trace = run(system, make_draws([5.0], sample=np.array([1])))
    figures = Figures(system, Window(0.0, 20.0))
    figures.add(trace)
    values = figures.values()
    assert values["update_bytes"] == 2 * (125 + 250)
    assert (values["uplink_bytes"], values["downlink_wire_bytes"]) == (64, 5)
    # First weights after 1.125 and 2.125 s, and a second each for the update.
    assert values["update_downtime_s"] == (1.125 + 2.125) / 2 + 1.0
    assert values["downlink_utilisation"] == pytest.approx((2 + 4 + 0.04) / 20)


def test_weights_that_are_never_lost_for_good_take_all_their_bytes() -> None:
    packets = Packets(mtu_bytes=100)
    lossy = Direction("downlink", constant(1e6), packets=packets, loss=Loss(0.5), attempts=1)
    updates = Updates(tuple(np.arange(500.0)), 100)
    plan = deliveries(updates, 1, lossy, Streams(0, 0))
    # Sent until it arrives: geometric, with a mean of two.
    assert (plan.wire_bytes % 100 == 0).all()
    assert plan.wire_bytes.mean() / 100 == pytest.approx(2.0, abs=5 * np.sqrt(2 / 500))
    with pytest.raises(ValueError, match="weights never reach the edge"):
        deliveries(updates, 1, replace(lossy, loss=Loss(1.0)), Streams(0, 0))


@settings(max_examples=200)
@given(cases())
def test_weights_of_no_bytes_that_take_no_time_change_nothing(case: tuple[System, Draws]) -> None:
    system, draws = case
    plain = simulate(system, draws, PAYLOADS, np.ones(PAYLOADS.size, dtype=bool), "simpy")
    # Thirds of a second meet no other event.
    system = replace(system, updates=Updates((1 / 3, 5 / 3, 3.1)))
    trace = run(system, draws)
    for name in (*STAMPS, "outcome", "reason"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(plain, name), err_msg=name)


def test_a_section_is_resolved_with_the_heads_weights_and_multiples_of_the_period() -> None:
    section = UpdateSection(period="0.1 s", swap="20 ms")
    updates = Updates.of(section, 4000, 0.5)
    assert (updates.initial_bytes, updates.size_bytes, updates.swap_s) == (4000, 4000, 0.02)
    assert updates.time_s == tuple(0.1 * k for k in range(1, 5))
    assert updates.rate_per_s == 8
    given_times = UpdateSection(times=["1 s", "9 s"], bytes="1 kB", initial=False)
    updates = Updates.of(given_times, 4000, 5.0)
    assert (updates.time_s, updates.initial_bytes, updates.size_bytes) == ((1.0,), None, 1000)


UPDATES = {"period": "10 s", "bytes": "250 B", "swap": "1 s"}


def test_a_scenario_with_updates_reports_them_and_is_not_compiled() -> None:
    summary, _ = simulated(make_scenario(updates=UPDATES), make_profile())
    assert summary.engine == "simpy"
    # The head's 4,000 bytes first, then five updates.
    assert summary.metrics["update_bytes"].value == 4000 + 5 * 250
    assert summary.metrics["update_downtime_s"].value > 3.25 + 5 * 0.999
    compiled = make_scenario(updates=UPDATES, simulation={"engine": "compiled"})
    with pytest.raises(ValueError, match="weights compete with answers"):
        simulated(compiled, make_profile())


@pytest.mark.parametrize("medium", ["full-duplex", "half-duplex", "shared"])
def test_weights_are_received_by_the_radio_and_keep_the_downlink_busy(medium: str) -> None:
    system = make_system(
        updates=Updates((4.0,), 125, broadcast=True),
        radio=list_radios()["wifi-2012"],
        edge_idle_power_w=1.0,
        devices=2,
        crosses_link=False,
        medium=medium,
    )
    trace = run(system, make_draws([5.0]))
    figures = Figures(system, Window(0.0, 20.0))
    figures.add(trace)
    values = figures.values()
    assert values["downlink_utilisation"] == pytest.approx(1 / 20)
    silent = Figures(replace(system, updates=None), Window(0.0, 20.0))
    silent.add(replace(trace, deliveries=None))
    assert values["edge_radio_energy_j"] > silent.values()["edge_radio_energy_j"]


def test_a_run_that_is_stopped_counts_no_weights_after_its_end() -> None:
    system = weights_only(updates={"initial_bytes": 125, "time_s": (4.0,), "size_bytes": 250})
    trace = run(system, make_draws([0.0]), until_s=3.0)
    figures = Figures(system, Window(0.0, 3.0))
    figures.add(trace)
    assert figures.values()["update_bytes"] == 125


def test_a_system_that_updates_load_too_much_is_overloaded() -> None:
    slow = make_scenario(updates={"period": "1 s", "bytes": "2 kB"})
    outcome = simulated(slow, make_profile())
    assert isinstance(outcome, Unstable)
    assert outcome.stage.name == "downlink"
    assert outcome.stable_below_per_s == 0
    swaps = make_scenario(updates={"period": "1 s", "bytes": "1 B", "swap": "2 s"})
    outcome = simulated(swaps, make_profile())
    assert isinstance(outcome, Unstable)
    assert outcome.stage.name == "edge"
    stays = make_profile(crosses_link=False, payload_bytes=np.zeros(4, dtype=np.int64))
    outcome = simulated(slow, stays)
    assert isinstance(outcome, Unstable)
    assert outcome.stage.name == "downlink"
    fleet = make_scenario(updates=UPDATES, edge={"count": 3}, workload={"rate": "0.5 /s"})
    each, heard = (
        built(scenario, make_profile()).stages(125)[3].other_load
        for scenario in (
            fleet,
            fleet.model_copy(update={"updates": UpdateSection(**UPDATES, broadcast=True)}),
        )
    )
    assert each == pytest.approx(3 * heard)


@pytest.mark.parametrize(
    ("section", "path", "told"),
    [
        ({"period": "1 s", "times": ["2 s"]}, "updates.times", "takes the place of period"),
        ({"times": ["2 s", "1 s"]}, "updates.times", "must ascend"),
        ({"times": ["1 s", "1 h"]}, "updates.times", "must be below workload.duration"),
        ({"period": "1 h"}, "updates.period", "must be below workload.duration"),
        ({"swap": "1 s"}, "updates.swap", "no effect without updates"),
        ({"bytes": "1 kB"}, "updates.bytes", "no effect without updates"),
        ({"initial": False}, "updates", "sends nothing"),
        (
            {"initial": False, "initial_bytes": "1 kB", "period": "1 s"},
            "updates.initial_bytes",
            "no effect with initial: false",
        ),
        ({"period": "1 us"}, "updates.period", "at most 1,000,000 messages"),
    ],
)
def test_updates_that_contradict_themselves_are_refused(
    section: dict[str, Any], path: str, told: str
) -> None:
    findings = list(system_findings(make_scenario(updates=section)))
    assert [found for found, rule, _, _ in findings if told in rule] == [path]
