"""Bounds in units as everywhere, and relative to the dense network."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from flexrel_sim.errors import ScenarioError
from flexrel_sim.metrics import METRICS
from flexrel_sim.scenario import load_scenario
from flexrel_sim.scenario.constraints import Constraint
from tests.builders import SCENARIO_YAML, write_yaml


@pytest.mark.parametrize(
    ("metric", "text", "written"),
    [
        ("latency_p95_s", "<= 150 ms", "<= 0.15"),
        ("latency_p95_s", "<=0.15", "<= 0.15"),
        ("uplink_bytes", "<= 20 kB", "<= 20000.0"),
        ("edge_energy_j", "<= 5 mJ", "<= 0.005"),
        ("battery_life_h", ">= 90 min", ">= 1.5"),
        ("throughput_per_s", ">= 20 /s", ">= 20.0"),
        ("accuracy", ">= 95 %", ">= 0.95"),
        ("accuracy", ">= 0.95", ">= 0.95"),
        ("retransmissions", "<= 3", "<= 3.0"),
        ("regret_s", "<= -1 ms", "<= -0.001"),
        ("accuracy", ">= dense - 0.01", ">= dense - 0.01"),
        ("accuracy", ">= dense - 1 %", ">= dense - 0.01"),
        ("accuracy", ">= dense + 2%", ">= dense + 0.02"),
        ("accuracy", ">=dense", ">= dense"),
    ],
)
def test_a_bound_is_read_in_its_unit_and_written_in_the_metrics_own(metric, text, written):
    constraint = Constraint.parse(text, metric)
    assert str(constraint) == written
    assert Constraint.parse(written, metric) == constraint


@pytest.mark.parametrize(
    ("metric", "text", "rule", "remedy"),
    [
        ("accuracy", ">= 95", "from 0 to 1", "write '>= 95 %' for a share of 0.95"),
        ("accuracy", ">= 950", "from 0 to 1", "write '>= 0.95' or '>= 95 %'"),
        ("accuracy", ">= -0.1", "from 0 to 1", "'>= 95 %'"),
        ("accuracy", "<= 150 ms", "finite number", "'>= 95 %'"),
        ("latency_p95_s", "<= 95 %", "finite number in s, or a unit like it", "'<= 150 ms'"),
        ("latency_p95_s", "<= 5 kB", "finite number in s, or a unit like it", "'<= 150 ms'"),
        ("latency_p95_s", "<= 1e400 s", "finite number in s", "'<= 150 ms'"),
        ("latency_p95_s", ">= dense", "latency_p95_s is not measured of the dense network", "150"),
        ("accuracy", "<= dense", "must be a least value", "'>='"),
        ("accuracy", ">= dense - 3", "by less than 1", "dense - 1 %"),
        ("accuracy", ">= dense - ", "finite number", "'>= 95 %'"),
        ("accuracy", "dense", "finite number", "'>= 95 %'"),
        ("accuracy", 0.9, "finite number", "'>= 95 %'"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_refused_with_a_remedy(metric, text, rule, remedy):
    with pytest.raises(PydanticCustomError, match=rule) as caught:
        Constraint.parse(text, metric)
    assert remedy in caught.value.context["remedy"]


def test_faulty_bounds_are_told_each_on_its_line_with_what_was_written(tmp_path: Path):
    text = SCENARIO_YAML + "constraints:\n  accuracy: '>= 95'\n  latency_p95_s: '<= 5 kB'\n"
    file = write_yaml(tmp_path, text)
    with pytest.raises(ScenarioError, match="constraints") as caught:
        load_scenario(file)
    first, second = str(caught.value).splitlines()
    assert ":9: constraints.accuracy: must be a bound from 0 to 1, got '>= 95'; " in first
    assert ":10: constraints.latency_p95_s: must be a bound with a finite number in s" in second


@given(st.sampled_from(sorted(METRICS)), st.sampled_from(["<=", ">="]), st.floats(0, 1))
def test_a_bound_of_any_metric_is_read_as_it_is_written(metric, relation, bound):
    constraint = Constraint.parse(f"{relation} {bound!r}", metric)
    assert (constraint.relation, constraint.bound) == (relation, bound)
    assert Constraint.parse(str(constraint), metric) == constraint
