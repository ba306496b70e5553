"""What a person sees: the table of a run, and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import track

from flexrel_sim.accuracy import ACCURACY_FIGURES
from flexrel_sim.cli.table import points_table
from flexrel_sim.metrics import METRICS, choice_text
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.simulation import Summary
from flexrel_sim.study.recommendations import recommend

if TYPE_CHECKING:
    from flexrel_sim.api import Run
    from flexrel_sim.study import PointResult, StudyResult

__all__ = ["progress", "show_run", "table_console"]

_ROWS_MAX = 20

# Pipes and logs have no width of their own; this one holds every column.
_WIDTH_OFF_TERMINAL = 150

# So few points are all shown, beaten or not.
_ALL_SHOWN = 12

# Points that can't be told from the choice are named up to this number, and counted.
_TIED_NAMED = 12

_LINES_MAX = 12


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


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command group, which has one way to end for all output."""
        raise BrokenPipeError


def table_console() -> Console:
    """Make a console as wide as the terminal, or as the widest table where there is none."""
    width = None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
    return _Console(width=width, highlight=False)


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
    headline = [p for p in reversed(result.headline_points) if p.on_front or p.tied]
    distinct = {_identity(point): point for point in headline}.values()
    shown = sorted(distinct, key=lambda p: (not p.chosen, not p.on_front, p.index))
    front = sum(point.on_front for point in shown)
    told, title = shown, f"{name}: Pareto front (→ chosen, ≈ can't be told from it)"
    if count <= _ALL_SHOWN:
        told = list(result.points)
        title = f"{name}: all points (• not beaten, → chosen, ≈ can't be told from it)"
    if told:
        console.print(points_table(title, told[:_ROWS_MAX], console.width))
    unstable = sum(not isinstance(point.outcome, Summary) for point in result.points)
    overloaded = f", {unstable} of them overloaded" if unstable else ""
    more = f" (the first {_ROWS_MAX} rows shown)" if len(told) > _ROWS_MAX else ""
    click.echo(
        f"{count} point{'s' if count > 1 else ''}{overloaded}; {front} on the Pareto front"
        f"{_at(result)}{more}."
    )
    _print_choice(result)
    _print_recommendations(result)
    # Not through the console: what is not a table must not be wrapped.
    click.echo(f"results   {finished.folder}")
    for picture in finished.pictures:
        if picture.suffix == ".png":
            click.echo(f"picture   {picture}")


def _identity(point: PointResult) -> tuple[str, str]:
    system = point.scenario.model_dump_json(exclude=set(MODEL_SECTIONS))
    return point.profile.key, system


def _at(result: StudyResult) -> str:
    """Name the environment that the headline is about."""
    if len(result.environments) == 1:
        return ""
    own = result.headline
    whose = "the base scenario's" if own.is_base else "the first of the sweep; see the warning"
    return f" at {own.name} ({whose})"


def _print_choice(result: StudyResult) -> None:
    chosen = result.chosen
    if chosen is None:
        click.echo(f"No point keeps the constraints{_at(result)}.")
        for line in _broken(result):
            click.echo(f"  {line}")
        return
    if not isinstance(chosen.outcome, Summary):
        return
    shares = sorted(chosen.outcome.shares.items(), key=lambda item: -item[1].share)[:3]
    parts = ", ".join(f"{name} {share.share:.0%}" for name, share in shares)
    estimated = ", ".join(chosen.outcome.estimated)
    note = f" Service times of {estimated}: estimated by roofline." if estimated else ""
    if choice := chosen.profile.calibration.choice:
        note += f" delta: auto chose {choice_text(choice)}."
    tied = [point.index for point in result.headline_points if point.tied]
    by = _chosen_by(result)
    click.echo(f"→ chosen by {by}{_tied_text(tied)}. Its time: {parts}.{note}")
    for name, verdict in chosen.verdicts.items():
        if verdict.verdict == "unsure":
            click.echo(f"  {name} {verdict}.")


def _broken(result: StudyResult) -> list[str]:
    """Say of each constraint how many points break it, and how near the nearest comes."""
    lines = []
    for name, bound in result.scenario_file.scenario.constraints.items():
        judged = [p.verdicts[name] for p in result.headline_points if name in p.verdicts]
        broken = [verdict for verdict in judged if verdict.verdict == "broken"]
        if broken:
            values = [verdict.estimate.value for verdict in broken]
            nearest = max(values) if bound.relation == ">=" else min(values)
            lines.append(
                f"{name} {bound} is broken by {len(broken)} of {len(judged)} points;"
                f" the nearest has {nearest:.4g}"
            )
    return lines


def _chosen_by(result: StudyResult) -> str:
    """Name what chose: the first objective, and whose accuracy it or a constraint saw."""
    scenario = result.scenario_file.scenario
    first = METRICS[next(iter(scenario.objectives))].label
    asked = {*scenario.objectives, *scenario.constraints}
    return first + (
        " (accuracy judged on validation samples)" if asked & {*ACCURACY_FIGURES} else ""
    )


def _tied_text(tied: Sequence[int]) -> str:
    if not tied:
        return ""
    first = ", ".join(map(str, tied[:_TIED_NAMED]))
    more = ", …" if len(tied) > _TIED_NAMED else ""
    others = "1 other" if len(tied) == 1 else f"{len(tied)} others"
    return f"; cannot be told from {others} at 95 %: {first}{more}"


def _print_recommendations(result: StudyResult) -> None:
    if len(result.environments) == 1:
        return
    lines = recommend(result)
    for line in lines[:_LINES_MAX]:
        click.echo(f"use       {line}")
    if len(lines) > _LINES_MAX:
        click.echo(f"use       … {len(lines) - _LINES_MAX} more lines in environments.csv")
    if any(own.unsure for line in lines[:_LINES_MAX] for own in line.ranges):
        click.echo("          (≈): at 95 %, other points there can't be told from the choice")
