"""Hostile values in YAML and JSON, and what is done with them to honest data."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from typing import Any

__all__ = ["VALUES", "mutated_data", "yaml_text"]


class Raw(str):
    """YAML that stands in the file as it is."""


VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, -1e308, 5e-324, 10**15, 2**31, 2**63, 2**64,
    -(2**63), math.nan, math.inf, -math.inf, "", " ", "\0", "a\nb", "\ud800", "\u202e",
    "x" * 10_000,
    "nan", "inf", "1e308 GB", "1e-400 s", "1e400 bit/s", "-5 ms", "5 ms", "1 Mbit/s", "0 bit/s",
    "9" * 5000 + " s", "10 GB", "1e6 s", "1e15 bit/s", "= 1", ">= nan", ">= 1e400", "<= -0", "auto",
    "best", "edge", "server", "none", "..", "/", "/dev/zero", "fifo", "loop", "folder",
    "nul\0.yaml",
    "é" * 200, "a" * 300 + ".yaml", "tiny.yaml", "scenario.yaml", "os:system", [], {}, [[]], [None],
    {"": None}, {"from": 1, "to": 2, "steps": 3}, {"from": "1 s", "to": "1e308 s", "steps": 10_000},
    {"from": 5e-324, "to": 1e308, "steps": 7, "scale": "log"}, [0.5, 0.5], ["x", "x"], [1, "1"],
    Raw("9" * 5000), Raw("0x" + "f" * 5000), Raw("-" + "9" * 5000), Raw("." + "9" * 5000),
    Raw("2026-01-01"), Raw("0001-01-01T00:00:00+14:00"), Raw("!!binary aGk="), Raw("!!set {a}"),
    Raw("!!python/object/apply:os.system [id]"), Raw("12:30:45"), Raw("0o17"), Raw("1_000"),
    Raw("[" * 60 + "]" * 60), Raw("[" * 3000 + "]" * 3000), Raw("{? [a, b] : c}"), Raw("{1: 2}"),
    Raw("{.nan: 1}"), Raw("{<<: {a: 1}}"), Raw("&a [*a]"), Raw("*nowhere"), Raw("'"), Raw("\t"),
]  # fmt: skip


def mutated_data(
    data: Any, rng: random.Random, donors: list[Any] | None = None, most: int = 3
) -> Any:
    """Change honest data in some places.

    Parameters
    ----------
    data
        Mappings, lists and scalars; left as they are.
    rng
        Chooses.
    donors
        Other honest data, of which parts are taken.
    most
        How many places at most; one at least.
    """
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, most)):
        places = list(_places(data))
        if not places:
            break
        place, key = rng.choice(places)
        _change(place, key, rng, donors or [data])
    return data


def _places(data: Any) -> Any:
    if isinstance(data, dict):
        items: Any = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    else:
        return
    for key, value in items:
        yield data, key
        yield from _places(value)


def _change(place: Any, key: Any, rng: random.Random, donors: list[Any]) -> None:
    how = rng.choice(
        ["value", "value", "value", "remove", "rename", "donor", "wrap", "twist", "twist"]
    )
    if how == "value":
        place[key] = copy.deepcopy(rng.choice(VALUES))
    elif how == "remove":
        del place[key]
    elif how == "rename" and isinstance(place, dict):
        place[rng.choice(["x", "", "0", "name", "sweep", f"{key}s", f"{key}.x", "é", "\0"])] = (
            place.pop(key)
        )
    elif how == "donor":
        other, place_of_other = rng.choice(list(_places(rng.choice(donors))))
        place[key] = copy.deepcopy(other[place_of_other])
    elif how == "wrap":
        place[key] = rng.choice([[place[key]], {key: place[key]}, [place[key]] * 3])
    else:
        place[key] = _twisted(place[key], rng)


def _twisted(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return rng.choice([-value, value * 10**6, value + 0.5, str(value), int(value), value / 1e9])
    if isinstance(value, str):
        # Another number of the same unit is right as often as not.
        number = rng.choice(["0", "1", "3.7", "0.001", "40", "900", "-1"])
        others = [re.sub(r"^[0-9.]+", number, value)] * 5
        return rng.choice(
            [value[:-1], value + "x", value.upper(), f" {value} ", value.split() or 0, *others]
        )
    return list(value) if isinstance(value, dict) else dict(enumerate(value))


def yaml_text(data: Any) -> str:
    """Write data as YAML; a JSON text is one, but for what stands in it as it is."""
    raw: list[str] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Raw):
            raw.append(value)
            return f"@raw{len(raw) - 1}@"
        if isinstance(value, dict):
            return {_key(key): plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    text = json.dumps(plain(data), indent=1)
    for constant, written in (("NaN", ".nan"), ("-Infinity", "-.inf"), ("Infinity", ".inf")):
        text = text.replace(f": {constant}", f": {written}")
    for number, value in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', value)
    return text


def _key(key: Any) -> Any:
    return key if isinstance(key, str) else str(key)
