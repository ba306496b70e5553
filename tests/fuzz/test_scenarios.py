"""Scenarios, options of the command line and comparisons: honest ones changed, and any bytes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.comparison import Curve, load_comparison, load_curves
from flexrel_sim.scenario import ScenarioFile, load_scenario, load_system_scenario, parse_override
from flexrel_sim.scenario.link_file import load_link
from flexrel_sim.simulation import Summary
from flexrel_sim.study import check_all, simulate_study
from tests.builders import make_profile
from tests.fuzz.bounded import result_or_refusal
from tests.fuzz.hostile import VALUES, mutated_data, yaml_text
from tests.fuzz.mutation import RNGS, mutated
from tests.fuzz.place import SYSTEM

# Of a system that is simulated, in all its replications.
REQUESTS_MAX = 20_000

SHIPPED = Path(__file__).parents[2] / "scenarios"

OPTIONS = """\
link:
  uplink:
    schedule: [[0 s, 4 Mbit/s], [10 s, 0.05 Mbit/s], [20 s, 0 Mbit/s], [21 s, 4 Mbit/s]]
    loss: {bernoulli: 0.01}
    jitter: {mean: 2 ms, distribution: normal, std: 1 ms}
    buffer: {messages: 4}
    transport: tcp-warm
  downlink:
    markov: {rates: [1 Mbit/s, 5 Mbit/s], dwell: [9 s, 4 s]}
    outage: {mean_up: 30 s, mean_down: 1 s}
  delay: 5 ms
  medium: half-duplex
server:
  device: t4
  batch: {size: 4, timeout: 4 ms}
  failures: {mean_up: 30 s, mean_down: 1 s}
updates: {period: 5 s, initial_bytes: 20 kB, bytes: 10 kB}
workload:
  arrivals: bursty
  rate: 12 /s
  bursts: {factor: 4, mean_on: 1 s, mean_off: 5 s}
  duration: 20 s
simulation: {replications: 2}
objectives: {latency_p95_s: min, accuracy: max}
constraints: {accuracy: ">= 0.3"}
sweep:
  - {server.workers: [1, 2], link.delay: [1 ms, 5 ms]}
  - {link.uplink: {from: 1 Mbit/s, to: 9 Mbit/s, steps: 3, scale: log}}
"""

COMPARISON = """\
name: small
pairs: [{label: all, network: tiny.yaml}]
seeds: [0, 1]
data: {calibration: 50, validation: 100, test: 150, seed: 1}
entries:
  - {label: magnitude, pruning: {criterion: magnitude}}
  - {label: flexrel, pruning: {criterion: flexrel-paper, delta: 0.3}}
tracks: [{label: weights, pruning: {granularity: weights}, kept: [1, 0.5, 0.1]}]
losses: [0.05]
claims: [{label: c, entries: [flexrel], rivals: [magnitude]}]
"""


@cache
def honest() -> list[Any]:
    found = [yaml.safe_load(file.read_text()) for file in sorted(SHIPPED.glob("*.yaml"))]
    found = [data for data in found if "pairs" not in data]
    for data in found:
        data["model"] = {"network": "tiny.yaml"}
    base = yaml.safe_load(SYSTEM)
    return [*found, base, base | yaml.safe_load(OPTIONS)]


def requests_of(loaded: ScenarioFile[Any]) -> float:
    scenarios = [point.scenario for point in loaded.points]
    return sum(one.expected_requests * one.simulation.replications for one in scenarios)


def silent(label: str, items: Iterable[Any], total: int) -> Iterable[Any]:
    del label, total
    return items


def written(place: Path, text: str | bytes) -> Path:
    file = place / "hostile.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return file


def test_what_is_changed_is_honest(place: Path) -> None:
    for data in honest():
        load_scenario(written(place, yaml_text(data)))
    loaded = load_system_scenario(written(place, yaml_text(honest()[-1])))
    assert requests_of(loaded) < REQUESTS_MAX
    result = simulate_study(loaded, make_profile(), 1, silent, None)
    assert all(isinstance(point.outcome, Summary) for point in result.points)


@given(rng=RNGS)
def test_a_changed_scenario_is_checked_or_refused(place: Path, rng: random.Random) -> None:
    text = yaml_text(mutated_data(rng.choice(honest()), rng, honest()))
    file = written(place, text)
    result_or_refusal(lambda: check_all(load_scenario(file)), str(place))


@given(rng=RNGS)
def test_a_changed_system_is_simulated_or_refused(place: Path, rng: random.Random) -> None:
    # One change, or few of the many options would ever be simulated.
    text = yaml_text(mutated_data(rng.choice(honest()[-2:]), rng, honest(), most=1))
    file = written(place, text)
    loaded = result_or_refusal(lambda: load_system_scenario(file), str(place))
    if loaded is None:
        return
    if requests_of(loaded) < REQUESTS_MAX:
        profile = make_profile()
        result_or_refusal(lambda: simulate_study(loaded, profile, 1, silent, None), str(place))


@given(seed=st.integers(0, 2**32 - 1), source=st.sampled_from([SYSTEM, OPTIONS, COMPARISON]))
def test_a_damaged_text_is_read_or_refused(place: Path, seed: int, source: str) -> None:
    file = written(place, mutated(source.encode(), random.Random(seed)))  # noqa: S311
    result_or_refusal(lambda: load_scenario(file), str(place))
    result_or_refusal(lambda: load_link(file), str(place))


@given(content=st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode()))
def test_any_bytes_are_refused(place: Path, content: bytes) -> None:
    file = written(place, content)
    assert result_or_refusal(lambda: load_scenario(file), str(file)) is None


@pytest.mark.parametrize("name", ["fifo", "loop", "folder", "empty", "none.yaml", "nul\0.yaml"])
def test_what_is_no_file_is_refused(place: Path, name: str) -> None:
    shown = str(place / name).replace("\0", "\\x00")
    for load in (load_scenario, load_system_scenario, load_link, load_comparison):
        assert result_or_refusal(lambda load=load: load(place / name), shown) is None  # type: ignore[misc]


PATHS = st.sampled_from([
    "sweep", "sweep.link.uplink", "link", "link.uplink", "link.uplink.rate", "workload.rate",
    "pruning", "pruning.ratio", "name", "constraints", "objectives", "a.b.c", "", ".", "sweep.",
    "edge.count", "simulation.seed", "split.cut", "controller.options", "data.seed", "link.uplink.",
])  # fmt: skip


@given(
    settings=st.lists(
        st.tuples(PATHS, st.sampled_from(VALUES).map(yaml_text) | st.text(max_size=20)),
        min_size=1,
        max_size=3,
    ),
    base=st.sampled_from(
        [SYSTEM, SYSTEM + OPTIONS.partition("sweep:")[1] + " {edge.count: [1]}\n"]
    ),
)
def test_an_option_is_taken_or_refused(
    place: Path, settings: list[tuple[str, str]], base: str
) -> None:
    file = written(place, base)

    def load() -> None:
        load_scenario(file, dict(parse_override(f"{path}={value}") for path, value in settings))

    result_or_refusal(load, str(place), "--set")


@given(rng=RNGS)
def test_a_changed_comparison_is_checked_or_refused(place: Path, rng: random.Random) -> None:
    file = written(place, yaml_text(mutated_data(yaml.safe_load(COMPARISON), rng, honest())))
    result_or_refusal(lambda: load_comparison(file), str(place))


@given(rng=RNGS)
def test_damaged_curves_are_read_or_refused(place: Path, rng: random.Random) -> None:
    shares = (1.0, 0.5)
    curve = Curve("p", 0, "e", "t", shares, shares, shares, shares, shares, 0.5, {"delta": 0.3})
    file = place / "curves.jsonl"
    file.write_bytes(mutated(f"{curve.to_json()}\n{curve.to_json()}\n".encode(), rng))
    for read in result_or_refusal(lambda: load_curves(file), str(file)) or ():
        assert all(isinstance(value, float) for value in (*read.weights, *read.test))
