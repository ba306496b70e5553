"""`run` and `simulate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flexrel_sim.cli.consent import allow_factory_option
from flexrel_sim.cli.setting import set_option
from flexrel_sim.cli.warning import warn

if TYPE_CHECKING:
    from flexrel_sim.api import Run

__all__ = ["run", "simulate"]

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


def _common_options(function: F) -> F:
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print the summary as one JSON object."
        ),
        click.option(
            "--workers", type=click.IntRange(min=1), help="Processes to use; all cores by default."
        ),
        click.option(
            "-o",
            "--output",
            type=_PATH,
            help="Result folder; by default results/<name>, of simulate results/<name>-simulated.",
        ),
        set_option("pruning.ratio=0.6"),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("file", type=_PATH)
@_common_options
@allow_factory_option
def run(
    file: Path,
    settings: tuple[str, ...],
    output: Path | None,
    workers: int | None,
    as_json: bool,
    allow_factory: tuple[str, ...],
) -> None:
    """Run the scenario or study in FILE."""
    from flexrel_sim import api
    from flexrel_sim.cli.show import progress
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    finished = api.run(file, output, overrides, workers, progress, allow_factory)
    _show(finished, as_json=as_json)


@click.command()
@click.argument("profile", type=_PATH)
@click.argument("file", type=_PATH)
@click.option(
    "--option",
    "options",
    type=_PATH,
    multiple=True,
    help="Profile of a controller's second, third, ... option; may be repeated.",
)
@_common_options
def simulate(  # noqa: PLR0913, PLR0917 - one per option of the command
    profile: Path,
    file: Path,
    options: tuple[Path, ...],
    settings: tuple[str, ...],
    output: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Simulate the stored PROFILE in the system of FILE; needs no torch."""
    from flexrel_sim import api
    from flexrel_sim.cli.show import progress
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    finished = api.simulate(profile, file, output, overrides, workers, progress, options)
    _show(finished, as_json=as_json)


def _show(finished: Run, *, as_json: bool) -> None:
    from flexrel_sim.cli.show import show_run
    from flexrel_sim.report import summary_data

    warn(finished.result.warnings)
    if as_json:
        data = {**summary_data(finished.result), "folder": str(finished.folder)}
        click.echo(json.dumps(data, ensure_ascii=False))
    else:
        show_run(finished)
