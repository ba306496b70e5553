"""Small honest objects for tests; every test says only what matters to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flexrel_sim.links import Direction, constant
from flexrel_sim.links.resolve import resolve
from flexrel_sim.profile import Layer, Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.scenario.schema import WorkloadSection
from flexrel_sim.simulation import (
    Draws,
    Pool,
    Summary,
    System,
    Trace,
    Unstable,
    build_system,
    draw,
    simulate,
    simulate_point,
)
from flexrel_sim.simulation.draws import disturbed
from flexrel_sim.simulation.engines import EngineName
from flexrel_sim.statistics import Estimate, t_interval

STAGES = ("edge", "uplink", "server", "downlink")

SCENARIO_YAML = """\
name: base
model: {network: net.yaml}
split: {cut: pool2}
edge: {device: raspberry-pi-4}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s}
server: {device: t4}
workload: {rate: 12 /s}
"""


def make_layer(**changes: Any) -> Layer:
    """A linear layer of the head: 1000 weights, 2000 MACs."""
    values: dict[str, Any] = {
        "name": "fc1",
        "kind": "linear",
        "side": "head",
        "macs": 2000,
        "weights": 1000,
        "nonzero_weights": 1000,
        "input_bytes": 400,
        "output_bytes": 40,
        "output_shape": (10,),
    }
    return Layer(**(values | changes))


def make_profile(**changes: Any) -> Profile:
    """One layer on each side, four samples of 125 bytes (1000 bits), an answer of 25 bytes.

    Three of four test samples and 8 of 10 validation samples of two classes are answered rightly,
    all of them by the dense network; `correct` and `validation_correct` say it otherwise.
    """
    correct = np.asarray(changes.pop("correct", [True, True, True, False]))
    validation_correct = np.asarray(changes.pop("validation_correct", [True] * 8 + [False] * 2))
    labels, validation_labels = (np.arange(a.size) % 2 for a in (correct, validation_correct))
    values: dict[str, Any] = {
        "key": "k" * 64,
        "network": "net",
        "operating_point": {"split": {"cut": "fc1"}},
        "layers": (make_layer(), make_layer(name="fc2", side="tail")),
        "boundary_shapes": ((10,),),
        "crosses_link": True,
        "answer_bytes": 25,
        "head_weight_bytes": 4000,
        "tail_weight_bytes": 3000,
        "payload_bytes": np.array([125, 125, 125, 125], dtype=np.int64),
        "labels": labels,
        "predicted": labels ^ ~correct,
        "dense_predicted": labels,
        "validation_labels": validation_labels,
        "validation_predicted": np.where(
            validation_correct, validation_labels, 1 - validation_labels
        ),
        "validation_dense_predicted": validation_labels,
        "provenance": {"torch": "none"},
    }
    return Profile(**(values | changes))


def make_scenario(**sections: dict[str, Any]) -> SystemScenario:
    """A stable system; keys of the given sections are merged over it."""
    data: dict[str, dict[str, Any]] = {
        "edge": {"device": "raspberry-pi-4", "service_time": "100 ms"},
        "link": {"uplink": "10 kbit/s", "downlink": "10 kbit/s", "delay": "50 ms"},
        "server": {"device": "t4", "service_time": "100 ms"},
        "workload": {"rate": "2 /s", "duration": "60 s"},
        "simulation": {"replications": 2},
    }
    merged = {name: data.get(name, {}) | sections.get(name, {}) for name in {*data, *sections}}
    return SystemScenario.model_validate(merged)


def make_system(**changes: Any) -> System:
    """Every stage takes a time of its own; bytes are bits over eight."""
    values: dict[str, Any] = {
        "edge_s": 0.5,
        "server_s": 0.25,
        "workers": 1,
        "uplink_bit_per_s": 1000.0,
        "downlink_bit_per_s": 1000.0,
        "delay_s": 0.125,
        "answer_bytes": 0,
        "crosses_link": True,
        "edge_power_w": 5.0,
    } | changes
    server_s, workers = values.pop("server_s"), values.pop("workers")
    values.setdefault("pool", Pool((0.0, server_s), workers))
    delay_s = values.pop("delay_s")
    for name in ("uplink", "downlink"):
        rate = values.pop(f"{name}_bit_per_s")
        values.setdefault(name, Direction(name, constant(rate), delay_s))
    return System(**values)


def make_draws(created_s: Iterable[float], **changes: Any) -> Draws:
    """Draws without chance: sample 0, and every service takes its mean."""
    created = np.array(list(created_s), dtype=float)
    values: dict[str, Any] = {
        "created_s": created,
        "sample": np.zeros(created.size, dtype=np.int64),
        "edge_factor": np.ones(created.size),
        "server_factor": np.ones(created.size),
    }
    return Draws(**(values | changes))


def make_trace(
    system: System,
    draws: Draws,
    payload_bytes: Sequence[int] | np.ndarray = (125,),
    engine: EngineName = "auto",
) -> Trace:
    """Simulate, with every answer right."""
    payload = np.asarray(payload_bytes, dtype=np.int64)
    return simulate(system, draws, payload, np.ones(payload.size, dtype=bool), engine)


def built(scenario: SystemScenario, profile: Profile, folder: Path = Path()) -> System:
    """Put a profile on a scenario's system, as a run does."""
    return build_system(scenario, profile, folder, resolve(scenario.link, folder))


def simulated(
    scenario: SystemScenario, profile: Profile, folder: Path = Path()
) -> tuple[Summary, list[Trace]] | Unstable:
    """Simulate a point and keep its traces, one per replication."""
    parts: dict[int, list[Trace]] = {}

    outcome = simulate_point(
        scenario, profile, folder, lambda number, trace: parts.setdefault(number, []).append(trace)
    )
    if isinstance(outcome, Unstable):
        return outcome
    return outcome, [trace for number in sorted(parts) for trace in parts[number]]


def replicate(
    system: System,
    rate_per_s: float,
    requests: int,
    *,
    services: tuple[str, str] = ("exponential", "exponential"),
    payload_bytes: Sequence[int] | np.ndarray = (125,),
    replications: int = 25,
    engine: EngineName = "auto",
    around: SystemScenario | None = None,
    **workload: Any,
) -> list[Trace]:
    """Poisson replications of about ``requests`` requests each, amid what a scenario disturbs."""
    duration = f"{requests / rate_per_s!r} s"
    section = WorkloadSection(rate=f"{rate_per_s!r} /s", duration=duration, **workload)
    payload = np.asarray(payload_bytes, dtype=np.int64)
    traces = []
    for replication in range(replications):
        draws = draw(section, payload.size, services, 0, replication)
        if around is not None:
            scenario = around.model_copy(update={"workload": section})
            draws = disturbed(draws, scenario, 0, replication)
        traces.append(make_trace(system, draws, payload, engine))
    return traces


def settled(trace: Trace) -> np.ndarray:
    """Tell which requests come after the first tenth of the run, when the start is forgotten."""
    return trace.created_s >= trace.created_s[-1] / 10


def interval(traces: Iterable[Trace], measure: Callable[[Trace], np.ndarray]) -> Estimate:
    """The 99.9 % interval, over replications, of a measure's mean over settled requests."""
    return t_interval([measure(trace)[settled(trace)].mean() for trace in traces], 0.999)


def stage_arrivals_s(trace: Trace, stage: str) -> np.ndarray:
    """When each request came to a stage."""
    came = {
        "edge": "created_s",
        "uplink": "edge_end_s",
        "server": "delivered_s",
        "downlink": "server_end_s",
    }
    return getattr(trace, came[stage])


def stage_spans_s(trace: Trace, stage: str) -> tuple[np.ndarray, np.ndarray]:
    """When each request started and ended being served at a stage."""
    return getattr(trace, f"{stage}_start_s"), getattr(trace, f"{stage}_end_s")


def wait_s(trace: Trace, stage: str) -> np.ndarray:
    """How long each request waited at a stage."""
    return stage_spans_s(trace, stage)[0] - stage_arrivals_s(trace, stage)


def write_yaml(folder: Path, text: str, name: str = "scenario.yaml") -> Path:
    """Write a file and give its path."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file
