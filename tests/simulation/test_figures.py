from __future__ import annotations

import numpy as np

from flexrel_sim.links import Transfers
from flexrel_sim.simulation import Pool, System, Trace, Window, simulate
from flexrel_sim.simulation.figures import Figures
from flexrel_sim.simulation.trace import REASONS
from tests.builders import make_draws, make_system, make_trace


def figures_of(trace: Trace, system: System, window: Window) -> Figures:
    figures = Figures(system, window)
    figures.add(trace)
    return figures


def instant(**changes: object) -> System:
    """A system that takes no time but where a test says so."""
    return make_system(**({"edge_s": 0.0, "server_s": 0.0, "delay_s": 0.0} | changes))


def test_a_batch_occupies_its_worker_once() -> None:
    system = instant(pool=Pool((0.0, 4.0, 4.0, 4.0), timeout_s=1.0))
    trace = make_trace(system, make_draws([0.0, 0.0, 0.0]), [0])
    assert trace.batch.tolist() == [3, 3, 3]
    assert figures_of(trace, system, Window(0.0, 8.0)).values()["server_utilisation"] == 0.5


def test_a_batch_that_is_cut_by_the_window_counts_for_what_is_inside() -> None:
    system = instant(pool=Pool((0.0, 4.0, 4.0)))
    trace = make_trace(system, make_draws([0.0, 0.0]), [0])
    assert figures_of(trace, system, Window(0.0, 4.0)).busy_s["server"] == 4.0
    assert figures_of(trace, system, Window(-1.0, 3.0)).busy_s["server"] == 3.0


def test_a_shared_medium_is_busy_while_anything_is_under_way() -> None:
    system = instant(medium="shared")
    # Two messages of one second each share the first two, the third comes after a gap.
    trace = make_trace(system, make_draws([0.0, 0.0, 5.0]))
    assert trace.uplink_end_s.tolist() == [2.0, 2.0, 6.0]
    figures = figures_of(trace, system, Window(0.0, 10.0))
    assert figures.busy_s["uplink"] == 3.0
    assert figures.values()["uplink_utilisation"] == 0.3
    assert figures_of(trace, system, Window(1.0, 5.5)).busy_s["uplink"] == 1.5


def test_a_shared_medium_that_carries_nothing_is_idle() -> None:
    system = instant(medium="shared", edge_buffer=0, edge_s=1.0, crosses_link=True)
    trace = make_trace(system, make_draws([0.0]))
    assert figures_of(trace, system, Window(50.0, 60.0)).busy_s["uplink"] == 0.0
    nothing = make_trace(system, make_draws([]))
    assert figures_of(nothing, system, Window(0.0, 1.0)).busy_s["uplink"] == 0.0


def test_dropped_requests_are_counted_by_reason_and_have_no_latency() -> None:
    system = instant(edge_s=2.0, edge_buffer=1)
    trace = make_trace(system, make_draws([0.0, 0.0, 0.0, 0.0]), [0])
    figures = figures_of(trace, system, Window(0.0, 10.0))
    assert figures.dropped[REASONS.index("edge full")] == 2
    values = figures.values()
    assert values["drop_share"] == values["miss_share"] == 0.5
    assert values["latency_mean_s"] == 3.0
    assert values["throughput_per_s"] == 0.2


def test_a_late_answer_is_missed_and_still_has_a_latency() -> None:
    system = instant(edge_s=2.0, deadline_s=3.0)
    trace = make_trace(system, make_draws([0.0, 0.0]), [0])
    values = figures_of(trace, system, Window(0.0, 10.0)).values()
    assert (values["drop_share"], values["miss_share"]) == (0.0, 0.5)
    assert values["latency_mean_s"] == 3.0


def test_a_request_in_flight_is_missed_and_not_dropped() -> None:
    system = instant(edge_s=2.0)
    correct = np.array([True])
    trace = simulate(system, make_draws([0.0, 0.0]), np.array([0]), correct, until_s=3.0)
    figures = figures_of(trace, system, Window(0.0, 3.0))
    assert figures.in_flight == 1
    values = figures.values()
    assert (values["drop_share"], values["miss_share"]) == (0.0, 0.5)


def test_bytes_count_where_they_were_sent_and_retransmissions_too() -> None:
    system = instant(edge_s=2.0, edge_buffer=0, answer_bytes=10)
    sent = Transfers(np.array([300, 300]), np.array([2, 2]), np.zeros(2), np.array([False, False]))
    answers = Transfers(np.array([30, 30]), np.array([1, 1]), np.zeros(2), np.array([False] * 2))
    draws = make_draws([0.0, 1.0], uplink=sent, downlink=answers)
    values = figures_of(make_trace(system, draws), system, Window(0.0, 10.0)).values()
    # The second request found the edge full, and sent nothing.
    assert values["uplink_bytes"] == 125 / 2
    assert values["uplink_wire_bytes"] == 300 / 2
    assert values["downlink_wire_bytes"] == 30 / 2
    assert values["retransmissions"] == 3 / 2


def test_a_replication_without_an_answer_has_no_latency_to_report() -> None:
    system = instant()
    lost = Transfers(np.array([125]), np.array([0]), np.zeros(1), np.array([True]))
    trace = make_trace(system, make_draws([0.0], uplink=lost))
    values = figures_of(trace, system, Window(0.0, 1.0)).values()
    assert not [name for name in values if name.startswith("latency")]
    assert values["miss_share"] == values["drop_share"] == 1.0


def test_what_computes_as_the_run_is_stopped_was_busy_until_then() -> None:
    system = instant(edge_s=100.0, edge_power_w=8.0)
    draws, correct = make_draws([1.0, 2.0]), np.array([True])
    trace = simulate(system, draws, np.array([0]), correct, until_s=5.0)
    figures = figures_of(trace, system, Window(0.0, 5.0))
    assert figures.busy_s["edge"] == 4.0
    assert figures.energy.compute_s == 4.0
