"""Whole curves of a comparison, and what its claims save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from flexrel_sim.comparison.result import Comparison
from flexrel_sim.comparison.schema import Track
from flexrel_sim.plots.style import COLOURS, GREY, MARKERS, save, style

__all__ = ["accuracy_against_kept", "draw_comparison", "savings"]

_COLUMNS = 4

_GRID = 120

_LABELS = {"macs": "MACs"}


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
        for entry in result.entries(pair, track.label):
            curves = result.of(pair, track.label, entry)
            least = max(min(getattr(curve, track.measure)) for curve in curves)
            grid = np.geomspace(least, 1, _GRID)
            mean = np.mean(
                [
                    np.interp(np.log(grid), np.log(getattr(c, track.measure))[::-1], c.test[::-1])
                    for c in curves
                ],
                axis=0,
            )
            if entry in named:
                index = named.index(entry)
                (lines[entry],) = ax.plot(
                    100 * grid,
                    mean,
                    color=COLOURS[index % len(COLOURS)],
                    marker=MARKERS[index % len(MARKERS)],
                    markevery=20,
                    zorder=3,
                )
            else:
                (lines["all others"],) = ax.plot(100 * grid, mean, color=GREY, linewidth=0.8)
        masked = [curve.absent_masked for curve in result.of(pair, track.label, entry)]
        if masked != [curve.test[0] for curve in result.of(pair, track.label, entry)]:
            line = ax.axhline(float(np.mean(masked)), color="black", linestyle=":", linewidth=1)
            lines["dense, absent classes masked"] = line
        ax.set_title(pair, fontsize=8)
        _percent_axis(ax)
    for ax in axes[len(pairs) :]:
        ax.remove()
    order = [*named, "all others", "dense, absent classes masked"]
    figure.legend(
        [lines[name] for name in order if name in lines],
        [name for name in order if name in lines],
        loc="outside lower center",
        ncols=4,
        fontsize=8,
    )
    for ax in axes[max(0, len(pairs) - columns) : len(pairs)]:
        ax.set_xlabel(f"{_LABELS.get(track.measure, track.measure)} kept / %", fontsize=8)
    figure.supylabel("test accuracy", fontsize=9)
    return figure


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
        A row per pair and track, a mark per allowed loss.
    """
    told = [saving for saving in result.savings() if saving.claim == claim]
    places = list(dict.fromkeys((saving.track, saving.pair) for saving in told))
    figure = Figure(figsize=(7.2, 0.42 * len(places) + 1.3), layout="constrained")
    ax = figure.subplots()
    losses = result.scenario.losses
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
    ax.axvline(0, color="black", linewidth=0.8)
    ax.axvline(35, color="black", linewidth=0.8, linestyle=":")
    ax.set_xlim(left=max(-100, ax.get_xlim()[0]), right=100)
    ax.set_yticks(range(len(places)), [f"{pair} ({track})" for track, pair in places], fontsize=7)
    ax.invert_yaxis()
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
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=7)
