"""A long run comes in parts, so that memory does not grow; where it is cut does not show."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.links import Transfers
from flexrel_sim.simulation import (
    Summary,
    Trace,
    replication,
    simulate,
    simulate_point,
    workload,
)
from flexrel_sim.simulation.compiled import CompiledEngine
from flexrel_sim.simulation.requests import requests, trace_of
from flexrel_sim.simulation.rows import Rows
from tests.builders import make_draws, make_profile, make_scenario, make_system

EXPONENTIAL = {"service": "exponential"}

LOSSY = {
    "rate": "10 kbit/s",
    "transport": "udp-arq",
    "mtu": "68 B",
    "loss": {
        "gilbert_elliott": {"enter_bad": 0.1, "leave_bad": 0.5, "loss_good": 0.01, "loss_bad": 0.6}
    },
}

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a fleet": {"edge": {"count": 3}, "workload": {"rate": "0.7 /s"}},
    "two workers": {"server": EXPONENTIAL | {"workers": 2, "service_time": "300 ms"}},
    "bursts": {
        "workload": {
            "arrivals": "bursty",
            "bursts": {"factor": 5, "mean_on": "2 s", "mean_off": "6 s"},
        }
    },
    "a day": {"workload": {"arrivals": "diurnal", "diurnal": {"amplitude": 0.9, "period": "9 s"}}},
    "losses in bursts": {
        "link": {"uplink": LOSSY | {"rate": "10 kbit/s"}, "downlink": "10 kbit/s"}
    },
    "jitter in order": {
        "link": {
            "uplink": {"rate": "10 kbit/s", "jitter": {"mean": "200 ms"}},
            "downlink": {"rate": "10 kbit/s", "jitter": {"mean": "200 ms", "in_order": False}},
        }
    },
    "a finite buffer": {
        "link": {
            "uplink": {"rate": "3 kbit/s", "buffer": {"messages": 1}},
            "downlink": "10 kbit/s",
        }
    },
    "a schedule": {
        "link": {
            "uplink": {
                "schedule": [["0 s", "10 kbit/s"], ["3 s", "1 kbit/s"]],
                "repeat": "5 s",
            },
            "downlink": "10 kbit/s",
        }
    },
    "a token bucket": {
        "link": {
            "uplink": {"token_bucket": {"rate": "4 kbit/s", "burst": "600 B"}},
            "downlink": "10 kbit/s",
        }
    },
    "a deadline": {"workload": {"deadline": "1 s"}},
    "all on the edge": {},
}


def outcome_of(case: str) -> tuple[Summary, list[list[Trace]]]:
    sections = {"edge": EXPONENTIAL, "server": EXPONENTIAL} | CASES[case]
    scenario = make_scenario(**sections, simulation={"engine": "compiled", "warmup": "10 s"})
    profile = make_profile(payload_bytes=np.array([20, 125, 125, 250]))
    if case == "all on the edge":
        profile = make_profile(crosses_link=False)
    traces: list[list[Trace]] = [[], []]
    summary = simulate_point(scenario, profile, Path(), lambda n, t: traces[n].append(t))
    assert isinstance(summary, Summary)
    return summary, traces


@pytest.mark.parametrize("case", CASES)
def test_a_run_in_parts_is_the_run_at_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, at_once = outcome_of(case)
    monkeypatch.setattr(replication, "_PARTS_FROM", 10)
    monkeypatch.setattr(workload, "_PART", 16)
    summary, in_parts = outcome_of(case)
    for (one,), parts in zip(at_once, in_parts, strict=True):
        assert len(parts) > 3
        # Requests come out when their lives are known; each once, and to the last bit.
        joined = {
            name: np.concatenate([part.columns()[name] for part in parts]) for name in one.columns()
        }
        order = np.lexsort((joined["edge_start_s"], joined["device"], joined["created_s"]))
        expected = one.taken(np.lexsort((one.edge_start_s, one.device, one.created_s)))
        for name, values in expected.columns().items():
            np.testing.assert_array_equal(joined[name][order], values, err_msg=name)
    assert summary.counted_requests == whole.counted_requests
    assert summary.dropped == whole.dropped
    assert not summary.rounded
    # Means are sums of the parts' sums, which round differently; quantiles are of all values.
    for name, metric in whole.metrics.items():
        for field in fields(metric):
            value = getattr(metric, field.name)
            assert getattr(summary.metrics[name], field.name) == pytest.approx(
                value, rel=1e-9, abs=1e-12
            ), name
    for name in ("latency_p50_s", "latency_p95_s", "latency_p99_s"):
        assert summary.metrics[name] == whole.metrics[name]


NEVER_IN_PARTS: dict[str, dict[str, Any]] = {
    "urgent requests": {"workload": {"urgent_share": 0.3}},
    "batches": {"server": {"batch": {"size": 4}}},
    "other tenants": {"server": {"background": {"rate": "0.1 /s", "service_time": "1 s"}}},
    "failures": {"edge": {"failures": {"windows": [["3 s", "4 s"]]}}},
    "a full edge": {"edge": {"buffer": 2}},
    "a full server": {"server": {"buffer": 2}},
    "a shared medium": {"link": {"medium": "shared"}},
    "late requests that are dropped": {"workload": {"deadline": "2 s", "late": "drop"}},
    "a run that is stopped": {"simulation": {"drain": False}},
    "the reference engine": {"simulation": {"engine": "simpy"}},
    "frames": {"workload": {"arrivals": "periodic"}},
    "a radio": {"edge": {"radio": "lte-2012"}},
}


@pytest.mark.parametrize("case", NEVER_IN_PARTS)
def test_what_has_no_state_to_carry_over_comes_at_once(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "_PARTS_FROM", 10)
    monkeypatch.setattr(workload, "_PART", 16)
    traces: list[list[Trace]] = [[], []]
    scenario = make_scenario(**NEVER_IN_PARTS[case])
    simulate_point(scenario, make_profile(), Path(), lambda n, t: traces[n].append(t))
    assert [len(parts) for parts in traces] == [1, 1]


def test_memory_does_not_grow_with_a_run_in_parts_and_rows_are_linear_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Exact quantiles keep every latency, 8 bytes each: they are rounded and counted here.
    monkeypatch.setattr(replication, "_PARTS_FROM", 10)
    monkeypatch.setattr(workload, "_PART", 2048)
    monkeypatch.setattr("flexrel_sim.simulation.quantiles.EXACT_MAX", 1000)
    peaks, rows = [], []
    for duration in ("1000 s", "10000 s", "40000 s"):
        scenario = make_scenario(workload={"duration": duration, "rate": "2 /s"})
        count = 0

        def keep(_: int, trace: Trace) -> None:
            nonlocal count
            count += trace.created_s.size

        tracemalloc.start()
        simulate_point(scenario, make_profile(), Path(), keep)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        rows.append(count)
    assert peaks[2] < 1.2 * peaks[1]
    # Poisson counts of two replications: within five standard deviations.
    for count, expected in zip(rows, (4000, 40_000, 160_000), strict=True):
        assert abs(count - expected) < 5 * np.sqrt(expected)


def test_what_a_part_held_up_holds_up_the_next_part_though_nothing_delays_that() -> None:
    system = make_system(edge_s=0.0, delay_s=0.0, answer_bytes=0)
    sent = np.array([125, 125])
    late = Transfers(sent, np.zeros(2, np.int64), np.array([9.0, 0.0]), np.zeros(2, np.bool_))
    draws = make_draws([0.0, 2.0], uplink=late)
    whole = simulate(system, draws, np.array([125]), np.array([True]), "compiled")
    # The first message is 9 s late, and the second, of a direction in order, waits for it.
    assert whole.delivered_s.tolist() == [10.0, 10.0]
    rows = requests(system, draws, np.array([125]), np.array([True]))
    engine = CompiledEngine(system)
    first = engine.run(rows.taken(np.array([True, False])), until_s=2.0)
    second = engine.run(rows.taken(np.array([False, True])))
    parts = trace_of(Rows.joined([first, second]), system)
    assert parts.delivered_s.tolist() == [10.0, 10.0]
