"""The table of points that a run prints: a column for what differs, a row for each point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flexrel_sim.metrics import delta_text
from flexrel_sim.report import operating_columns
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.simulation import Summary
from flexrel_sim.statistics import Estimate

if TYPE_CHECKING:
    from flexrel_sim.study import PointResult

__all__ = ["points_table"]

# A narrower terminal shows fewer figures and no intervals; table.csv has them all.
_WIDTH_OF_INTERVALS = 125

_NOT_KNOWN = "-"

_OPTIONS_SHOWN = 0.005
"""An option of a controller that fewer requests used is not named."""


@dataclass(frozen=True)
class _Column:
    """A head, and what a point has under it."""

    head: str
    cell: Callable[[PointResult], str]
    is_number: bool = True
    min_width: int | None = None


def points_table(title: str, points: Sequence[PointResult], width: int) -> Table:
    """Make the table of some points.

    Parameters
    ----------
    title
        What they are.
    points
        The points, in order.
    width
        Characters of a line.

    Returns
    -------
    rich.table.Table
        One row per point, and columns for what tells them apart and how they fared.
    """
    columns = _columns(points, wide=width >= _WIDTH_OF_INTERVALS)
    pruned = {_pruning(point) for point in points}
    if len(points) > 1 and len(pruned) == 1:
        # What is alike for all needs no column.
        columns = [column for column in columns if column.cell is not _pruning]
        title += f"; pruning: {pruned.pop()}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(
            column.head,
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
            min_width=column.min_width,
        )
    for point in points:
        table.add_row(*(column.cell(point) for column in columns))
    return table


def _columns(points: Sequence[PointResult], *, wide: bool) -> list[_Column]:
    columns = [
        _Column("", _mark, is_number=False, min_width=1),
        _Column("point", lambda point: str(point.index)),
        _Column("pruning", _pruning, is_number=False, min_width=14),
        _Column("cut", _cut, is_number=False, min_width=8),
        *(_swept(path) for path in _swept_in_system(points)),
        _figure("accuracy", "accuracy", 1, ".3f", interval=wide),
        _figure("latency_p95_s", "p95 / ms", 1e3, ".1f", interval=wide),
        _figure("uplink_bytes", "up / B", 1, ",.0f"),
    ]
    if wide:
        ranked = {name for point in points for name in point.scenario.objectives}
        whole = ranked & {"edge_energy_j", "battery_life_h"}
        columns.append(
            _figure("edge_energy_j", "edge / mJ", 1e3, ".1f")
            if whole
            else _figure("edge_compute_energy_j", "compute / mJ", 1e3, ".1f")
        )
    for name, head, scale, form in (
        ("miss_share", "missed", 1.0, ".1%"),
        ("regret_s", "regret / ms", 1e3, ".2f"),
        ("update_bytes", "updates / B", 1.0, ",.0f"),
    ):
        if any(_value(point, name) for point in points):
            columns.append(_figure(name, head, scale, form))
    busiest = "busiest (load)" if wide else "busiest"
    return [*columns, _Column(busiest, _busiest, is_number=False, min_width=7)]


def _mark(point: PointResult) -> str:
    if point.chosen:
        return "→"
    if point.tied:
        return "≈"
    return "•" if point.on_front else ""


def _swept_in_system(points: Sequence[PointResult]) -> list[str]:
    """Name the swept keys that tell these points apart and have no column of their own."""
    swept = dict.fromkeys(path for point in points for path in point.values)
    system = [path for path in swept if path.partition(".")[0] not in MODEL_SECTIONS]
    return [path for path in system if len({str(p.values.get(path)) for p in points}) > 1]


def _swept(path: str) -> _Column:
    def cell(point: PointResult) -> str:
        return str(point.values.get(path, ""))

    return _Column(path.rpartition(".")[2], cell, is_number=False)


def _value(point: PointResult, name: str) -> float:
    found = _estimate(point, name)
    return 0.0 if found is None else found.value


def _estimate(point: PointResult, name: str) -> Estimate | None:
    outcome = point.outcome
    return outcome.metrics.get(name) if isinstance(outcome, Summary) else None


def _figure(name: str, head: str, scale: float, form: str, *, interval: bool = False) -> _Column:
    def cell(point: PointResult) -> str:
        found = _estimate(point, name)
        if found is None:
            return _NOT_KNOWN
        text = format(scale * found.value, form)
        low, high = format(scale * found.low, form), format(scale * found.high, form)
        return f"{text} [{low}, {high}]" if interval else text

    return _Column(f"{head} [95 %]" if interval else head, cell)


def _busiest(point: PointResult) -> str:
    outcome = point.outcome
    if isinstance(outcome, Summary):
        return f"{outcome.busiest} ({outcome.loads[outcome.busiest]:.0%})"
    return f"{outcome.stage.name} (overloaded)"


def _cut(point: PointResult) -> str:
    """Name the cut, or those that a controller used, by how often."""
    if len(point.options) < 2 or not isinstance(point.outcome, Summary):
        return str(operating_columns(point)["cut"])
    used = sorted(
        zip(point.outcome.option_shares, point.options, strict=True), key=lambda pair: -pair[0]
    )
    return ", ".join(
        f"{profile.operating_point['split']['cut']} {share:.0%}"
        for share, profile in used
        if share >= _OPTIONS_SHOWN
    )


def _pruning(point: PointResult) -> str:
    """Say what was pruned; of what `delta: auto` could choose, what it chose."""
    columns: dict[str, Any] = operating_columns(point)
    auto = point.profile.operating_point["pruning"].get("auto") or {}
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
