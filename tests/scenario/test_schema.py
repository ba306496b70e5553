from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flexrel_sim.metrics import METRICS
from flexrel_sim.scenario import Scenario, Section, SystemScenario
from flexrel_sim.scenario.schema import MODEL_SECTIONS, Constraint, EdgeSection, ServerSection
from flexrel_sim.scenario.suggest import did_you_mean
from tests.builders import make_scenario


def sections(schema: type[Section]) -> dict[str, type[Section]]:
    kinds = {name: info.annotation for name, info in schema.model_fields.items()}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Section)
    }


def test_every_key_of_every_section_has_a_description() -> None:
    undocumented = [
        f"{section}.{name}"
        for section, schema in sections(Scenario).items()
        for name, info in schema.model_fields.items()
        if not info.description
    ]
    assert undocumented == []


def test_the_model_sections_are_what_a_scenario_adds_to_a_system() -> None:
    assert set(Scenario.model_fields) - set(SystemScenario.model_fields) == set(MODEL_SECTIONS)


def test_defaults_are_the_documented_ones() -> None:
    scenario = make_scenario()
    assert scenario.name == "scenario"
    assert scenario.workload.arrivals == "poisson"
    assert scenario.server.workers == 1
    assert scenario.edge.service == "deterministic"
    assert list(scenario.objectives) == ["latency_p95_s", "uplink_bytes", "accuracy"]
    assert set(scenario.objectives) <= set(METRICS)


def test_a_section_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_scenario().workload.rate = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "workers", 0),
        ("server", "workers", 1.0),
        ("server", "workers", "2"),
        ("server", "workers", True),
        ("edge", "service", "normal"),
        ("edge", "service_time", "0 s"),
        ("edge", "device", 4),
        ("link", "uplink", "0 bit/s"),
        ("link", "delay", "-1 ms"),
        ("workload", "rate", "0 /s"),
        ("workload", "arrivals", "Poisson"),
        ("simulation", "replications", 1),
        ("simulation", "seed", -1),
        ("simulation", "warmup", 5),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_at_its_key(
    section: str, key: str, value: object
) -> None:
    with pytest.raises(ValidationError, match=rf"{section}\.{key}"):
        make_scenario(**{section: {key: value}})


@pytest.mark.parametrize("name", ["", "-a", ".a", "a/b", "../a", "a b", "a\n", "é"])
def test_a_name_that_is_no_plain_folder_name_is_refused(name: str) -> None:
    data = make_scenario().model_dump() | {"name": name}
    with pytest.raises(ValidationError, match="should match pattern"):
        SystemScenario.model_validate(data)


def test_a_run_that_counts_fewer_than_thirty_requests_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"at least 30 .* leaves 29 at this rate"):
        make_scenario(workload={"rate": "1 /s", "duration": "29 s"})
    assert make_scenario(workload={"rate": "1 /s", "duration": "30 s"}).workload.duration == 30


def test_the_warmup_does_not_count_towards_the_thirty_requests() -> None:
    workload = {"rate": "1 /s", "duration": "40 s"}
    assert make_scenario(workload=workload, simulation={"warmup": "10 s"}).simulation.warmup == 10
    with pytest.raises(ValidationError, match="leaves 20 at this rate"):
        make_scenario(workload=workload, simulation={"warmup": "20 s"})
    with pytest.raises(ValidationError, match="leaves 0 at this rate"):
        make_scenario(workload=workload, simulation={"warmup": "99 s"})


def test_a_run_of_more_than_two_thousand_million_requests_is_refused() -> None:
    workload = {"rate": "1 MHz", "duration": "400 s"}
    assert make_scenario(workload=workload, simulation={"replications": 5}).workload.rate == 1e6
    with pytest.raises(ValidationError, match=r"at most 2,000,000,000 requests, and is 2.4e\+09"):
        make_scenario(workload=workload, simulation={"replications": 6})


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        (">= 0.9", 0.9, True),
        (">= 0.9", 0.89, False),
        ("<= 0.2", 0.2, True),
        ("<= 0.2", 0.21, False),
        ("<=.2", 0.1, True),
        (" >= -1e-3 ", 0.0, True),
    ],
)
def test_a_constraint_holds_up_to_and_including_its_bound(
    text: str, value: float, holds: bool
) -> None:
    assert (Constraint.parse(text).slack(value) >= 0) is holds


@given(st.sampled_from(["<=", ">="]), st.floats(allow_nan=False, allow_infinity=False))
def test_a_constraint_is_written_as_it_is_read(relation: str, bound: float) -> None:
    constraint = Constraint.parse(f"{relation} {bound!r}")
    assert constraint.bound == bound
    assert Constraint.parse(constraint.model_dump()) == constraint
    assert Constraint.parse(constraint) is constraint


@pytest.mark.parametrize(
    "bound", [0.9, None, "0.9", "> 0.9", "== 1", ">= 90", ">= x", "<= 1e999", ["<= 1"]]
)
def test_what_is_no_bound_is_refused(bound: object) -> None:
    data = make_scenario().model_dump() | {"constraints": {"accuracy": bound}}
    with pytest.raises(ValidationError, match=r"must be a (finite )?bound"):
        SystemScenario.model_validate(data)


@pytest.mark.parametrize("constraints", [["accuracy"], ">= 0.9", 3, None])
def test_constraints_that_are_no_mapping_are_refused(constraints: object) -> None:
    data = make_scenario().model_dump() | {"constraints": constraints}
    with pytest.raises(ValidationError, match="should be a valid dictionary"):
        SystemScenario.model_validate(data)


@pytest.mark.parametrize(
    ("section", "value"), [("objectives", {"acuracy": "max"}), ("constraints", {"acuracy": ">= 1"})]
)
def test_an_unknown_metric_is_refused_with_the_nearest_known(
    section: str, value: dict[str, Any]
) -> None:
    data = make_scenario().model_dump() | {section: value}
    with pytest.raises(ValidationError, match="unknown metric") as caught:
        SystemScenario.model_validate(data)
    assert "did you mean 'accuracy'?" in caught.value.errors()[0]["ctx"]["remedy"]


def test_the_dumped_scenario_is_read_as_the_same_scenario() -> None:
    scenario = make_scenario(link={"delay": "12.5 ms"}, workload={"duration": "2 min"})
    assert SystemScenario.model_validate(scenario.model_dump(mode="json")) == scenario


def test_the_nearest_word_is_suggested_and_all_are_named_in_order() -> None:
    assert did_you_mean("dely", ["uplink", "delay"]) == "did you mean 'delay'? known: delay, uplink"


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert did_you_mean("xyz", ["uplink", "delay"]) == "known: delay, uplink"


def test_an_edge_has_a_radio_and_a_battery_and_a_server_has_neither() -> None:
    edge = EdgeSection.model_validate({"device": "t4", "radio": "lte-2012", "battery": "10 Wh"})
    assert (edge.radio, edge.battery) == ("lte-2012", 36_000.0)
    assert edge.model_dump(mode="json")["battery"] == "36000 J"
    bare = EdgeSection.model_validate({"device": "t4"})
    assert (bare.radio, bare.battery) == ("none", None)
    for key, value in (("radio", "none"), ("battery", "10 Wh")):
        with pytest.raises(ValidationError, match="Extra inputs"):
            ServerSection.model_validate({"device": "t4", key: value})
