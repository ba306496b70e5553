"""Profiles that were changed and hashed again: refused, or simulated like any other."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given

from flexrel_sim.profile import Calibration, load_profile, profile_to_bytes
from flexrel_sim.profile.storing import _content_digest
from flexrel_sim.report import write_tables
from flexrel_sim.scenario import ScenarioFile, SystemScenario, load_system_scenario
from flexrel_sim.study import simulate_study
from tests.builders import OPERATING_POINT, make_profile
from tests.fuzz.bounded import result_or_refusal
from tests.fuzz.hostile import Raw, mutated_data
from tests.fuzz.mutation import RNGS, mutated
from tests.fuzz.test_data import odd_array
from tests.fuzz.test_scenarios import silent

SYSTEM = """\
edge: {device: raspberry-pi-4}
link: {uplink: 10 Mbit/s, downlink: 20 Mbit/s, delay: 5 ms}
server: {device: t4}
workload: {rate: 2 /s, duration: 20 s}
simulation: {replications: 2}
"""


@cache
def honest() -> tuple[bytes, bytes]:
    choice = {"delta": 0.3, "normalise": "layer", "form": None, "reached": True,
              "tried": [{"accuracies": [0.5]}]}  # fmt: skip
    pruning = {"criterion": "flexrel-paper", "delta": "auto", "granularity": "weights",
               "ratio": 0.5, "pattern": "none", "normalise": "layer"}  # fmt: skip
    point = OPERATING_POINT | {"pruning": pruning, "split": {"cut": "fc1"}}
    return profile_to_bytes(
        make_profile(operating_point=point, calibration=Calibration(9, 3.0, 10**6, 0.1, choice))
    )


def jsonable(value: Any) -> Any:
    """Leave out what only YAML can say."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    return [jsonable(inner) for inner in value] if isinstance(value, list | tuple) else value


def stored(folder: Path, rng: random.Random) -> None:
    text, arrays = honest()
    data = json.loads(text)
    if rng.random() < 0.4:
        with np.load(io.BytesIO(arrays)) as held:
            samples = dict(held)
        name = rng.choice(list(samples))
        samples[name] = odd_array(rng, samples[name])
        np.savez(folder / "samples.npz", **samples)
        arrays = (folder / "samples.npz").read_bytes()
    if rng.random() < 0.3:
        arrays = mutated(arrays, rng)
    if rng.random() < 0.7:
        data = jsonable(mutated_data(data, rng))
        data["version"] = json.loads(text)["version"]
    data["samples_sha256"] = hashlib.sha256(arrays).hexdigest()
    data["content_sha256"] = _content_digest(data)
    content = json.dumps(data).encode()
    if rng.random() < 0.1:
        content = mutated(content, rng)
    (folder / "profile.json").write_bytes(content)
    (folder / "samples.npz").write_bytes(arrays)


def system(place: Path) -> ScenarioFile[SystemScenario]:
    file = place / "system.yaml"
    if not file.exists():
        file.write_text(SYSTEM)
    return load_system_scenario(file)


@given(rng=RNGS)
def test_a_changed_profile_whose_hashes_are_right_is_simulated_or_refused(
    place: Path, rng: random.Random
) -> None:
    folder = place / "profile"
    folder.mkdir(exist_ok=True)
    stored(folder, rng)
    profile = result_or_refusal(lambda: load_profile(folder), str(folder))
    if profile is None:
        return
    scenario_file = system(place)
    result = result_or_refusal(
        lambda: simulate_study(scenario_file, profile, 1, silent, None), str(place)
    )
    if result is not None:
        target = place / "result"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        write_tables(result, target)
        assert profile.payload_bytes.min() >= 0
        (row,) = csv.DictReader((target / "table.csv").read_text().splitlines())
        assert float(row["uplink_bytes"]) == profile.payload_bytes.mean() * profile.crosses_link
