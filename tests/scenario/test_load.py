import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import (
    Scenario,
    ScenarioFile,
    SystemScenario,
    load_scenario,
    load_system_scenario,
    parse_override,
)
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from tests.builders import SCENARIO_YAML, write_yaml

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"


def load(folder: Path, text: str, **overrides: Any) -> ScenarioFile[Scenario]:
    paths = {path.replace("__", "."): value for path, value in overrides.items()}
    return load_scenario(write_yaml(folder, text), paths)


def faults(folder: Path, text: str, overrides: dict[str, Any] | None = None) -> list[str]:
    file = write_yaml(folder, text)
    with pytest.raises(ScenarioError, match=": ") as caught:
        load_scenario(file, overrides)
    return str(caught.value).replace(str(file), "FILE").splitlines()


def system_faults(folder: Path, text: str, overrides: dict[str, Any] | None = None) -> list[str]:
    file = write_yaml(folder, text)
    with pytest.raises(ScenarioError, match=": ") as caught:
        load_system_scenario(file, overrides)
    return str(caught.value).replace(str(file), "FILE").splitlines()


def test_a_minimal_scenario_is_one_point_with_the_documented_defaults(tmp_path: Path) -> None:
    file = load(tmp_path, SCENARIO_YAML)
    assert file.scenario.link.uplink == 10e6
    assert file.scenario.pruning.ratio == 0
    assert file.folder == tmp_path
    assert not file.is_study
    assert [point.scenario for point in file.points] == [file.scenario]
    assert file.points[0].values == {}


def test_a_scenario_without_a_name_is_called_after_its_file(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("name: base\n", "")
    assert load_scenario(write_yaml(tmp_path, text, "my-test.yaml")).scenario.name == "my-test"


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("my test (2).yaml", "my-test-2-"), ("_x.yaml", "x"), (".hidden", "hidden"), ("é.yaml", None)],
)
def test_a_file_name_that_is_no_name_gives_a_plain_one(
    tmp_path: Path, file_name: str, name: str | None
) -> None:
    text = SCENARIO_YAML.replace("name: base\n", "")
    loaded = load_scenario(write_yaml(tmp_path, text, file_name))
    assert loaded.scenario.name == (name or "scenario")


def test_the_shipped_quickstart_is_a_sound_study() -> None:
    file = load_scenario(QUICKSTART)
    assert file.is_study
    assert [point.index for point in file.points] == list(range(len(file.points)))
    assert len({point.scenario.model_dump_json() for point in file.points}) == len(file.points)


def test_a_very_wrong_file_shows_all_its_faults_at_once_each_on_its_line(tmp_path: Path) -> None:
    text = """\
name: has a space
modle: {network: net.yaml}
data: {test: 10.5}
pruning:
  ratio: 1.5
  granularity: weight
  exclude: fc1
split:
  cutt: pool2
codec: uint8
edge:
  device: raspberry-pi-4
  service: exponentail
link:
  uplink: 10
  downlink: 20 Mb/s
  dely: 15 ms
server: {device: t4, workers: 0}
workload:
  arrivals: possion
simulation: {replications: 1, warmup: 5}
objectives: {latency_p95_s: smallest}
sweep:
  pruning.ratio: [0.5, 2]
  server.worker: [1]
"""
    bit_rate = "write a number and a unit, such as '10 Mbit/s' or '2.5 MB/s' or '500 kbit/s'"
    seconds = "write a number and a unit, such as '20 ms' or '1.5 s'"
    expected = [
        "FILE:1: name: must match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$', got 'has a space'; ",
        "FILE:2: modle: unknown key; did you mean 'model'? known: calibration, codec, ",
        "FILE:1: model: is required; add it: The trained network.",
        "FILE:3: data.test: must be a valid integer, got 10.5; ",
        "FILE:5: pruning.ratio: must be less than 1, got 1.5; ",
        "FILE:6: pruning.granularity: must be 'weights' or 'filters', got 'weight'; did you mean",
        "FILE:7: pruning.exclude: must be a list, in brackets, got 'fc1'; ",
        "FILE:8: split.cut: is required; add it: The boundary after this operation or block;",
        "FILE:9: split.cutt: unknown key; did you mean 'cut'? known: bottleneck, cut",
        "FILE:10: codec: must be a mapping of keys, got 'uint8'; write 'key: value' lines; How ",
        "FILE:13: edge.service: must be 'deterministic' or 'exponential', got 'exponentail'; did ",
        f"FILE:15: link.uplink: must be a bit rate with its unit, got 10; {bit_rate}",
        f"FILE:16: link.downlink: must be a bit rate with its unit, got '20 Mb/s'; {bit_rate}",
        "FILE:17: link.dely: unknown key; did you mean 'delay'? known: delay, ",
        "FILE:18: server.workers: must be greater than or equal to 1, got 0; ",
        "FILE:20: workload.arrivals: must be 'poisson', 'periodic', 'bursty', 'diurnal', ",
        "FILE:21: simulation.replications: must be greater than or equal to 2, got 1; ",
        f"FILE:21: simulation.warmup: must be a duration with its unit, got 5; {seconds}",
        "FILE:22: objectives.latency_p95_s: must be 'min' or 'max', got 'smallest'; known: max, ",
        "FILE:24: sweep.pruning.ratio[1]: must be less than 1, got 2; ",
        "FILE:25: sweep.server.worker[0]: unknown key; did you mean 'workers'? known: background, ",
    ]
    found = faults(tmp_path, text)
    assert len(found) == len(expected)
    for beginning in expected:
        assert [line for line in found if line.startswith(beginning)], beginning


def test_every_faulty_constraint_is_shown_on_its_own_line(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "constraints:\n  accuracy: 0.9\n  latency_p95_s: low\n"
    found = faults(tmp_path, text)
    assert [line.partition(": must be a ")[0] for line in found] == [
        "FILE:9: constraints.accuracy",
        "FILE:10: constraints.latency_p95_s",
    ]


@pytest.mark.parametrize("section", ["objectives", "constraints"])
def test_every_unknown_metric_is_shown_on_its_own_line(tmp_path: Path, section: str) -> None:
    bound = "max" if section == "objectives" else "'>= 1'"
    text = f"{SCENARIO_YAML}{section}:\n  acuracy: {bound}\n  throughput: {bound}\n"
    found = faults(tmp_path, text)
    assert [line.partition(": ")[0] for line in found] == ["FILE:9", "FILE:10"]
    assert "did you mean 'accuracy'?" in found[0]
    assert "did you mean 'throughput_per_s'?" in found[1]


def test_a_key_that_is_a_number_is_refused_on_its_line(tmp_path: Path) -> None:
    found = faults(tmp_path, SCENARIO_YAML + "pruning:\n  ratio: 0.5\n  1: 2\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:10: pruning")


def test_a_section_left_empty_is_refused_as_no_mapping(tmp_path: Path) -> None:
    found = faults(tmp_path, SCENARIO_YAML + "pruning:\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:8: pruning: must be a mapping of keys")
    assert found[0].endswith("What to remove.")


def test_too_few_requests_are_a_fault_of_the_duration(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "simulation: {warmup: 59 s}\n"
    assert faults(tmp_path, text) == [
        (
            "FILE:7: workload.duration: must leave at least 30 requests after the warm-up, and"
            " leaves 12 at this rate; lengthen the run, raise the rate or shorten simulation.warmup"
        ),
    ]


def test_a_swept_value_is_refused_on_its_own_line(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  pruning.ratio:\n    - 0.5\n    - 1.5\n    - -1\n"
    found = faults(tmp_path, text)
    assert found[0].startswith("FILE:11: sweep.pruning.ratio[1]: must be less than 1, got 1.5; ")
    assert found[1].startswith("FILE:12: sweep.pruning.ratio[2]: must be greater than or equal")
    assert len(found) == 2


def test_a_fault_inside_a_swept_mapping_is_placed_in_that_mapping(tmp_path: Path) -> None:
    text = (
        SCENARIO_YAML + "sweep:\n  edge:\n    - device: t4\n    - device: t4\n      service: odd\n"
    )
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("FILE:12: sweep.edge[1].service: must be 'deterministic'")


def test_a_value_of_the_base_that_no_point_keeps_is_still_checked(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "pruning: {ratio: 7}\nsweep: {pruning.ratio: [0.5]}\n"
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("FILE:8: pruning.ratio: must be less than 1, got 7")


def test_an_override_replaces_the_files_value(tmp_path: Path) -> None:
    file = load(tmp_path, SCENARIO_YAML, link__uplink="5 Mbit/s", pruning__ratio=0.6)
    assert (file.scenario.link.uplink, file.scenario.pruning.ratio) == (5e6, 0.6)
    assert file.scenario.link.downlink == 20e6
    assert file.overrides == {"link.uplink", "pruning.ratio"}


def test_an_override_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    load(tmp_path, SCENARIO_YAML, link__uplink="5 Mbit/s")
    assert load(tmp_path, SCENARIO_YAML).scenario.link.uplink == 10e6


def test_a_faulty_override_is_placed_at_its_option(tmp_path: Path) -> None:
    overrides = {"pruning.ratio": 2, "link.dely": "1 s", "edge": 5}
    found = faults(tmp_path, SCENARIO_YAML, overrides)
    assert len(found) == 3
    assert any(line.startswith("--set pruning.ratio: must be") for line in found)
    assert any(line.startswith("--set link.dely: unknown key; did") for line in found)
    assert any(line.startswith("--set edge: must be a mapping") for line in found)


def test_an_option_inside_swept_sections_is_blamed_once_and_no_line_of_the_sweep() -> None:
    for path, value in (("pruning.ratio", 1), ("pruning.rato", 0.5)):
        with pytest.raises(ScenarioError, match=path) as caught:
            load_scenario(QUICKSTART, {path: value})
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"--set {path}: ")


@pytest.mark.parametrize("delta", [3, -0.1, "often", True, [0.3], float("nan")])
def test_a_delta_that_is_neither_number_nor_auto_is_one_fault(tmp_path: Path, delta: Any) -> None:
    (line,) = faults(tmp_path, SCENARIO_YAML, {"pruning.delta": delta})
    assert line.startswith("--set pruning.delta: must be a number from 0 to 1, or auto, got ")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [([], "must have 1 or more entries"), (["0 s", "1 Mbit/s"], "must be a list, in brackets")],
)
def test_a_list_that_is_none_is_refused_without_pydantics_words(
    tmp_path: Path, schedule: list[str], said: str
) -> None:
    found = faults(tmp_path, SCENARIO_YAML, {"link.uplink": {"schedule": schedule}})
    assert len(found) == max(1, len(schedule))
    assert all(said in line for line in found)


def test_an_unknown_section_is_placed_at_the_option_or_sweep_that_made_it(tmp_path: Path) -> None:
    found = faults(tmp_path, SCENARIO_YAML, {"link.delay": "1 s", "lnk.delay": "1 s"})
    assert len(found) == 1
    assert found[0].startswith("--set lnk.delay: lnk: unknown key; did you mean 'link'?")
    found = faults(tmp_path, SCENARIO_YAML + "sweep:\n  lnk.delay:\n    - 1 s\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:10: sweep.lnk.delay[0]: unknown key; did you mean 'link'?")


def test_an_override_below_a_plain_value_is_placed_at_its_option(tmp_path: Path) -> None:
    found = faults(tmp_path, SCENARIO_YAML, {"edge.device.name": "t4"})
    assert found[0].startswith("--set edge.device.name: edge.device: must be a valid string")


def test_a_mapping_given_as_override_merges_and_blames_only_what_it_sets(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("20 Mbit/s", "fast")
    found = faults(tmp_path, text, {"link": {"uplink": "1 Mbit/s"}})
    assert len(found) == 1
    assert found[0].startswith("FILE:5: link.downlink: must be a bit rate")


def test_an_override_pins_a_swept_key(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: {pruning.ratio: [0.1, 0.2], server.workers: [1, 2]}\n"
    file = load(tmp_path, text, pruning__ratio=0.5)
    assert [point.values for point in file.points] == [{"server.workers": 1}, {"server.workers": 2}]
    assert {point.scenario.pruning.ratio for point in file.points} == {0.5}


def test_pinning_the_only_swept_key_makes_a_study_one_run(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: {pruning.ratio: [0.1, 0.2]}\n"
    file = load(tmp_path, text, pruning__ratio=0.5)
    assert not file.is_study
    assert "sweep" not in file.resolved()
    assert [point.scenario.pruning.ratio for point in file.points] == [0.5]


def test_an_override_of_a_key_pins_it_in_swept_mappings_too(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: {pruning: [{ratio: 0.1, seed: 1}, {ratio: 0.2, seed: 2}]}\n"
    file = load(tmp_path, text, pruning__ratio=0.5)
    assert {point.scenario.pruning.ratio for point in file.points} == {0.5}


def test_an_override_of_a_deep_key_pins_it_in_swept_mappings_that_set_it(tmp_path: Path) -> None:
    swept = "[{relevance: {sum: signed}}, {relevance: {target: predicted}}, {seed: 3}]"
    text = f"{SCENARIO_YAML}sweep: {{pruning: {swept}}}\n"
    file = load_scenario(write_yaml(tmp_path, text), {"pruning.relevance.sum": "absolute"})
    found = [point.scenario.pruning for point in file.points]
    assert {pruning.relevance.sum for pruning in found} == {"absolute"}
    assert [(pruning.relevance.target, pruning.seed) for pruning in found] == [
        ("label", 0),
        ("predicted", 0),
        ("label", 3),
    ]


def test_an_override_does_not_hide_a_swept_section_that_is_no_mapping(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  pruning: [{ratio: 0.1}, 5]\n"
    found = faults(tmp_path, text, {"pruning.ratio": 0.5})
    assert len(found) == 1
    assert found[0].startswith("FILE:9: sweep.pruning[1]: must be a mapping of keys, got 5")


def test_an_override_does_not_hide_an_empty_grid(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  - pruning.ratio: [0.1]\n  - {}\n"
    found = faults(tmp_path, text, {"link.delay": "1 ms"})
    assert len(found) == 1
    assert found[0].startswith("FILE:10: sweep[1]: must map dotted paths to ")


def test_an_override_of_a_section_pins_its_swept_keys(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: {pruning.ratio: [0.1, 0.2]}\n"
    file = load_scenario(write_yaml(tmp_path, text), {"pruning": {"ratio": 0.5}})
    assert {point.scenario.pruning.ratio for point in file.points} == {0.5}


def test_pinning_a_whole_grid_leaves_the_places_of_the_others_right(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  - pruning.ratio: [0.1]\n  - link.uplink: [fast]\n"
    found = faults(tmp_path, text, {"pruning.ratio": 0.2})
    assert len(found) == 1
    assert found[0].startswith("FILE:10: sweep[1].link.uplink[0]: must be a bit rate")


def test_an_override_can_add_a_sweep(tmp_path: Path) -> None:
    file = load_scenario(write_yaml(tmp_path, SCENARIO_YAML), {"sweep.pruning.ratio": [0.1, 0.2]})
    assert [point.values for point in file.points] == [
        {"pruning.ratio": 0.1},
        {"pruning.ratio": 0.2},
    ]


def test_an_override_can_add_a_sweep_where_the_files_is_empty(tmp_path: Path) -> None:
    file = write_yaml(tmp_path, SCENARIO_YAML + "sweep:\n")
    assert len(load_scenario(file, {"sweep.pruning.ratio": [0.1, 0.2]}).points) == 2


@pytest.mark.parametrize("value", [["fast"], 5])
def test_a_faulty_sweep_by_override_is_placed_at_its_option(tmp_path: Path, value: object) -> None:
    found = faults(tmp_path, SCENARIO_YAML, {"sweep.link.uplink": value})
    assert len(found) == 1
    assert found[0].startswith("--set sweep.link.uplink")


def test_a_sweep_by_override_is_refused_where_the_file_lists_grids(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: [{pruning.ratio: [0.1]}]\n"
    assert faults(tmp_path, text, {"sweep.pruning.ratio": [0.2]}) == [
        (
            "--set sweep.pruning.ratio: can't be set where the sweep is a list"
            " of grids, got [0.2]; edit the file"
        ),
    ]


@pytest.mark.parametrize(
    ("path", "line"), [("pruning.ratio", 10), ("link.uplink", 5), ("simulation.seed", 1)]
)
def test_a_later_fault_of_a_point_is_placed_where_the_file_sets_the_key(
    tmp_path: Path, path: str, line: int
) -> None:
    text = SCENARIO_YAML + "sweep:\n  pruning.ratio:\n    - 0.1\n"
    file = load(tmp_path, text)
    fault = file.fault(file.points[0], path, "is odd", 3, "make it even")
    assert fault.place == f"{file.source.file}:{line}"
    assert (fault.rule, fault.value, fault.remedy) == ("is odd", 3, "make it even")


def test_a_later_fault_of_an_override_is_placed_at_its_option(tmp_path: Path) -> None:
    file = load(tmp_path, SCENARIO_YAML, split__cut="pool9")
    fault = file.fault(file.points[0], "split.cut", "must be a boundary", "pool9")
    assert str(fault) == "--set split.cut: must be a boundary, got 'pool9'"


def again(file: ScenarioFile[Scenario], folder: Path) -> ScenarioFile[Scenario]:
    text = yaml.safe_dump(file.resolved(), sort_keys=False, allow_unicode=True)
    return load_scenario(write_yaml(folder, text, "again.yaml"))


@pytest.mark.parametrize(
    "sweep",
    [
        "",
        "sweep: {pruning.ratio: [0, 0.3], link.uplink: [1 Mbit/s, 2 Mbit/s]}\n",
        "sweep: {link.uplink: {from: 1 Mbit/s, to: 50 Mbit/s, steps: 6, scale: log}}\n",
        "sweep: [{pruning.ratio: [0.1]}, {server.workers: {from: 1, to: 4, steps: 4}}]\n",
        "sweep: {edge: [{device: t4}, {device: jetson-nano, service_time: 3 ms}]}\n",
        "constraints: {accuracy: '>= 0.9', latency_p95_s: <=0.2}\nobjectives: {accuracy: max}\n",
        "data: {dataset: mnist5k}\npruning: {delta: 0.3, exclude: [fc1]}\n",
    ],
)
def test_the_resolved_scenario_is_read_as_the_same_scenario_and_points(
    tmp_path: Path, sweep: str
) -> None:
    file = load(tmp_path, SCENARIO_YAML + sweep)
    copy = again(file, tmp_path)
    assert copy.scenario == file.scenario
    assert [point.scenario for point in copy.points] == [point.scenario for point in file.points]
    assert [point.values for point in copy.points] == [point.values for point in file.points]


def test_the_resolved_scenario_holds_overrides_and_pins(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: {pruning.ratio: [0.1, 0.2], server.workers: [1, 2]}\n"
    file = load(tmp_path, text, pruning__ratio=0.5, link__delay="7 ms")
    copy = again(file, tmp_path)
    assert copy.scenario == file.scenario
    assert [point.scenario for point in copy.points] == [point.scenario for point in file.points]


def test_the_base_may_leave_out_a_key_that_the_sweep_gives(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("{rate: 12 /s}", "{duration: 90 s}")
    file = load(tmp_path, text + "sweep: {workload.rate: [5 /s, 6 /s]}\n")
    assert [point.scenario.workload.rate for point in file.points] == [5, 6]
    assert file.scenario.workload.rate == 5
    assert again(file, tmp_path).scenario == file.scenario


def test_a_grid_that_does_not_sweep_the_omitted_key_takes_its_first_value(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("{rate: 12 /s}", "{duration: 90 s}")
    grids = ["link.uplink: [1 Mbit/s]", "workload.rate: [5 /s, 6 /s]", "workload.rate: [7 /s]"]
    file = load(tmp_path, text + "sweep:\n" + "".join(f"  - {grid}\n" for grid in grids))
    assert [point.scenario.workload.rate for point in file.points] == [5, 5, 6, 7]
    copy = again(file, tmp_path)
    assert [point.scenario for point in copy.points] == [point.scenario for point in file.points]


def test_a_whole_section_may_come_from_the_sweep(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("server: {device: t4}\n", "")
    file = load(tmp_path, text + "sweep: {server: [{device: t4}, {device: a100}]}\n")
    assert [point.scenario.server.device for point in file.points] == ["t4", "a100"]


def test_an_omitted_key_whose_swept_values_are_wrong_is_placed_in_the_sweep(tmp_path: Path) -> None:
    text = SCENARIO_YAML.replace("{rate: 12 /s}", "{duration: 90 s}")
    found = faults(tmp_path, text + "sweep:\n  workload.rate: [5]\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:9: sweep.workload.rate[0]: must be a rate of events")


def test_a_system_leaves_the_model_half_out(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "pruning: nonsense\ncodec: [1]\n"
    file = load_system_scenario(write_yaml(tmp_path, text))
    assert type(file.scenario) is SystemScenario
    assert not set(file.resolved()) & set(MODEL_SECTIONS)


def test_a_system_needs_no_model_half(tmp_path: Path) -> None:
    text = "\n".join(
        line for line in SCENARIO_YAML.splitlines() if not line.startswith(("model", "split"))
    )
    whole = load_system_scenario(write_yaml(tmp_path, SCENARIO_YAML))
    assert load_system_scenario(write_yaml(tmp_path, text)).scenario == whole.scenario


def test_a_system_may_sweep_its_own_half(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep: [{link.uplink: [1 Mbit/s]}, {server.workers: [2]}]\n"
    assert len(load_system_scenario(write_yaml(tmp_path, text)).points) == 2


def test_a_system_refuses_to_sweep_the_model_half(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  link.uplink: [1 Mbit/s]\n  pruning.ratio: [0.1]\n"
    assert system_faults(tmp_path, text) == [
        (
            "FILE:10: sweep.pruning.ratio: is part of the profile and can't vary in a simulation of"
            " it; remove it, or use 'flexrel-sim run', which measures a profile per point"
        ),
    ]


def test_a_system_refuses_the_model_half_in_every_grid_and_override(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  - pruning.ratio: [0.1]\n  - split: [{cut: pool1}]\n"
    found = system_faults(tmp_path, text, {"codec.level": 9, "link.delay": "1 ms"})
    assert [line.partition(" is part")[0] for line in found] == [
        "FILE:9: sweep[0].pruning.ratio:",
        "FILE:10: sweep[1].split:",
        "--set codec.level:",
    ]


def test_a_system_refuses_a_sweep_of_the_model_half_by_override(tmp_path: Path) -> None:
    found = system_faults(tmp_path, SCENARIO_YAML, {"sweep.pruning.ratio": [0.1]})
    assert len(found) == 1
    assert found[0].startswith("--set sweep.pruning.ratio: ")
    assert "is part of the profile" in found[0]


@pytest.mark.parametrize("sweep", ["sweep: [3]\n", "sweep: 3\n", "sweep: text\n"])
def test_a_system_refuses_a_sweep_that_is_no_grid(tmp_path: Path, sweep: str) -> None:
    found = system_faults(tmp_path, SCENARIO_YAML + sweep)
    assert "must map dotted paths to " in found[0]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("pruning.ratio=0.6", "pruning.ratio", 0.6),
        ("link.uplink=5 Mbit/s", "link.uplink", "5 Mbit/s"),
        (" server.workers = 2", "server.workers", 2),
        ("pruning.exclude=[a, b]", "pruning.exclude", ["a", "b"]),
        ("constraints.accuracy='>= 0.9'", "constraints.accuracy", ">= 0.9"),
        ("a=b=c", "a", "b=c"),
        ("data.dataset=", "data.dataset", None),
    ],
)
def test_an_override_is_read_as_path_and_yaml_value(text: str, path: str, value: object) -> None:
    assert parse_override(text) == (path, value)


@pytest.mark.parametrize(
    "text",
    [
        "pruning.ratio",
        "",
        "=3",
        " =3",
        "a=[1",
        "a=!!python/name:os.system",
        "a=b: c: d",
        "a=2024-99-99",
        "a=!!bool maybe",
        "a=!!timestamp soon",
        "a=!!int ''",
        "a=" + "[" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_an_override_that_is_no_path_and_yaml_value_is_refused_at_its_option(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"^--set .*: must be path=value.*write --set pruning"):
        parse_override(text)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("abc .[]{}:\n", max_size=8)
    | st.sampled_from(["10 Mbit/s", "5 ms", "exponential", "t4"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["uplink", "rate", "from", "to", "steps", "link.uplink", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*Scenario.model_fields, "nonsense", "link.uplink"]), JUNK, max_size=5
    )
)
def test_whatever_a_file_holds_it_is_read_or_refused_with_places(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    data = yaml.safe_load(SCENARIO_YAML) | changes
    folder = tmp_path_factory.mktemp("junk")
    file = write_yaml(folder, yaml.safe_dump(data, allow_unicode=True))
    places, points = [f"{file}:1"], 1
    try:
        points = len(load_scenario(file).points)
    except ScenarioError as error:
        places = [fault.place for fault in error.faults]
    assert points
    assert places
    assert all(re.fullmatch(rf"{re.escape(str(file))}:[1-9]\d*", place) for place in places)


def test_a_study_with_an_emptied_grid_still_resolves_to_a_file_that_runs(tmp_path: Path) -> None:
    text = SCENARIO_YAML + "sweep:\n  - pruning.ratio: [0.1]\n  - server.workers: [1, 2]\n"
    file = load_scenario(write_yaml(tmp_path, text), {"pruning.ratio": 0.2})
    resolved = write_yaml(tmp_path, yaml.safe_dump(file.resolved()), "resolved.yaml")
    again = load_scenario(resolved)
    assert [point.scenario for point in again.points] == [point.scenario for point in file.points]
    assert [point.scenario.server.workers for point in again.points] == [1, 2]


def test_a_set_mapping_is_merged_and_null_takes_away_what_is_optional(tmp_path):
    data = yaml.safe_load(SCENARIO_YAML)
    data["constraints"] = {"accuracy": ">= 0.9", "latency_p95_s": "<= 0.2"}
    data["updates"] = {"initial": True}
    file = write_yaml(tmp_path, yaml.safe_dump(data))
    changed = {"constraints": {"accuracy": ">= 0.8"}, "updates": None}
    scenario = load_scenario(file, changed).scenario
    assert {name: str(bound) for name, bound in scenario.constraints.items()} == {
        "accuracy": ">= 0.8",
        "latency_p95_s": "<= 0.2",
    }
    assert scenario.updates is None
    with pytest.raises(ScenarioError, match="--set constraints.accuracy: must be a bound"):
        load_scenario(file, {"constraints.accuracy": None})
