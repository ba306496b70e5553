"""Running a comparison: every curve is kept as soon as it is known, and never computed twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from flexrel_sim.comparison.check import ComparisonFile
from flexrel_sim.comparison.result import Comparison, Curve
from flexrel_sim.comparison.schema import ComparisonScenario, Entry, Pair, Track
from flexrel_sim.comparison.settings import takes_part
from flexrel_sim.datasets import DatasetInfo
from flexrel_sim.measure import code_digest
from flexrel_sim.networks import Card, CardFile, Consent, network_digests
from flexrel_sim.processes import run_tasks
from flexrel_sim.store import Store
from flexrel_sim.study import Progress

__all__ = ["compare"]

_CURVES = Store("curves")

# Whatever can move a curve, as for profiles; nothing is cut or simulated here.
_CODE = (
    "networks",
    "datasets",
    "pruning",
    "training",
    "codec",
    "threads.py",
    "comparison/measure.py",
    "comparison/settings.py",
)

_PACKAGES = ("torch", "torch-pruning", "numpy", "scipy", "pillow")


@dataclass(frozen=True)
class _Task:
    """All curves of one trained network."""

    card: Card
    pair: Pair
    scenario: ComparisonScenario
    trained_on: DatasetInfo
    deployed_on: DatasetInfo
    seed: int
    consent: Consent | None
    built: dict[str, str]


def compare(file: ComparisonFile, workers: int, progress: Progress) -> Comparison:
    """Run a comparison, or what is left of it.

    Parameters
    ----------
    file
        What to compare.
    workers
        Processes to use; figures don't depend on it.
    progress
        Shows how far the work has come.

    Returns
    -------
    Comparison
        All curves.
    """
    scenario = file.scenario
    tasks = [
        _Task(
            file.cards[pair.network].card,
            pair,
            scenario,
            file.trained_on[pair.network],
            file.deployed_on[pair.network],
            seed,
            file.cards[pair.network].consent,
            _built(file.cards[pair.network]),
        )
        for seed in scenario.seeds
        for pair in scenario.pairs
    ]
    curves: list[Curve] = []
    results: Iterable[Any] = run_tasks(_measure, tasks, workers)
    for found in progress("pruning trained networks", results, len(tasks)):
        curves += found
    return Comparison(scenario, tuple(curves))


def _measure(task: _Task) -> list[Curve]:
    wanted = [
        (entry, track)
        for track in task.scenario.tracks
        for entry in task.scenario.entries
        if takes_part(entry, track, task.pair)
    ]
    subject: Any = None
    curves = []
    for entry, track in wanted:
        key = _key(task, entry, track)
        curve = _CURVES.get(key, lambda data: Curve.from_json(data.decode()))
        if curve is None:
            # Here, not at the top: torch is needed only where something is measured.
            from flexrel_sim.comparison.measure import Subject  # noqa: PLC0415
            from flexrel_sim.threads import one_thread  # noqa: PLC0415

            if subject is None:
                subject = Subject(
                    task.card,
                    task.pair,
                    task.scenario.data,
                    task.trained_on,
                    task.deployed_on,
                    task.seed,
                    _network_key(task),
                    task.consent,
                )
            with one_thread():
                measured: Curve = subject.curve(entry, track)
            _CURVES.put(key, measured.to_json().encode())
            # As it is read again: a list of settings is a tuple there.
            curve = Curve.from_json(measured.to_json())
        curves.append(curve)
    return curves


def _network_key(task: _Task) -> str:
    return _digest({"card": _recipe(task), "seed": task.seed, "from": _provenance()})


def _key(task: _Task, entry: Entry, track: Track) -> str:
    return _digest(
        {
            "card": _recipe(task),
            "seed": task.seed,
            "pair": task.pair.model_dump(exclude={"network"}),
            "data": task.scenario.data.model_dump(exclude={"dataset"}),
            "dataset": _named(task.deployed_on),
            "entry": entry.model_dump(exclude={"pairs"}),
            "track": track.model_dump(exclude={"pairs", "entries", "measure", "also"}),
            "from": _provenance(),
        }
    )


def _recipe(task: _Task) -> dict[str, Any]:
    recipe = task.card.model_dump(exclude={"checkpoint": True, "training": {"dataset"}})
    return recipe | {"dataset": _named(task.trained_on)} | task.built


def _built(card_file: CardFile) -> dict[str, str]:
    """Give the hashes of what a factory builds: its name does not tell."""
    return network_digests(card_file) if card_file.is_code else {}


def _named(dataset: DatasetInfo) -> str:
    # A user's own is known by its hash, wherever it lies.
    return dataset.digest or dataset.name


def _provenance() -> dict[str, str]:
    return {"code": code_digest(_CODE), **{name: version(name) for name in _PACKAGES}}


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
