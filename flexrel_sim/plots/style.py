"""One look for all pictures, and the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "GREY", "MARKERS", "new_figure", "picture", "save", "style"]

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: told apart by colour-blind readers too."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")

GREY: Final = "#B8B8B8"

_RC: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "svg.hashsalt": "flexrel_sim",
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style."""
    with mpl.rc_context(_RC):
        yield


def new_figure(
    panels: int = 1, width_in: float = 6.4, height_in: float = 3.9
) -> tuple[Figure, list[Axes]]:
    """Make a figure with panels side by side."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharey=panels > 1)
    return figure, list(axes[0])


def picture(figure: Figure, suffix: str) -> bytes:
    """Give a figure as a file's content; the same figures give the same bytes.

    Parameters
    ----------
    figure
        What to draw.
    suffix
        Kind of the file: ``.png``, ``.svg`` or ``.pdf``.

    Returns
    -------
    bytes
        The file.
    """
    stream = io.BytesIO()
    dates = {".svg": "Date", ".pdf": "CreationDate"}
    metadata = {dates[suffix]: None} if suffix in dates else {}
    figure.savefig(stream, format=suffix.removeprefix("."), dpi=200, metadata=metadata)
    return stream.getvalue()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG.

    Parameters
    ----------
    figure
        What to write.
    folder
        Where.
    name
        File name without its suffix.

    Returns
    -------
    list of pathlib.Path
        The two files.
    """
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=200)
    figure.savefig(svg, metadata={"Date": None})
    return [png, svg]
