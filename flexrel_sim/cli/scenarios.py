"""`validate` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from flexrel_sim.cli.setting import set_option
from flexrel_sim.cli.warning import warn

__all__ = ["schema", "validate"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@set_option("pruning.ratio=0.6")
def validate(files: tuple[Path, ...], settings: tuple[str, ...]) -> None:
    """Check FILES, scenarios and comparisons, without running them or any code of a card.

    Of a dataset that is not installed, all is checked that is known without its files.
    """
    from flexrel_sim.errors import Fault, ScenarioError
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    faults: list[Fault] = []
    for file in files:
        try:
            count, what = _checked(file, overrides)
        except ScenarioError as error:
            faults += error.faults
            continue
        click.echo(f"{file}: fine, {count} {what}{'s' if count > 1 else ''}")
    if faults:
        raise ScenarioError(faults)


def _checked(file: Path, overrides: dict[str, Any]) -> tuple[int, str]:
    """Check a file, print its warnings, and tell how much it asks for."""
    from flexrel_sim.comparison import load_comparison
    from flexrel_sim.errors import Fault, ScenarioError
    from flexrel_sim.scenario import load_scenario, read_yaml
    from flexrel_sim.study import check_all, system_warnings

    if {"pairs", "tracks"} & set(read_yaml(file).data):
        if overrides:
            path = next(iter(overrides))
            rule = "can't be set in a comparison"
            raise ScenarioError([Fault(path, rule, str(file), "edit the file", f"--set {path}")])
        comparison = load_comparison(file, need_data=False)
        warnings = [*comparison.missing, *comparison.warnings]
        count, what = comparison.curves, "curve"
    else:
        scenario_file = load_scenario(file, overrides)
        checked = check_all(scenario_file, need_data=False)
        warnings = [*checked.warnings, *system_warnings(scenario_file)]
        count, what = len(scenario_file.points), "point"
    warn(warnings)
    return count, what


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for editors."""
    from flexrel_sim.datasets import DATASETS
    from flexrel_sim.hardware import list_devices
    from flexrel_sim.metrics import METRICS
    from flexrel_sim.pruning import CRITERIA
    from flexrel_sim.scenario import Scenario

    data = Scenario.model_json_schema()
    data["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    sections = data["$defs"]
    sections["PruningSection"]["properties"]["criterion"]["enum"] = list(CRITERIA)
    # Names of the catalogue are suggested; the path of a user's own dataset is as good.
    sections["DataSection"]["properties"]["dataset"]["examples"] = list(DATASETS)
    for section in ("EdgeSection", "ServerSection"):
        sections[section]["properties"]["device"]["examples"] = list(list_devices())
    names = {"propertyNames": {"enum": list(METRICS)}}
    data["properties"]["objectives"] |= names
    # A bound is written as text; its parsed form is nobody's to type.
    bound = {"type": "string", "pattern": r"^\s*(<=|>=)\s*(dense|[+-]?[0-9.]).*$"}
    data["properties"]["constraints"] |= names | {"additionalProperties": bound}
    sections.pop("Constraint", None)
    click.echo(json.dumps(data, indent=1))
