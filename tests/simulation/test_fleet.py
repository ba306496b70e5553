"""Many devices on one cell: what is each one's own, and what they share."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.links import Direction, Transfers, constant
from flexrel_sim.links.direction import Buffer, Connection
from flexrel_sim.simulation import Draws, Pool, Summary, System, Unstable, simulate_point
from flexrel_sim.simulation.compiled import CompiledEngine, comes_in_parts
from flexrel_sim.simulation.deliveries import Updates, deliveries
from flexrel_sim.simulation.requests import requests, trace_of
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.streams import Streams
from tests.builders import make_draws, make_profile, make_scenario, make_system
from tests.simulation.systems import PAYLOADS, run

FOUR_PACKETS = make_profile(payload_bytes=np.full(4, 5700))


def outcome_of(
    devices: int, uplink: dict[str, Any], delay: str = "5 ms", **workload: str
) -> Summary | Unstable:
    instant = {"service_time": "1 us"}
    scenario = make_scenario(
        edge=instant | {"count": devices},
        server=instant | {"workers": 8},
        link={"uplink": uplink | {"transport": "tcp-warm"}, "downlink": "1 Gbit/s", "delay": delay},
        workload=workload,
    )
    return simulate_point(scenario, FOUR_PACKETS, Path())


def test_the_mean_does_not_grow_with_the_devices_at_a_constant_load() -> None:
    means = []
    for devices in (1, 10, 100):
        cell = {"rate": f"{devices} Mbit/s", "loss": {"bernoulli": 0.001}}
        summary = outcome_of(devices, cell, rate="2.1 /s", duration=f"{2000 / devices:g} s")
        assert isinstance(summary, Summary)
        assert summary.loads["uplink"] == pytest.approx(0.102, abs=1e-3)
        means.append(summary.metrics["latency_p95_s"].value)
    assert means[0] > means[1] > means[2]


def test_a_hundred_thin_connections_are_no_overload_of_a_thick_wire() -> None:
    cell = {"rate": "1 Gbit/s", "loss": {"bernoulli": 0.01}}
    summary = outcome_of(100, cell, delay="50 ms", rate="1 /s", duration="60 s")
    assert isinstance(summary, Summary)
    # 100 x 6060 B/s with headers and retransmissions on the wire, and one device's on its own
    # connection, which carries 96.7 packets of 1538 B a second.
    wire_bytes = (5700 + 4 * 90) / 0.99
    assert summary.loads["uplink"] == pytest.approx(100 * 8 * wire_bytes / 1e9, rel=1e-6)
    per_s = 1 / (0.1 * np.sqrt(0.02 / 3) + 3 * np.sqrt(3 * 0.01 / 8) * 0.01 * (1 + 32 * 1e-4))
    expected = wire_bytes / 1538 / per_s
    assert summary.loads["uplink connection"] == pytest.approx(expected, rel=1e-6)
    # Four packets fit the window: beside the two flights nothing but the wire takes time.
    assert summary.metrics["latency_p50_s"].value == pytest.approx(0.1, abs=1e-4)


def test_a_connection_that_is_asked_for_more_than_its_ceiling_is_overloaded() -> None:
    cell = {"rate": "1 Gbit/s", "loss": {"bernoulli": 0.01}}
    outcome = outcome_of(3, cell, delay="50 ms", rate="30 /s", duration="60 s")
    assert isinstance(outcome, Unstable)
    assert outcome.stage.name == "uplink connection"
    assert outcome.stage.setting == "link.uplink.loss"
    assert outcome.load > 1 > outcome.loads["uplink"]
    # Another device has a connection of its own.
    assert outcome.stable_below_per_s == pytest.approx(30 / outcome.load)


def test_weights_that_exceed_their_connection_overload_it() -> None:
    scenario = make_scenario(
        link={
            "uplink": "1 Mbit/s",
            "downlink": {"rate": "1 Gbit/s", "transport": "tcp-warm", "loss": {"bernoulli": 0.01}},
        },
        updates={"period": "1 s", "bytes": "1 MB"},
    )
    outcome = simulate_point(scenario, make_profile(), Path())
    assert isinstance(outcome, Unstable)
    assert (outcome.stage.name, outcome.stage.setting) == ("weights connection", "updates")
    assert outcome.stable_below_per_s == 0


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("name", ["uplink", "downlink"])
def test_a_late_message_holds_up_those_of_its_device_only(engine: str, name: str) -> None:
    system = make_system(edge_s=0.0, server_s=0.0, delay_s=0.0, devices=2, workers=4)
    late = Transfers(
        np.full(3, 125), np.zeros(3, np.int64), np.array([8.0, 0.0, 0.0]), np.zeros(3, np.bool_)
    )
    draws = make_draws([0.0, 1.0, 2.0], device=np.array([0, 1, 0], np.int32))
    answered_s = run(system, replace(draws, **{name: late}), engine).answered_s
    assert answered_s[0] == answered_s[2]
    assert answered_s[1] < answered_s[0] - 6


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_devices_on_a_fast_link_are_as_many_systems_of_one_device(engine: str) -> None:
    pace = Connection(2048.0, 256.0)
    fast = [
        Direction(name, constant(1e15), 0.125, in_order=True, connection=pace)
        for name in ("uplink", "downlink")
    ]
    system = make_system(
        uplink=fast[0], downlink=fast[1], server_s=0.0, devices=20, answer_bytes=300, workers=1000
    )
    rng = np.random.default_rng(3)
    device = rng.integers(20, size=400).astype(np.int32)
    draws = make_draws(np.sort(rng.uniform(0, 600, 400)), device=device)
    draws = replace(draws, sample=rng.integers(PAYLOADS.size, size=400))
    together_s = run(system, draws, engine).sojourn_time_s
    for own in range(20):
        mine = device == own
        alone = replace(draws, **{key: getattr(draws, key)[mine] for key in _COLUMNS}, device=None)
        alone_s = run(replace(system, devices=1), alone, engine).sojourn_time_s
        np.testing.assert_allclose(together_s[mine], alone_s, rtol=0, atol=1e-9)
    assert together_s.max() > 1


_COLUMNS = ("created_s", "sample", "edge_factor", "server_factor")


def test_an_update_that_comes_late_holds_up_no_answer_beyond_the_wire() -> None:
    # Weights have a connection of their own: 1000 B at 1000 B/s beyond a window of none.
    slow = Direction("downlink", constant(1e6), in_order=True, connection=Connection(8000.0, 0.0))
    system = make_system(
        edge_s=0.0, server_s=0.0, delay_s=0.0, downlink=slow, answer_bytes=0,
        updates=Updates((0.5,), 1000, swap_s=0.25),
    )  # fmt: skip
    plan = deliveries(system.updates, 1, slow, Streams(0, 0))
    draws = replace(make_draws([1.0]), deliveries=plan)
    trace = run(system, draws, "simpy")
    assert trace.answered_s.tolist() == [1.0]
    assert trace.deliveries is not None
    assert trace.deliveries.down_start_s.tolist() == [1.5]


def run_in_parts(rng: np.random.Generator) -> tuple[System, Draws, list[int]]:
    """A system whose runs may come in parts, many late messages and ties, and where to cut.

    All times are on one coarse grid, so that many requests come to a stage at one time.
    """
    devices, count = int(rng.choice((1, 3, 30))), 150

    def line(name: str) -> Direction:
        connection = Connection(512.0, 32.0) if rng.random() < 0.5 else None
        buffer = Buffer(messages=3) if rng.random() < 0.3 else Buffer()
        in_order = bool(rng.random() < 0.7)
        rate, delay_s = rng.choice((1024.0, 4096.0)), rng.choice((0.0, 0.25))
        return Direction(
            name, constant(rate), delay_s, in_order=in_order, buffer=buffer, connection=connection
        )

    def sent() -> Transfers:
        return Transfers(
            rng.choice((0, 0, 32, 128), count),
            np.zeros(count, np.int64),
            rng.choice((0.0, 0.0, 0.5, 2.0), count),
            rng.random(count) < 0.1,
        )

    system = make_system(
        edge_s=0.25,
        devices=devices,
        uplink=line("uplink"),
        downlink=line("downlink"),
        pool=Pool((0.0, float(rng.choice((0.0, 0.25)))), int(rng.integers(1, 4))),
    )
    draws = make_draws(
        np.cumsum(rng.choice((0, 0, 0, 1, 2), count)) / 4,
        edge_factor=rng.choice((0.0, 1.0, 8.0), count),
        server_factor=rng.choice((0.0, 1.0, 4.0), count),
        device=rng.integers(devices, size=count).astype(np.int32),
        uplink=sent(),
        downlink=sent(),
    )
    return system, draws, sorted(rng.choice(np.arange(1, count), 6, replace=False).tolist())


@pytest.mark.parametrize("seed", range(200))
def test_parts_of_any_run_are_the_run_at_once_bit_for_bit(seed: int) -> None:
    system, draws, cuts = run_in_parts(np.random.default_rng(seed))
    assert comes_in_parts(system)
    whole = run(system, draws, "compiled").columns()
    engine, found = CompiledEngine(system), []
    rows = requests(system, draws, PAYLOADS, np.ones(PAYLOADS.size, np.bool_))
    for start, end in pairwise([0, *cuts, rows.count]):
        part = rows.taken(np.arange(start, end))
        until_s = draws.created_s[end - 1] if end < rows.count else np.inf
        found.append(engine.run(part, until_s))
    joined = trace_of(Rows.joined(found), system).columns()
    for name, values in whole.items():
        np.testing.assert_array_equal(joined[name], values, err_msg=name)


@pytest.mark.parametrize("seed", range(40))
def test_both_engines_agree_on_a_fleet_with_late_messages_and_ties(seed: int) -> None:
    system, draws, _ = run_in_parts(np.random.default_rng(seed))
    compiled, reference = (run(system, draws, name).columns() for name in ("compiled", "simpy"))
    for name, values in reference.items():
        np.testing.assert_allclose(compiled[name], values, rtol=0, atol=1e-9, err_msg=name)


def test_room_on_the_edge_costs_what_waits_and_not_what_could() -> None:
    system = make_system(edge_s=1.0, devices=20_000, edge_buffer=1_000_000)
    created_s, device = np.array([0.0, 0.25, 0.5]), np.array([7, 7, 19_999], np.int32)
    tracemalloc.start()
    trace = run(system, make_draws(created_s, device=device), "compiled")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert trace.edge_start_s.tolist() == [0.0, 1.0, 0.5]
    assert peak_bytes < 20e6
