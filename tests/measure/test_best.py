"""`cut: best`, against every cut measured and simulated on its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.codec import Codec
from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import list_devices
from flexrel_sim.links.resolve import resolve
from flexrel_sim.measure import MeasureSpec, check, make_spec
from flexrel_sim.measure.best import mean_payloads
from flexrel_sim.measure.network import measure_network
from flexrel_sim.measure.spec import Target
from flexrel_sim.networks import CardFile
from flexrel_sim.partition import trace
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import load_scenario
from flexrel_sim.simulation import build_system
from tests.builders import write_yaml
from tests.measure.scenarios import scenario_of, spec_of
from tests.measure.test_check import TEXT
from tests.networks.cards import TINY_LAYERS

DEVICES = (list_devices()["raspberry-pi-zero-2w"], list_devices()["t4"])
CUTS = ("server", *TINY_LAYERS[:-1], "edge")


def sections(uplink: str, **more: Any) -> dict[str, Any]:
    return {
        "edge": {"device": "raspberry-pi-zero-2w"},
        "link": {"uplink": uplink, "delay": "3 ms"},
        "codec": {"dtype": "float32"},
    } | more


def best_spec(card_file: CardFile, uplink: str, **more: Any) -> MeasureSpec:
    split = {"cut": "best"} | more.pop("split", {})
    scenario = scenario_of(split=split, **sections(uplink, **more))
    link = resolve(scenario.link, Path())
    return make_spec(scenario, card_file, target=Target(*DEVICES, link.uplink, link.downlink))


def zero_load_s(profile: Profile, spec: MeasureSpec) -> float:
    system = build_system(spec.scenario, profile, Path(), resolve(spec.scenario.link, Path()))
    stages = system.stages(float(profile.payload_bytes.mean()))
    delay_s = 2 * spec.scenario.link.delay if profile.crosses_link else 0.0
    return sum(stage.mean_service_time_s for stage in stages) + delay_s


@pytest.mark.parametrize("pruning", [{}, {"granularity": "filters", "ratio": 0.4}])
@pytest.mark.parametrize("uplink", ["1 kbit/s", "300 kbit/s", "1 Mbit/s", "1 Gbit/s"])
def test_the_best_cut_is_the_one_whose_own_profile_has_the_least_zero_load_latency(
    tiny: CardFile, uplink: str, pruning: dict[str, Any]
) -> None:
    named = [spec_of(tiny, split={"cut": cut}, pruning=pruning, **sections(uplink)) for cut in CUTS]
    *others, best = measure_network([*named, best_spec(tiny, uplink, pruning=pruning)])
    latencies_s = [zero_load_s(one, spec) for one, spec in zip(others, named, strict=True)]
    fastest = int(np.argmin(latencies_s))
    split = best.operating_point["split"]
    assert split["cut"] == CUTS[fastest]
    assert split["best"]["latency_s"] == pytest.approx(latencies_s[fastest], rel=1e-12)
    # On a chain nothing beats a cut that has a name.
    assert split["best"]["least_latency_s"] == pytest.approx(latencies_s[fastest], rel=1e-12)
    assert best.correct.tolist() == others[fastest].correct.tolist()
    assert best.layers == others[fastest].layers


def test_throughput_asks_for_the_least_busy_stage(tiny: CardFile) -> None:
    more = {"split": {"objective": "throughput"}, "server": {"workers": 2}}
    (best,) = measure_network([best_spec(tiny, "100 kbit/s", **more)])
    named = [spec_of(tiny, split={"cut": cut}, **sections("100 kbit/s")) for cut in CUTS]
    busiest_s = {}
    for profile, spec in zip(measure_network(named), named, strict=True):
        scenario = best_spec(tiny, "100 kbit/s", **more).scenario
        system = build_system(scenario, profile, Path(), resolve(scenario.link, Path()))
        stages = system.stages(float(profile.payload_bytes.mean()))
        busiest_s[spec.scenario.split.cut] = max(s.mean_service_time_s / s.workers for s in stages)
    split = best.operating_point["split"]
    assert split["best"]["busiest_s"] == pytest.approx(min(busiest_s.values()), rel=1e-12)
    assert busiest_s[split["cut"]] == min(busiest_s.values())


def test_what_the_cut_is_chosen_for_is_part_of_the_key_and_of_no_other_points(
    tiny: CardFile,
) -> None:
    slow, fast = best_spec(tiny, "1 kbit/s"), best_spec(tiny, "1 Gbit/s")
    assert slow.key != fast.key
    assert slow.network_key == fast.network_key
    named = [
        spec_of(tiny, split={"cut": "pool1"}, link={"uplink": rate})
        for rate in ("1 kbit/s", "1 Gbit/s")
    ]
    assert named[0].key == named[1].key
    with pytest.raises(ValueError, match="needs the devices"):
        make_spec(slow.scenario, tiny)


def test_payloads_are_the_encoded_bytes_of_each_value_and_of_tensors_only() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 6)

        def forward(self, source: Tensor) -> Tensor:
            order = self.inner(source).argsort(1)
            low, high = self.inner(source).chunk(2, 1)
            return low + high * source.shape[1] + order[:, :3]

    graph = trace(Mixed().float())
    images = torch.rand(5, 4, dtype=torch.float32)
    found = mean_payloads(graph, Codec("float16", checksum=False), images)
    sizes = {graph.names[value]: size for value, size in found.items()}
    assert sizes["input"] == 8
    assert sizes["inner"] == sizes["inner@2"] == 12
    assert sizes["add@2"] == 6
    # Indices are no float32, and a pair or a size is no tensor.
    assert not {"argsort", "chunk", "getattr"} & sizes.keys()
    assert math.isclose(sizes["add"], 6)


def faults(folder: Path, text: str) -> list[str]:
    file = write_yaml(folder, text)
    with pytest.raises(ScenarioError, match=": ") as caught:
        check(load_scenario(file))
    return str(caught.value).replace(str(file), "FILE").splitlines()


BEST_TEXT = TEXT.replace("cut: pool1", "cut: best")


def test_a_cut_that_is_to_be_chosen_is_checked_with_its_devices(folder: Path) -> None:
    (spec,) = check(load_scenario(write_yaml(folder, BEST_TEXT))).specs
    assert spec.target is not None
    assert (spec.target.edge, spec.target.server) == (
        list_devices()["raspberry-pi-4"],
        list_devices()["t4"],
    )
    (fault,) = faults(folder, BEST_TEXT.replace("device: t4", "device: t5"))
    assert fault.startswith("FILE:10: server.device: unknown device, got 't5'; did you mean 't4'?")


def test_a_device_file_that_is_wrong_is_told_where_it_is_wrong(folder: Path) -> None:
    (folder / "own.yaml").write_text("description: mine\n")
    found = faults(folder, BEST_TEXT.replace("device: t4", "device: own.yaml"))
    assert all(fault.startswith(f"{folder / 'own.yaml'}") for fault in found)
    assert len(found) > 3


def test_measured_times_and_pruning_at_the_cut_need_a_cut_with_a_name(folder: Path) -> None:
    text = BEST_TEXT.replace("ratio: 0.5", "ratio: 0.5\n  granularity: filters\n  cut_ratio: 0.2")
    text = text.replace("device: t4", "device: t4, service_time: 1 ms")
    text = text.replace("raspberry-pi-4", "raspberry-pi-4, service_time: 2 ms")
    found = {fault.split(": ")[1]: fault for fault in faults(folder, text)}
    assert found.keys() == {"edge.service_time", "server.service_time", "pruning.cut_ratio"}
    assert "must be absent where split.cut is 'best'" in found["edge.service_time"]
    assert "must be 0 where split.cut is 'best'" in found["pruning.cut_ratio"]


def test_an_objective_without_effect_is_warned_of(folder: Path) -> None:
    text = TEXT.replace("cut: pool1", "cut: pool1\n  objective: throughput")
    (warning,) = check(load_scenario(write_yaml(folder, text))).warnings
    assert str(warning).endswith(
        "split.objective: has no effect on cut 'pool1', got 'throughput'; remove it, or write"
        " 'cut: best'"
    )


def test_what_belongs_to_one_cut_can_not_be_said_of_a_cut_to_be_chosen(folder: Path) -> None:
    text = BEST_TEXT.replace("device: t4", "device: t4, codec_time: 1 ms")
    text = text.replace("cut: best", "cut: best\n  bottleneck: none.yaml")
    text += "codec: {channels: 0.5}\n"
    found = {fault.split(": ")[1]: fault for fault in faults(folder, text)}
    assert found.keys() == {"server.codec_time", "codec.channels", "split.bottleneck"}
    assert "which channels count depends on the cut" in found["codec.channels"]


def test_a_link_that_every_replication_draws_anew_needs_a_seed(folder: Path) -> None:
    drawn = "uplink: {generate: lte}"
    text = BEST_TEXT.replace("uplink: 10 Mbit/s", drawn)
    assert drawn in text
    (fault,) = faults(folder, text)
    assert ": link: must have a seed where split.cut is 'best'" in fault
    seeded = text.replace("lte", "lte, seed: 3")
    (spec,) = check(load_scenario(write_yaml(folder, seeded))).specs
    assert spec.target is not None
    assert spec.target.uplink.mean_rate_bit_per_s > 0


def test_a_trace_that_is_missing_is_told(folder: Path) -> None:
    text = BEST_TEXT.replace("uplink: 10 Mbit/s", "uplink: {trace: no.csv, format: pensieve}")
    assert any("no.csv" in fault for fault in faults(folder, text))


def test_batches_are_said_not_to_be_considered(folder: Path) -> None:
    text = BEST_TEXT.replace("device: t4", "device: t4, batch: {size: 4}")
    (warning,) = check(load_scenario(write_yaml(folder, text))).warnings
    assert "server.batch.size: has no effect on which cut is best" in str(warning)
