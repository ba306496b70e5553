"""What a person sees: the table of a run, and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from flexrel_sim.metrics import choice_text, delta_text
from flexrel_sim.report import operating_columns
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.simulation import Summary
from flexrel_sim.study.result import ENVIRONMENT

if TYPE_CHECKING:
    from flexrel_sim.api import Run
    from flexrel_sim.study import PointResult

__all__ = ["progress", "show_run"]

_ROWS_MAX = 20

# Pipes and logs have no width of their own; this one holds every column.
_WIDTH_OFF_TERMINAL = 140

# A narrower terminal shows fewer figures and no intervals; table.csv has them all.
_WIDTH_OF_INTERVALS = 125


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


def show_run(finished: Run) -> None:
    """Print the front, the choice, and the paths of what was written.

    Parameters
    ----------
    finished
        The run.
    """
    result = finished.result
    width = None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
    console = Console(width=width, highlight=False)
    # Points that differ only in settings without effect are the same: one row says it.
    front = {_identity(p): p for p in reversed(result.base_environment) if p.on_front}
    shown = list(front.values())
    shown.sort(key=lambda point: (not point.chosen, point.index))
    unstable = sum(not isinstance(point.outcome, Summary) for point in result.points)
    if shown:
        console.print(_table(finished, shown[:_ROWS_MAX], console.width))
    count = len(result.points)
    overloaded = f", {unstable} of them overloaded" if unstable else ""
    more = f" (the first {_ROWS_MAX} shown)" if len(shown) > _ROWS_MAX else ""
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


def _swept_besides(points: list[PointResult]) -> list[str]:
    """Name the swept keys of the system that tell these points apart and have no column."""
    sections = {*MODEL_SECTIONS, *ENVIRONMENT}
    swept = dict.fromkeys(path for point in points for path in point.values)
    return [path for path in swept if path.partition(".")[0] not in sections]


def _table(finished: Run, points: list[PointResult], width: int) -> Table:
    table = Table(
        title=f"{finished.result.scenario_file.scenario.name}: Pareto front",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("", min_width=1)
    table.add_column("point", justify="right")
    table.add_column("pruning", min_width=14)
    table.add_column("cut", min_width=8)
    besides = _swept_besides(points)
    for path in besides:
        table.add_column(path, min_width=len(path))
    wide = width >= _WIDTH_OF_INTERVALS
    level = " [95 %]" if wide else ""
    for head in (f"accuracy{level}", f"p95 / ms{level}", "up / B"):
        table.add_column(head, justify="right", no_wrap=True)
    if wide:
        table.add_column("edge / mJ", justify="right", no_wrap=True)
    missed = any(_miss_share(point) > 0 for point in points)
    if missed:
        table.add_column("missed", justify="right", no_wrap=True)
    table.add_column("busiest (load)" if wide else "busiest", min_width=7)
    for point in points:
        cells = _cells(point, wide=wide, missed=missed)
        cells[4:4] = [str(point.values.get(path, "")) for path in besides]
        table.add_row(*cells)
    return table


def _miss_share(point: PointResult) -> float:
    outcome = point.outcome
    return outcome.metrics["miss_share"].value if isinstance(outcome, Summary) else 0.0


def _cells(point: PointResult, *, wide: bool, missed: bool) -> list[str]:
    outcome = point.outcome
    if not isinstance(outcome, Summary):
        raise TypeError("an overloaded point has no row")
    metrics = outcome.metrics
    accuracy, latency = metrics["accuracy"], metrics["latency_p95_s"]
    columns = operating_columns(point)
    return [
        "→" if point.chosen else "",
        str(point.index),
        _pruning_cell(columns, point.profile.operating_point["pruning"].get("auto") or {}),
        columns["cut"],
        f"{accuracy.value:.3f}" + (f" [{accuracy.low:.3f}, {accuracy.high:.3f}]" * wide),
        f"{1e3 * latency.value:.1f}"
        + (f" [{1e3 * latency.low:.1f}, {1e3 * latency.high:.1f}]" * wide),
        f"{metrics['uplink_bytes'].value:,.0f}",
        *([f"{1e3 * metrics['edge_compute_energy_j'].value:.1f}"] if wide else []),
        *([f"{_miss_share(point):.1%}"] if missed else []),
        f"{outcome.busiest} ({outcome.loads[outcome.busiest]:.0%})",
    ]


def _pruning_cell(columns: dict[str, Any], auto: dict[str, Any]) -> str:
    """Say what was pruned; of what `delta: auto` could choose, what it chose."""
    if columns["ratio"] == 0:
        return "none"
    delta = "" if columns["delta"] is None else f" δ={delta_text(columns['delta'])}"
    chosen = ["auto"] if columns["delta_by"] == "auto" else []
    if auto.get("normalise"):
        chosen.append(columns["normalise"])
    if auto.get("form"):
        chosen.append(columns["relevance"]["form"])
    delta += f" ({', '.join(chosen)})" if chosen else ""
    return f"{columns['ratio']:.0%} {columns['granularity']}, {columns['criterion']}{delta}"


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
