"""Whole curves of a comparison, and what its claims save."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from flexrel_sim.comparison.result import Comparison, Curve
from flexrel_sim.comparison.schema import Track
from flexrel_sim.plots.labels import legend
from flexrel_sim.plots.style import COLOURS, GREY, MARKERS, save, style

__all__ = ["accuracy_against_kept", "draw_comparison", "savings"]

_COLUMNS = 4

_GRID = 120

_NARROW = 4

_LABELS = {"macs": "MACs"}

_OTHERS = "all others"

_MASKED = "dense, absent classes masked"


def draw_comparison(result: Comparison, folder: Path) -> list[Path]:
    """Draw a picture of the curves of every track, and one of every claim's savings.

    Parameters
    ----------
    result
        The comparison.
    folder
        Where to write.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    files: list[Path] = []
    with style():
        for index, track in enumerate(result.scenario.tracks, start=1):
            files += save(accuracy_against_kept(result, track), folder, f"curves_{index}")
        for index, claim in enumerate(result.scenario.claims, start=1):
            files += save(savings(result, claim.label), folder, f"savings_{index}")
    return files


def accuracy_against_kept(result: Comparison, track: Track) -> Figure:
    """Draw test accuracy against what is kept, a panel per pair.

    The entries that a claim found worth naming in any pair are coloured; all others are grey.

    Parameters
    ----------
    result
        The comparison.
    track
        Whose curves.

    Returns
    -------
    matplotlib.figure.Figure
        Means over seeds, interpolated between the points in log(kept).
    """
    pairs = [p.label for p in result.scenario.pairs if result.entries(p.label, track.label)]
    columns = min(_COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.5 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    named = _named(result, track)
    lines: dict[str, Line2D] = {}
    for ax, pair in zip(axes, pairs, strict=False):
        lines |= _panel(ax, result, track, pair, named)
    for ax in axes[len(pairs) :]:
        ax.remove()
    for ax in axes[max(0, len(pairs) - columns) : len(pairs)]:
        ax.set_xlabel(f"{_LABELS.get(track.measure, track.measure)} kept / %", fontsize=8)
    figure.supylabel("test accuracy", fontsize=9)
    shown = {name: lines[name] for name in (*named, _OTHERS, _MASKED) if name in lines}
    legend(figure, shown, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _panel(
    ax: Axes, result: Comparison, track: Track, pair: str, named: list[str]
) -> dict[str, Line2D]:
    """Draw all entries of a pair, and give a line for each name in the legend."""
    lines: dict[str, Line2D] = {}
    for entry in result.entries(pair, track.label):
        curves = result.of(pair, track.label, entry)
        if entry in named:
            look = _look(named.index(entry))
            (lines[entry],) = ax.plot(*_mean_curve(curves, track), **look)
        else:
            (lines[_OTHERS],) = ax.plot(*_mean_curve(curves, track), color=GREY, linewidth=0.8)
    # Any entry's curves tell the same of the dense network.
    masked = [curve.absent_masked for curve in curves]
    if masked != [curve.test[0] for curve in curves]:
        level = float(np.mean(masked))
        lines[_MASKED] = ax.axhline(level, color="black", linestyle=":", linewidth=1)
    ax.set_title(pair, fontsize=8)
    _percent_axis(ax)
    return lines


def _look(index: int) -> dict[str, Any]:
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    return {"color": colour, "marker": marker, "markevery": 20, "zorder": 3}


def _mean_curve(
    curves: Sequence[Curve], track: Track
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Give per cent kept and mean accuracy over seeds, where every seed has a curve."""
    kept = [getattr(curve, track.measure) for curve in curves]
    grid = np.geomspace(max(min(fractions) for fractions in kept), 1, _GRID)
    at_grid = [
        np.interp(np.log(grid), np.log(fractions)[::-1], curve.test[::-1])
        for fractions, curve in zip(kept, curves, strict=True)
    ]
    return 100 * grid, np.mean(at_grid, axis=0)


def savings(result: Comparison, claim: str) -> Figure:
    """Draw what a claim's entries save against their best rival, with intervals over seeds.

    Parameters
    ----------
    result
        The comparison.
    claim
        Its label.

    Returns
    -------
    matplotlib.figure.Figure
        A row per pair and track, a mark per allowed loss; an arrow where an interval goes on to the
        left of the axis.
    """
    told = [saving for saving in result.savings() if saving.claim == claim]
    places = list(dict.fromkeys((saving.track, saving.pair) for saving in told))
    figure = Figure(figsize=(7.2, 0.42 * len(places) + 1.3), layout="constrained")
    ax = figure.subplots()
    losses = result.scenario.losses
    cut_off = []
    for index, loss in enumerate(losses):
        found = [saving for saving in told if saving.loss == loss]
        height = [
            places.index((saving.track, saving.pair)) + 0.17 * (index - (len(losses) - 1) / 2)
            for saving in found
        ]
        value = np.array([100 * saving.saving.value for saving in found])
        low = np.array([100 * max(saving.saving.low, -2.0) for saving in found])
        high = np.array([100 * saving.saving.high for saving in found])
        ax.errorbar(
            np.maximum(value, -200),
            height,
            xerr=[np.maximum(value - low, 0), np.maximum(high - value, 0)],
            fmt=MARKERS[index % len(MARKERS)],
            color=COLOURS[index % len(COLOURS)],
            label=f"-{100 * loss:g} points",
            capsize=2,
            linewidth=1,
        )
        cut_off.append((low, height, COLOURS[index % len(COLOURS)]))
    ax.axvline(0, color="black", linewidth=0.8)
    ax.axvline(35, color="black", linewidth=0.8, linestyle=":")
    left = max(-100, ax.get_xlim()[0])
    ax.set_xlim(left=left, right=100)
    for low, height, colour in cut_off:
        # The interval goes on beyond the axis.
        at = [place for place, end in zip(height, low, strict=True) if end < left]
        ax.plot([left] * len(at), at, "<", color=colour, markersize=4, clip_on=False)
    ax.set_yticks(range(len(places)), [f"{pair} ({track})" for track, pair in places], fontsize=7)
    # From top to bottom, without the margins that many rows would make wide.
    ax.set_ylim(len(places) - 0.4, -0.6)
    ax.set_xlabel("saved against the best rival / %  (dotted: the paper's 35 %)")
    figure.legend(loc="outside upper right", ncols=len(losses), fontsize=8)
    return figure


def _named(result: Comparison, track: Track) -> list[str]:
    """List what claims name: the entries they chose, then their rivals, most often first."""
    told = [saving for saving in result.savings() if saving.track == track.label]
    counts: dict[str, int] = {}
    for saving in told:
        for entry in (saving.entry, saving.rival):
            counts[entry] = counts.get(entry, 0) + 1
    return sorted(counts, key=lambda entry: -counts[entry])[: len(COLOURS)]


def _percent_axis(ax: Axes) -> None:
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    # Round numbers of a narrow axis: 1, 2, 3 and 5 would leave it with one label, or none.
    narrow = high / low < _NARROW
    ax.xaxis.set_major_locator(MaxNLocator(4) if narrow else LogLocator(subs=(1, 2, 3, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=7)
