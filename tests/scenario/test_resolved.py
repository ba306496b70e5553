"""The resolved scenario of a result folder is the scenario: it loads again, to the same points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.scenario import Scenario, ScenarioFile, load_scenario, read_yaml
from flexrel_sim.scenario.file_keys import moved, value_text
from flexrel_sim.scenario.load import option_points
from flexrel_sim.scenario.sweep import set_path
from flexrel_sim.study.check import system_faults
from tests.builders import SCENARIO_YAML

ROOT = Path(__file__).parents[2]

SHIPPED = [
    file
    for file in sorted((ROOT / "scenarios").glob("*.yaml"))
    if "pairs" not in read_yaml(file).data
]

# Kinds of every optional section; a scenario takes any of them.
CHOICES: dict[str, list[Any]] = {
    "server.batch": [
        {"size": 4},
        {"size": 4, "timeout": "2 ms", "time": {"model": "roofline"}},
        {"size": 4, "time": {"model": "linear", "per_request": "2 ms"}},
        {"size": 8, "time": {"model": "table", "sizes": [1, 8], "times": ["7 ms", "20 ms"]}},
    ],
    "server.background": [{"rate": "5 /s", "service_time": "2 ms"}],
    "server.failures": [{"windows": [["1 s", "2 s"]]}, {"mean_up": "9 s", "mean_down": "1 s"}],
    "edge.buffer": [0, 3],
    "edge.battery": ["10 Wh"],
    "link.uplink": [
        {"schedule": [["0 s", "1 Mbit/s"], ["2 s", "0 bit/s"]], "repeat": "3 s"},
        {"markov": {"rates": ["1 Mbit/s", "0 bit/s"], "dwell": ["1 s", "2 s"]}, "seed": 3},
        {"generate": "lte", "mean": "6 Mbit/s", "transport": "udp-arq", "attempts": 3},
        {"rate": "2 Mbit/s", "outage": {"windows": [["1 s", "2 s"]]}, "jitter": {"mean": "1 ms"}},
        {"rate": "2 Mbit/s", "outage": {"mean_up": "1 min", "mean_down": "1 s"}},
        {"token_bucket": {"rate": "1 Mbit/s", "burst": "10 kB"}, "buffer": {"messages": 3}},
        {"rate": "1 Mbit/s", "transport": "udp", "loss": {"bernoulli": 0.1}},
    ],
    "link.medium": ["half-duplex"],
    "workload.bursts": [{"factor": 3, "mean_on": "1 s", "mean_off": "2 s"}],
    "updates": [{"initial": True}, {"period": "10 s", "broadcast": True}],
    "controller": [
        {"policy": "ema", "options": [{"split.cut": "edge"}, {}], "weight": 0.2},
        {"policy": "static", "options": [{"pruning.granularity": "filters"}]},
        {"policy": "change-point", "options": [{}], "probe": None},
        {"policy": "edgent", "options": [{}], "probe": "5 s"},
    ],
    "calibration.where": ["edge"],
    "pruning": [{"ratio": 0.5}, {"granularity": "filters", "ratio": 0.5, "delta": "auto"}],
    "data.deployment": [{"classes": [1, 2], "corruption": {"kind": "blur"}}],
    "codec": [{"dtype": "int4", "scale": "channel"}, {"image": {"format": "jpeg"}}],
    "constraints": [{"accuracy": ">= 0.9", "latency_p95_s": "<= 0.2"}],
    "sweep": [
        {"pruning.granularity": ["weights", "filters"], "pruning.ratio": [0.1]},
        [{"link.uplink": ["1 Mbit/s", "2 Mbit/s"]}, {"server.workers": [1, 2]}],
        {"server.batch.size": [2, 4], "edge.count": {"from": 1, "to": 3, "steps": 3}},
        {"pruning": [{"granularity": "filters"}, {"criterion": "magnitude"}]},
        {"codec": [{"dtype": "float16"}, {"image": {"format": "png"}}]},
        {
            "controller.policy": ["static", "ema", "change-point", "oracle"],
            "controller.options": [[{}]],
        },
    ],
}

optional = st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in CHOICES.items()})


def points(scenario_file: ScenarioFile[Scenario]) -> list[str]:
    return [point.scenario.model_dump_json() for point in scenario_file.points]


def options(scenario_file: ScenarioFile[Scenario]) -> list[str]:
    found = []
    for point in scenario_file.points:
        own, faults = option_points(scenario_file, point)
        assert not faults
        found += [option.scenario.model_dump_json(exclude={"controller"}) for option in own]
    return found


def refusals(scenario_file: ScenarioFile[Scenario]) -> list[str]:
    """Tell what is found once a file has loaded, wherever it stands."""
    return [f"{fault.path}: {fault.rule}" for fault in system_faults(scenario_file)]


def written(data: Any, file: Path) -> Path:
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_scenarios_resolved_file_is_the_scenario(file: Path, tmp_path: Path) -> None:
    loaded = load_scenario(file)
    movable = moved(loaded.resolved(), file.parent, {"model.network"})
    again = load_scenario(written(movable, tmp_path / "scenario.yaml"))
    assert again.resolved() == movable
    for own in (points, options):
        assert own(again) == [
            text.replace("../models", str(ROOT / "models")) for text in own(loaded)
        ]
    assert refusals(again) == refusals(loaded) == []
    assert [point.values for point in again.points] == [point.values for point in loaded.points]


@settings(max_examples=150)
@given(optional)
def test_a_resolved_scenario_loads_again_to_the_same_points_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("resolved")
    data = yaml.safe_load(SCENARIO_YAML)
    for path, value in chosen.items():
        set_path(data, path, value)
    loaded = load_scenario(written(data, folder / "one.yaml"))
    again = load_scenario(written(loaded.resolved(), folder / "two.yaml"))
    assert points(again) == points(loaded)
    assert options(again) == options(loaded)
    assert refusals(again) == refusals(loaded)
    assert again.resolved() == loaded.resolved()


@pytest.mark.parametrize(
    ("given", "sweep"),
    [
        ({}, {"link.uplink": ["1 Mbit/s", "2 Mbit/s"]}),
        ({}, {"link.uplink": [{"generate": "lte", "mean": "6 Mbit/s"}]}),
        ({"edge": {"count": 3}}, {"edge.device": ["t4", "raspberry-pi-4"]}),
        ({"edge": None}, {"edge.device": ["t4"], "edge.count": [2, 3]}),
    ],
)
def test_what_the_sweep_lends_is_lent_again(
    tmp_path: Path, given: dict[str, Any], sweep: dict[str, Any]
) -> None:
    data = {**yaml.safe_load(SCENARIO_YAML), **given, "sweep": sweep}
    del data["link"]["uplink"]
    data["sweep"].setdefault("link.uplink", ["1 Mbit/s"])
    if data["edge"] is None:
        del data["edge"]
    loaded = load_scenario(written(data, tmp_path / "one.yaml"))
    again = load_scenario(written(loaded.resolved(), tmp_path / "two.yaml"))
    assert set(again.base_from_sweep) == set(loaded.base_from_sweep) != set()
    assert points(again) == points(loaded)
    assert again.scenario == loaded.scenario


def test_an_option_of_a_controller_goes_with_any_server(tmp_path: Path) -> None:
    data = yaml.safe_load(SCENARIO_YAML)
    data["server"]["batch"] = {"size": 8}
    data["controller"] = {"policy": "ema", "options": [{"split.cut": "edge"}, {}]}
    loaded = load_scenario(written(data, tmp_path / "batched.yaml"))
    found, faults = option_points(loaded, loaded.points[0])
    assert not faults
    assert [option.scenario.split.cut for option in found] == ["edge", "pool2"]
    assert all(option.scenario.server == loaded.scenario.server for option in found)


def test_the_default_criterion_of_an_option_follows_its_granularity(tmp_path: Path) -> None:
    data = yaml.safe_load(SCENARIO_YAML)
    data["controller"] = {"policy": "static", "options": [{}, {"pruning.granularity": "filters"}]}
    loaded = load_scenario(written(data, tmp_path / "options.yaml"))
    found, _ = option_points(loaded, loaded.points[0])
    assert [o.scenario.pruning.criterion for o in found] == ["flexrel-lamp", "relevance"]


def test_every_file_that_a_scenario_may_name_is_found_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("x")
    (tmp_path / "images").mkdir()
    here = str((tmp_path / "here.txt").resolve())
    data = {
        "edge": {"device": "here.txt", "radio": "lte-2012"},
        "link": {"uplink": {"trace": "here.txt"}, "downlink": "1 Mbit/s"},
        "data": {"dataset": "images"},
        "controller": {"options": [{"split.bottleneck": "here.txt"}, {}]},
        "sweep": [{"edge": [{"radio": "here.txt"}], "workload.file": ["here.txt", "gone.txt"]}],
        "name": "here.txt",
    }
    assert moved(data, tmp_path) == {
        "edge": {"device": here, "radio": "lte-2012"},
        "link": {"uplink": {"trace": here}, "downlink": "1 Mbit/s"},
        "data": {"dataset": str((tmp_path / "images").resolve())},
        "controller": {"options": [{"split.bottleneck": here}, {}]},
        "sweep": [{"edge": [{"radio": here}], "workload.file": [here, "gone.txt"]}],
        "name": "here.txt",
    }


def test_a_swept_file_is_told_by_its_name_wherever_it_lies() -> None:
    assert value_text("edge.device", "/a/b/board.yaml") == "board.yaml"
    assert value_text("link.uplink", "2 Mbit/s") == "2 Mbit/s"
