import math
import re

import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import load_system_scenario
from flexrel_sim.scenario.link_file import load_link
from flexrel_sim.scenario.link_sections import (
    DirectionSection,
    nominal_rate_bit_per_s,
)
from flexrel_sim.scenario.schema import LinkSection
from tests.builders import SCENARIO_YAML

KINDS = [
    "rate: 5 Mbit/s",
    "schedule: [[0 s, 1 Mbit/s], [10 s, 0 bit/s]], repeat: 12 s",
    "trace: a.csv, format: csv, columns: {time: t ms, rate: my bw kbit/s}",
    "trace: a.trace, format: mahimahi, buffer: {size: 64 kB}",
    "markov: {rates: [1 Mbit/s, 0 bit/s], dwell: [1 s, 2 s], transitions: [[0, 1], [1, 0]]}",
    "generate: lte, seed: 3, mean: 10 Mbit/s, duration: 300 s",
    "token_bucket: {rate: 1 Mbit/s, burst: 10 kB, peak: 2 Mbit/s}",
    "rate: 5 Mbit/s, transport: tcp-cold, loss: {bernoulli: 0.01}, mtu: 9000 B, attempts: 3",
    "rate: 5 Mbit/s, outage: {windows: [[1 s, 2 s], [3 s, 4 s]]}, jitter: {mean: 3 ms}",
    "rate: 5 Mbit/s, outage: {mean_up: 1 s, mean_down: 1 s, duration: 90 s, seed: 1}",
    "rate: 5 Mbit/s, transport: udp, loss: {gilbert_elliott: {enter_bad: 0.1, leave_bad: 1}}",
]


def link(uplink, **more):
    data = {"uplink": yaml.safe_load(uplink), "downlink": "1 Mbit/s", **more}
    return LinkSection.model_validate(data)


def faults(tmp_path, text, **overrides):
    file = tmp_path / "link.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_link(file, {path.replace("__", "."): value for path, value in overrides.items()})
    return [str(fault).replace(str(file), "FILE") for fault in caught.value.faults]


@pytest.mark.parametrize("text", KINDS)
def test_every_kind_reads_back_from_what_it_writes(text):
    section = link(f"{{{text}}}")
    assert isinstance(section.uplink, DirectionSection)
    assert LinkSection.model_validate(section.model_dump(mode="json")) == section


def test_a_plain_rate_stays_a_number():
    section = link("10 Mbit/s")
    assert section.uplink == 10e6
    assert section.model_dump(mode="json")["uplink"] == "10000000 bit/s"
    assert section.medium == "full-duplex"


def test_a_direction_has_its_schema_in_both_forms():
    schema = LinkSection.model_json_schema()
    forms = schema["properties"]["uplink"]["oneOf"]
    assert forms[0]["type"] == "string"
    assert forms[1] == {"$ref": "#/$defs/DirectionSection"}


@pytest.mark.parametrize(
    ("uplink", "rule"),
    [
        ("{}", "must have exactly one of rate, schedule, trace, .* and has none"),
        ("{rate: 1 Mbit/s, generate: lte}", "and has rate and generate"),
        ("{rate: 1 Mbit/s, mean: 1 Mbit/s}", "mean has no effect on a direction by rate"),
        ("{rate: 1 Mbit/s, duration: 5 s}", "duration has no effect"),
        ("{trace: a, format: mahimahi, seed: 1}", "seed has no effect on a direction by trace"),
        ("{trace: a}", "needs its format"),
        ("{trace: a, format: csv}", "columns belong to a csv trace, and it needs them"),
        ("{trace: a, format: irish, columns: {time: t s, rate: r bit/s}}", "columns belong to"),
        ("{trace: a, format: csv, columns: {time: t s}}", "must name both time and rate"),
        ("{trace: a, format: csv, columns: {time: t kg, rate: r bit/s}}", "a unit of duration"),
        ("{trace: a, format: csv, columns: {time: t s, rate: bw}}", "a unit of bit rate"),
        ("{schedule: [[1 s, 1 Mbit/s]]}", "must start at 0 s"),
        ("{schedule: [[0 s, 1 Mbit/s], [0 s, 2 Mbit/s]]}", "ascending"),
        ("{schedule: [[0 s, 1 Mbit/s], [5 s, 0 bit/s]]}", "zero for ever"),
        ("{schedule: [[0 s, 0 bit/s]], repeat: 5 s}", "zero for ever"),
        ("{schedule: [[0 s, 1 Mbit/s], [5 s, 2 Mbit/s]], repeat: 5 s}", "repeat after its last"),
        ("{markov: {rates: [1 Mbit/s, 2 Mbit/s], dwell: [1 s]}}", "one dwell time per rate"),
        ("{markov: {rates: [0 bit/s, 0 bit/s], dwell: [1 s, 1 s]}}", "zero for ever"),
        (
            "{markov: {rates: [1 bit/s, 2 bit/s], dwell: [1 s, 1 s], transitions: [[1, 0]]}}",
            "sum to 1, none to the state itself",
        ),
        ("{token_bucket: {rate: 2 Mbit/s, burst: 1 kB, peak: 1 Mbit/s}}", "peak above its rate"),
        ("{rate: 1 Mbit/s, loss: {bernoulli: 0.1}}", "loss has no effect on transport ideal"),
        ("{rate: 1 Mbit/s, transport: udp, loss: {}}", "exactly one of bernoulli"),
        ("{rate: 1 Mbit/s, transport: udp, attempts: 3}", "attempts has no effect on transport"),
        ("{rate: 1 Mbit/s, transport: udp, header: 1500 B}", "leave room in the mtu"),
        ("{rate: 1 Mbit/s, mtu: 1500.5 B}", "whole bytes"),
        ("{rate: 1 Mbit/s, outage: {}}", "either windows or mean_up and mean_down"),
        ("{rate: 1 Mbit/s, outage: {mean_up: 1 s}}", "both mean_up and mean_down"),
        ("{rate: 1 Mbit/s, outage: {windows: [[2 s, 1 s]]}}", "in order, and apart"),
        ("{rate: 1 Mbit/s, outage: {windows: [[1 s, 2 s]], seed: 1}}", "no effect on given"),
        ("{trace: a, format: mahimahi, outage: {windows: [[1 s, 2 s]]}}", "is a rate over time"),
        (
            "{trace: a, format: mahimahi, transport: tcp-warm, loss: {bernoulli: 0.1}}",
            "TCP with losses needs",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_remedy(tmp_path, uplink, rule):
    found = faults(tmp_path, f"uplink: {uplink}\ndownlink: 1 Mbit/s\n")
    assert len(found) == 1
    assert re.search(rule, found[0])
    assert found[0].startswith("FILE:1: uplink")
    assert "; " in found[0]


def test_faults_inside_a_direction_are_on_their_lines(tmp_path):
    text = "downlink: fast\nuplink:\n  rate: 5\n  colour: red\n  buffer:\n    messages: -1\n"
    found = faults(tmp_path, text)
    assert [line.partition(": must")[0].partition(": unknown")[0] for line in found] == [
        "FILE:3: uplink.rate",
        "FILE:6: uplink.buffer.messages",
        "FILE:4: uplink.colour",
        "FILE:1: downlink",
    ]


@pytest.mark.parametrize(
    ("uplink", "rule"),
    [
        ("{token_bucket: {rate: 1 Mbit/s, burst: 1 kB}}", "needs an uplink that is a rate over"),
        ("{trace: a, format: mahimahi}", "needs an uplink that is a rate over time"),
        ("{rate: 1 Mbit/s, buffer: {messages: 3}}", "a buffer of the uplink has no effect"),
    ],
)
def test_a_shared_medium_has_rates_and_no_queue(tmp_path, uplink, rule):
    text = f"uplink: {uplink}\ndownlink: 1 Mbit/s\nmedium: shared\n"
    assert rule in faults(tmp_path, text)[0]
    assert link("{rate: 1 Mbit/s}", medium="shared").medium == "shared"


@pytest.mark.parametrize(
    ("uplink", "rate"),
    [
        ("2 Mbit/s", 2e6),
        ("{rate: 3 Mbit/s}", 3e6),
        ("{generate: lte, mean: 4 Mbit/s}", 4e6),
        ("{token_bucket: {rate: 5 Mbit/s, burst: 1 kB}}", 5e6),
        ("{generate: lte}", math.nan),
        ("{trace: a, format: mahimahi}", math.nan),
    ],
)
def test_the_nominal_rate_is_what_the_section_names(uplink, rate):
    assert nominal_rate_bit_per_s(link(uplink).uplink) == pytest.approx(rate, nan_ok=True)


@pytest.mark.parametrize("path", ["link.uplink", "link.uplink.rate"])
def test_a_rate_is_swept_in_either_form(tmp_path, path):
    file = tmp_path / "scenario.yaml"
    file.write_text(f"{SCENARIO_YAML}sweep: {{{path}: [1 Mbit/s, 2 Mbit/s]}}\n")
    points = load_system_scenario(file).points
    assert [nominal_rate_bit_per_s(p.scenario.link.uplink) for p in points] == [1e6, 2e6]


def test_a_scenario_gives_its_link_and_the_command_line_changes_it(tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO_YAML)
    assert load_link(file).uplink == 10e6
    assert load_link(file, {"link.uplink": "5 Mbit/s"}).uplink == 5e6
    with pytest.raises(ScenarioError, match="link.uplink: must be a bit rate"):
        load_link(file, {"link.uplink": "fast"})
