"""The environments of a study, each with a name in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flexrel_sim.scenario import ScenarioFile, SystemScenario
from flexrel_sim.scenario.file_keys import value_text
from flexrel_sim.units import readable

__all__ = [
    "ENVIRONMENT",
    "Environment",
    "environment_key",
    "find_environments",
    "flattened",
    "words",
]

ENVIRONMENT: Final = ("link", "workload", "simulation")
"""What a designer meets rather than chooses: points are compared within one environment."""

_VALUE_MAX_CHARACTERS: Final = 40


@dataclass(frozen=True)
class Environment:
    """A link, a workload and a way to simulate them, with the points that meet them.

    Parameters
    ----------
    name
        In words: what tells it from the others and from the base scenario's, such as
        ``uplink 2 Mbit/s``.
    is_base
        Whether it is the base scenario's own.
    indices
        The points that meet it, in order.
    settings
        Dotted path to value of what tells environments apart. Quantities are in one form, however
        they were written: with the prefix that leaves 1 to 1000 of the unit.
    chosen
        The point to take in it; None if none keeps the constraints.
    """

    name: str
    is_base: bool
    indices: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    chosen: int | None = None


def environment_key(scenario: SystemScenario) -> str:
    """Name a scenario's link, workload and simulation, for grouping."""
    return scenario.model_dump_json(include=set(ENVIRONMENT))


def find_environments(
    scenario_file: ScenarioFile[Any], keys: Sequence[str]
) -> tuple[Environment, ...]:
    """Group the points of a study by what they meet.

    Parameters
    ----------
    scenario_file
        Whose points they are.
    keys
        `environment_key` of every point, in order.

    Returns
    -------
    tuple of Environment
        In the order in which points meet them first; nothing is chosen yet.
    """
    indices: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        indices.setdefault(key, []).append(index)
    base = environment_key(scenario_file.scenario)
    # What only the sweep gives is not the base scenario's own.
    from_sweep = scenario_file.base_from_sweep
    has_no_base = any(path.partition(".")[0] in ENVIRONMENT for path in from_sweep)
    resolved = {key: flattened(json.loads(key)) for key in {base: None, **indices}}
    if has_no_base:
        del resolved[base]
        resolved |= {key: flattened(json.loads(key)) for key in indices}
    telling = _telling(list(resolved.values()))
    environments = []
    for key, own in indices.items():
        settings = {
            path: _readable(resolved[key][path]) for path in telling if path in resolved[key]
        }
        is_base = key == base and not has_no_base
        name = words(settings) or "the scenario's own link and workload"
        environments.append(Environment(name, is_base, tuple(own), settings))
    return tuple(environments)


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name what nested mappings hold by dotted paths, without what is absent.

    >>> flattened({"link": {"uplink": "2 Mbit/s", "delay": None}})
    {'link.uplink': '2 Mbit/s'}
    """
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def _telling(environments: Sequence[dict[str, Any]]) -> list[str]:
    """Name the paths at which environments differ."""
    paths = dict.fromkeys(path for flat in environments for path in flat)
    return [path for path in paths if len({str(flat.get(path)) for flat in environments}) > 1]


def words(settings: Mapping[str, Any]) -> str:
    """Say settings by dotted path in words.

    >>> words({"link.uplink.mean": "6 Mbit/s", "workload.rate": "5 /s"})
    'uplink mean 6 Mbit/s, rate 5 /s'
    """
    return ", ".join(f"{_word(path)} {_shown(path, value)}" for path, value in settings.items())


def _readable(value: Any) -> Any:
    """Give a resolved value with its quantities in the form that people write."""
    if isinstance(value, list):
        return [_readable(inner) for inner in value]
    return readable(value) if isinstance(value, str) else value


def _word(path: str) -> str:
    """Name a key without its section: ``link.uplink.mean`` is ``uplink mean``."""
    return path.partition(".")[2].replace(".", " ").replace("_", " ")


def _shown(path: str, value: Any) -> str:
    text = value_text(path, value)
    return text if len(text) <= _VALUE_MAX_CHARACTERS else f"{text[: _VALUE_MAX_CHARACTERS - 1]}…"
