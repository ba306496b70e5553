"""Cards, devices, radios, traces and recorded arrivals: honest ones changed, and any bytes."""

from __future__ import annotations

import random
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.hardware import find_device, find_radio
from flexrel_sim.links.traces import read_trace
from flexrel_sim.networks import load_card, outline
from flexrel_sim.networks.bottleneck_card import load_bottleneck_card
from flexrel_sim.simulation.replay import read_replay
from tests.builders import make_profile
from tests.fuzz.bounded import result_or_refusal
from tests.fuzz.hostile import mutated_data, yaml_text
from tests.fuzz.mutation import RNGS, mutated
from tests.networks.cards import CARD_YAML

MODELS = Path(__file__).parents[2] / "models"


@cache
def cards() -> list[Any]:
    found = [yaml.safe_load(file.read_text()) for file in sorted(MODELS.glob("*.yaml"))]
    vit = {"family": "vit", "input_shape": [1, 8, 8], "patch": 4, "width": 8, "depth": 1,
           "heads": 2, "classes": 10}  # fmt: skip
    return [*found, yaml.safe_load(CARD_YAML), {"name": "vit", "architecture": vit}]


@cache
def presets(name: str) -> list[Any]:
    text = (files("flexrel_sim.hardware") / name).read_text(encoding="utf-8")
    return list(yaml.safe_load(text).values())


def written(place: Path, name: str, text: str | bytes) -> Path:
    file = place / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return file


@given(rng=RNGS)
def test_a_changed_card_is_read_or_refused(place: Path, rng: random.Random) -> None:
    data = mutated_data(rng.choice(cards()), rng, cards())
    file = written(place, "hostile.yaml", yaml_text(data))
    card_file = result_or_refusal(lambda: load_card(file), str(file))
    # A factory is code, and a depth of a million is an honest wish.
    if card_file is not None and card_file.card.architecture.family != "factory":
        result_or_refusal(lambda: outline(card_file), str(place), "architecture", "family")


@given(rng=RNGS, kind=st.sampled_from(["devices", "radios"]))
def test_a_changed_device_or_radio_is_read_or_refused(
    place: Path, rng: random.Random, kind: str
) -> None:
    known = presets(f"{kind}.yaml")
    table = {"network": "net", "layers": {"fc1": 0.1, "fc2": 0.2}, "shapes": {}, "source": "me"}
    data = dict(rng.choice(known), **({"profiled": table} if kind == "devices" else {}))
    file = written(place, "hostile.yaml", yaml_text(mutated_data(data, rng, known)))
    profile = make_profile()
    find = {
        "devices": lambda: find_device("hostile.yaml", place, profile, "head"),
        "radios": lambda: find_radio("hostile.yaml", place),
    }
    result_or_refusal(find[kind], str(file))


COLUMNS = {"time": "t s", "rate": "rate Mbit/s"}
TRACES = {
    "mahimahi": "1\n1\n3\n7\n9\n12\n",
    "pensieve": "0.0 4.5\n0.5 3.25\n1.0 0\n1.5 6\n",
    "norway": "x 1 2 3 50000 1000\nx 1 2 3 0 500\nx 1 2 3 70000 900\n",
    "csv": 't,"rate"\n0,4.5\n0.5,"3.25"\n1.0,0\n',
    "irish": "Timestamp,DL_bitrate,UL_bitrate\n2019.12.16_07.28.16,100,50\n"
    "2019.12.16_07.28.17,200,60\n2019.12.16_07.28.17,300,70\n2019.12.16_07.28.19,10,0\n",
}
REPLAY = "created_s,device,sample\n0,0,1\n0.5,1,0\n1.5,0,2\n"
CELLS = [
    "1e308", "-1", "nan", "inf", "9" * 5000, "1_0", "", '"', '"a\r1"', "é", "\udcff", "\0",
    "1e-320",
    "1e15", "1e12", "0x10", "2019.12.16_07.28.16", "9999.12.31_23.59.59", "x" * 70_000,
    "\ufeff", ";",
]  # fmt: skip


def damaged(text: str, rng: random.Random) -> bytes:
    """Put hostile cells into a table, end its lines otherwise, or change its bytes."""
    lines = [line.replace(",", " , ").split(" ") for line in text.splitlines()]
    for _ in range(rng.randint(0, 2)):
        line = rng.choice(lines)
        line[rng.randrange(len(line))] = rng.choice(CELLS)
    ends = rng.choice(["\n", "\n", "\n", "\r\n", "\r", "\n\n", ""])
    separator = rng.choice([" ", " ", " ", ",", "\t"])
    joined = ends.join(separator.join(line) for line in lines) + ends
    data = joined.replace(" , ", ",").encode("utf-8", "surrogateescape")
    return mutated(data, rng) if rng.random() < 0.3 else data


@given(rng=RNGS, layout=st.sampled_from(sorted(TRACES)))
def test_a_damaged_trace_is_read_or_refused(place: Path, rng: random.Random, layout: str) -> None:
    file = written(place, "hostile.trace", damaged(TRACES[layout], rng))
    columns = COLUMNS if layout == "csv" else None
    capacity = result_or_refusal(lambda: read_trace(file, layout, columns), str(file))
    if capacity is not None:
        assert 0 < capacity.mean_rate_bit_per_s < 1e16


@given(rng=RNGS)
def test_damaged_arrivals_are_read_or_refused(place: Path, rng: random.Random) -> None:
    file = written(place, "hostile.csv", damaged(REPLAY, rng))
    replay = result_or_refusal(lambda: read_replay(file, 2), str(file))
    if replay is not None:
        assert (replay.created_s >= 0).all()
        assert (replay.device < 2).all()


@given(content=st.binary(max_size=60))
def test_any_bytes_are_no_file_of_ours(place: Path, content: bytes) -> None:
    file = written(place, "any.yaml", content)
    for load in (load_card, load_bottleneck_card, lambda file: find_radio(file.name, place)):
        assert result_or_refusal(partial(load, file), str(file)) is None
    for layout in TRACES:
        columns = COLUMNS if layout == "csv" else None
        result_or_refusal(partial(read_trace, file, layout, columns), str(file))
    result_or_refusal(lambda: read_replay(file, 2), str(file))


@pytest.mark.parametrize("name", ["fifo", "loop", "folder", "empty", "none", "nul\0", "a" * 300])
def test_what_is_no_file_is_refused(place: Path, name: str) -> None:
    file, shown = place / name, str(place / name).replace("\0", "\\x00")
    for layout in TRACES:
        columns = COLUMNS if layout == "csv" else None
        assert result_or_refusal(partial(read_trace, file, layout, columns), shown) is None
    for load in (load_card, load_bottleneck_card, lambda file: read_replay(file, 1)):
        assert result_or_refusal(partial(load, file), shown) is None
