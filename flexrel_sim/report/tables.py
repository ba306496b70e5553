"""A study as data: the JSON summary, the table of points, the scenario, and where it came from."""

from __future__ import annotations

import csv
import json
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import yaml

from flexrel_sim.accuracy import ACCURACY_FIGURES
from flexrel_sim.metrics import METRICS
from flexrel_sim.profile import save_profile
from flexrel_sim.report.classes import write_classes
from flexrel_sim.report.folder import PROVENANCE_NAME, SUMMARY_NAME
from flexrel_sim.scenario.file_keys import FILE_KEYS, moved, value_text
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.statistics import Estimate
from flexrel_sim.study.environments import Environment
from flexrel_sim.study.recommendations import design_names, recommend
from flexrel_sim.study.result import PointResult, StudyResult
from flexrel_sim.study.verdicts import Verdict
from flexrel_sim.version import __version__

__all__ = [
    "OPERATING_COLUMNS",
    "operating_columns",
    "summary_data",
    "versions",
    "write_json",
    "write_tables",
]

OPERATING_COLUMNS: Final = (
    "criterion",
    "delta",
    "delta_by",
    "granularity",
    "normalise",
    "ratio",
    "cut",
    "dtype",
    "compress",
    "network",
    "dataset",
    "min_kept",
    "exclude",
    "relevance",
)
"""What tells operating points apart, in ``table.csv``."""

_VALIDATION = tuple(f"validation_{name}" for name in ACCURACY_FIGURES)

_PACKAGES = ("numpy", "simpy", "scipy", "torch", "torch-pruning", "zstandard", "matplotlib")


def summary_data(result: StudyResult) -> dict[str, Any]:
    """Give a study as plain data: the same scenario and seed give the same, to the byte.

    Parameters
    ----------
    result
        The study.

    Returns
    -------
    dict
        Name, the headline's environment and its chosen point, every environment with its own, what
        to take where, warnings, and every point with its figures.
    """
    chosen = result.chosen
    designs = design_names(result.choices)
    return {
        "name": result.scenario_file.scenario.name,
        "headline": result.headline.name,
        "chosen": None if chosen is None else chosen.index,
        "environments": [
            _environment_data(result, own, designs[own.chosen]) for own in result.environments
        ],
        "recommendations": [
            {"text": str(own), **asdict(own), "switches": own.switches} for own in recommend(result)
        ],
        "warnings": [f"{warning.path}: {warning.rule}" for warning in result.warnings],
        "points": [_point_data(point) for point in result.points],
    }


def _environment_data(result: StudyResult, own: Environment, design: str) -> dict[str, Any]:
    points = result.points_of(own)
    return {
        "name": own.name,
        "settings": {path: _value(path, value) for path, value in own.settings.items()},
        "is_base": own.is_base,
        "points": len(points),
        "feasible": sum(point.feasible for point in points),
        "front": [point.index for point in points if point.on_front],
        "chosen": own.chosen,
        "design": design,
        "tied": [point.index for point in points if point.tied],
    }


def write_tables(result: StudyResult, folder: Path) -> None:
    """Write ``summary.json``, the tables, ``scenario.yaml``, the profiles and the provenance.

    ``table.csv`` has a row per point, ``environments.csv`` one per environment.

    Parameters
    ----------
    result
        The study.
    folder
        An empty folder.
    """
    write_json(folder / SUMMARY_NAME, summary_data(result))
    _write_csv(folder / "table.csv", result)
    _write_environments(folder / "environments.csv", result)
    resolved = yaml.safe_dump(_movable(result), sort_keys=False, allow_unicode=True)
    (folder / "scenario.yaml").write_text(resolved, encoding="utf-8")
    profiles = [own for point in result.points for own in (point.profile, *point.options)]
    distinct = {profile.key: profile for profile in profiles}.values()
    for profile in distinct:
        save_profile(profile, folder / "profiles" / profile.key)
    write_classes(distinct, folder)
    write_json(folder / PROVENANCE_NAME, _provenance(result))


def operating_columns(point: PointResult) -> dict[str, Any]:
    """Give what tells a point's operating point apart; None where a setting has no effect.

    What `delta: auto` chose stands in the place of what it left open.
    """
    sections = point.profile.operating_point
    flat = {
        name: value
        for section in ("model", "data", "pruning", "split", "codec")
        for name, value in sections[section].items()
    }
    chosen = point.profile.calibration.choice
    if chosen:
        flat |= {"delta": chosen["delta"], "normalise": chosen["normalise"]}
        if chosen["form"] is not None and flat.get("relevance"):
            flat["relevance"] = flat["relevance"] | {"form": chosen["form"]}
    columns = {name: flat.get(name) for name in OPERATING_COLUMNS}
    return columns | {"delta_by": _delta_by(columns["delta"], bool(chosen))}


def _delta_by(delta: float | None, chosen: bool) -> str | None:
    if delta is None:
        return None
    return "auto" if chosen else "given"


def _point_data(point: PointResult) -> dict[str, Any]:
    profile = point.profile
    data: dict[str, Any] = {
        "index": point.index,
        "values": {path: _value(path, value) for path, value in point.values.items()},
        "profile": profile.key,
        "operating_point": profile.operating_point,
        "stable": isinstance(point.outcome, Summary),
        "feasible": point.feasible,
        "on_front": point.on_front,
        "chosen": point.chosen,
        "tied": point.tied,
        "constraints": {name: _verdict_data(own) for name, own in point.verdicts.items()},
        "macs": profile.macs,
        "nonzero_weights": profile.nonzero_weights,
        **{
            f"validation_{name}": asdict(estimate)
            for name, estimate in point.validation_figures.items()
        },
        "loads": point.outcome.loads,
    }
    if isinstance(point.outcome, Unstable):
        return data | {"busiest": point.outcome.stage.name}
    outcome = point.outcome
    if point.scenario.controller is not None:
        shares = zip(point.options, outcome.option_shares, strict=True)
        data["options"] = [{"profile": own.key, "share": share} for own, share in shares]
    return data | {
        "busiest": outcome.busiest,
        "engine": outcome.engine,
        "dropped": outcome.dropped,
        "quantiles": "rounded" if outcome.rounded else "exact",
        "counted_requests": outcome.counted_requests,
        "service_times": dict(outcome.labels),
        "metrics": {name: asdict(estimate) for name, estimate in outcome.metrics.items()},
        "doubts": {name: doubt.reason for name, doubt in outcome.doubts.items()},
        "shares": {name: asdict(share) for name, share in outcome.shares.items()},
    }


def _value(path: str, value: Any) -> Any:
    # Not where a file lies: the summary is the same from any folder.
    return value_text(path, value) if isinstance(value, str) else value


def _write_csv(file: Path, result: StudyResult) -> None:
    swept = list(dict.fromkeys(path for point in result.points for path in point.values))
    bounds = [f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")]
    marks = ["stable", "feasible", "on_front", "chosen", "tied"]
    head = ["index", *swept, *OPERATING_COLUMNS, *marks, "macs"]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*head, "nonzero_weights", *_VALIDATION, *bounds])
        writer.writeheader()
        for point in result.points:
            row: dict[str, Any] = {
                "index": point.index,
                **point.values,
                **operating_columns(point),
                "stable": isinstance(point.outcome, Summary),
                "feasible": point.feasible,
                "on_front": point.on_front,
                "chosen": point.chosen,
                "tied": point.tied,
                "macs": point.profile.macs,
                "nonzero_weights": point.profile.nonzero_weights,
                **{
                    f"validation_{name}": estimate.value
                    for name, estimate in point.validation_figures.items()
                },
            }
            if isinstance(point.outcome, Summary):
                for name, estimate in point.outcome.metrics.items():
                    row |= _bounds(name, estimate)
            writer.writerow(row)


def _write_environments(file: Path, result: StudyResult) -> None:
    designs = design_names(result.choices)
    paths = list(dict.fromkeys(path for own in result.environments for path in own.settings))
    counts = ["is_base", "points", "feasible", "chosen", "design", "tied"]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["name", *paths, *counts], extrasaction="ignore")
        writer.writeheader()
        for own in result.environments:
            data = _environment_data(result, own, designs[own.chosen])
            tied = " ".join(str(index) for index in data["tied"])
            writer.writerow({**data, **data["settings"], "tied": tied})


def _verdict_data(verdict: Verdict) -> dict[str, Any]:
    return {
        "bound": str(verdict.constraint),
        "verdict": verdict.verdict,
        **asdict(verdict.estimate),
        "samples": verdict.samples,
        "of": verdict.of,
        "needed": verdict.needed,
        "doubt": verdict.doubt,
    }


def _bounds(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _movable(result: StudyResult) -> dict[str, Any]:
    """Resolve the scenario so that it runs from its new folder too."""
    # Only a dataset of the user's own has a hash, and is named by a path.
    has_own_data = any(p.profile.provenance.get("dataset_sha256") for p in result.points)
    keys = FILE_KEYS if has_own_data else FILE_KEYS - {"data.dataset"}
    data: dict[str, Any] = moved(result.scenario_file.resolved(), result.scenario_file.folder, keys)
    return data


def _provenance(result: StudyResult) -> dict[str, Any]:
    source = result.scenario_file.source
    profiles = [point.profile for point in result.points]
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
        "scenario": str(source.file),
        "scenario_sha256": source.sha256,
        "overrides": sorted(result.scenario_file.overrides),
        "seed": result.scenario_file.scenario.simulation.seed,
        "measured_from": {profile.network: profile.provenance for profile in profiles},
        "versions": versions(),
    }


def versions() -> dict[str, str | None]:
    """Give the versions that figures may hang on; None for a package that is not installed."""
    return {
        "flexrel_sim": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    # A stored profile is simulated where torch need not be installed.
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_json(file: Path, data: object) -> None:
    """Write plain data as indented JSON; NaN is refused."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
