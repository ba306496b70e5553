"""What a person sees: the table of a run, and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import track

from flexrel_sim.cli.table import points_table
from flexrel_sim.metrics import choice_text
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.simulation import Summary

if TYPE_CHECKING:
    from flexrel_sim.api import Run
    from flexrel_sim.study import PointResult

__all__ = ["progress", "show_run", "table_console"]

_ROWS_MAX = 20

# Pipes and logs have no width of their own; this one holds every column.
_WIDTH_OFF_TERMINAL = 150

# So few points are all shown, beaten or not.
_ALL_SHOWN = 12


def progress(label: str, items: Iterable[Any], total: int) -> Iterable[Any]:
    """Show a bar on stderr, or nothing where that is not a terminal."""
    return track(
        items,
        label,
        total=total,
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def table_console() -> Console:
    """Make a console as wide as the terminal, or as the widest table where there is none."""
    width = None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
    return Console(width=width, highlight=False)


def show_run(finished: Run) -> None:
    """Print the front, the choice, and the paths of what was written.

    Parameters
    ----------
    finished
        The run.
    """
    result = finished.result
    console = table_console()
    name = result.scenario_file.scenario.name
    count = len(result.points)
    # Points that differ only in settings without effect are the same: one row says it.
    front = {_identity(p): p for p in reversed(result.headline_points) if p.on_front}
    shown = sorted(front.values(), key=lambda point: (not point.chosen, point.index))
    told, title = shown, f"{name}: Pareto front"
    if count <= _ALL_SHOWN:
        told, title = list(result.points), f"{name}: all points (• not beaten, → chosen)"
    if told:
        console.print(points_table(title, told[:_ROWS_MAX], console.width))
    unstable = sum(not isinstance(point.outcome, Summary) for point in result.points)
    overloaded = f", {unstable} of them overloaded" if unstable else ""
    more = f" (the first {_ROWS_MAX} shown)" if len(told) > _ROWS_MAX else ""
    click.echo(
        f"{count} point{'s' if count > 1 else ''}{overloaded}; {len(shown)} on the Pareto front"
        f" at the base link and workload{more}."
    )
    _print_choice(result.chosen)
    # Not through the console: what is not a table must not be wrapped.
    click.echo(f"results   {finished.folder}")
    for picture in finished.pictures:
        if picture.suffix == ".png":
            click.echo(f"picture   {picture}")


def _identity(point: PointResult) -> tuple[str, str]:
    system = point.scenario.model_dump_json(exclude=set(MODEL_SECTIONS))
    return point.profile.key, system


def _print_choice(chosen: PointResult | None) -> None:
    if chosen is None:
        click.echo("No point keeps the constraints.")
        return
    if not isinstance(chosen.outcome, Summary):
        return
    shares = sorted(chosen.outcome.shares.items(), key=lambda item: -item[1].share)[:3]
    parts = ", ".join(f"{name} {share.share:.0%}" for name, share in shares)
    estimated = ", ".join(chosen.outcome.estimated)
    note = f" Service times of {estimated}: estimated by roofline." if estimated else ""
    if choice := chosen.profile.calibration.choice:
        note += f" delta: auto chose {choice_text(choice)}."
    click.echo(f"→ chosen, by validation accuracy. Its time: {parts}.{note}")
