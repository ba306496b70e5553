"""What crosses every cut of a network, and what is done before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator

from flexrel_sim.errors import InputError
from flexrel_sim.files import demand_free, write_whole
from flexrel_sim.placement import Cut, CutTable
from flexrel_sim.plots.style import COLOURS, GREY, picture, style

__all__ = ["cuts_along_depth", "draw_cuts"]

_TICKS_MAX = 30

_SUFFIXES = (".png", ".svg", ".pdf")


def draw_cuts(table: CutTable, title: str, output: Path, *, force: bool = False) -> list[Path]:
    """Draw `cuts_along_depth` into a file, or as PNG and SVG into a folder.

    Parameters
    ----------
    table, title
        What to draw.
    output
        A .png, .svg or .pdf file, or a folder, which is made if it is missing.
    force
        Whether pictures that are there are replaced.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    InputError
        If the file is of another kind, or can't be written, or is there and is not to be replaced.
    """
    if output.suffix and not output.is_dir() and output.suffix not in _SUFFIXES:
        raise InputError(f"{output}: must be a {', '.join(_SUFFIXES)} file, or a folder")
    if output.suffix and not output.is_dir():
        files = [output]
    else:
        files = [output / "cuts.png", output / "cuts.svg"]
    demand_free(files, force=force)
    try:
        if len(files) > 1:
            output.mkdir(parents=True, exist_ok=True)
        with style():
            figure = cuts_along_depth(table, title)
            for file in files:
                write_whole(file, picture(figure, file.suffix), replace=force)
    except OSError as error:
        raise InputError(f"{output}: can't be written: {error.strerror}") from None
    return files


def cuts_along_depth(table: CutTable, title: str) -> Figure:
    """Draw bytes at every cut, and the share of MACs and weights before it, along the depth.

    Parameters
    ----------
    table
        The cuts.
    title
        What they are the cuts of.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels on one axis of operations.
    """
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.set_title(title, pad=20)
    _bytes(above, table.cuts)
    _shares(below, table.cuts)
    ticks = _ticks(table.cuts)
    below.set_xticks([cut.operations for cut in ticks])
    below.set_xticklabels([_short(cut) for cut in ticks], rotation=55, ha="right", fontsize=7)
    below.set_xlabel("last operation on the edge")
    below.set_xlim(-0.5, table.cuts[-1].operations + 0.5)
    return figure


def _bytes(axes: Axes, cuts: Sequence[Cut]) -> None:
    crossing = [cut for cut in cuts if cut.crosses_link]
    image_bytes = crossing[0].boundary_bytes
    sizes = [cut.boundary_bytes for cut in crossing]
    axes.plot([cut.operations for cut in crossing], sizes, color=GREY, linewidth=1, zorder=1)
    for several, marker, label in ((False, "o", "one tensor"), (True, "s", "several tensors")):
        for smaller, colour in ((False, COLOURS[0]), (True, COLOURS[2])):
            chosen = [
                cut
                for cut in crossing
                if (len(cut.boundary) > 1, cut.boundary_bytes < image_bytes) == (several, smaller)
            ]
            axes.plot(
                [cut.operations for cut in chosen],
                [cut.boundary_bytes for cut in chosen],
                linestyle="none",
                marker=marker,
                markersize=4,
                color=colour,
                markerfacecolor="white" if several else colour,
            )
        inside = "white" if several else "black"
        axes.plot([], [], marker=marker, ls="none", c="black", mfc=inside, label=label)
    axes.plot([], [], color=COLOURS[2], linewidth=4, label="fewer bytes than the input")
    image = EngFormatter("B", places=0)(image_bytes)
    axes.axhline(
        image_bytes, color=COLOURS[1], linewidth=1, linestyle="--", label=f"input, {image}"
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(EngFormatter("B"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("boundary, uncoded")
    axes.set_ylim(min(sizes) / 2, max(sizes) * 2)
    axes.legend(ncols=4, fontsize=7, loc="lower left", bbox_to_anchor=(-0.01, 1), columnspacing=1)


def _shares(axes: Axes, cuts: Sequence[Cut]) -> None:
    places = [cut.operations for cut in cuts]
    macs = cuts[0].tail_macs
    weights = cuts[0].tail_weight_bytes
    for values, total, colour, unit in (
        ([cut.head_macs for cut in cuts], macs, COLOURS[0], "MACs"),
        ([cut.head_weight_bytes for cut in cuts], weights, COLOURS[1], "weight bytes"),
    ):
        label = f"{unit} on the edge, of {EngFormatter(places=1)(total)}"
        axes.plot(
            places,
            100 * np.array(values) / max(total, 1),
            color=colour,
            drawstyle="steps-post",
            label=label,
        )
    axes.set_ylabel("share / %")
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=7, loc="upper left")


def _ticks(cuts: Sequence[Cut]) -> list[Cut]:
    """Choose the cuts that are labelled: both ends, blocks, then others, as there is room."""
    room = cuts[-1].operations / _TICKS_MAX
    ends = [cuts[0], cuts[-1]]
    blocks = [cut for cut in cuts if cut.blocks and len(cut.boundary) == 1]
    outer = [cut for cut in cuts if "." not in cut.name]
    kept: list[Cut] = []
    for cut in (*ends, *blocks, *outer):
        if all(abs(cut.operations - other.operations) >= room for other in kept):
            kept.append(cut)
    return sorted(kept, key=lambda cut: cut.operations)


def _short(cut: Cut) -> str:
    return min(cut.blocks, key=len) if cut.blocks else cut.name
