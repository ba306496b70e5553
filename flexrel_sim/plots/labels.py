"""Words in pictures: legends that keep every name, and numbers beside points that don't meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

__all__ = ["legend", "place_labels"]

_Spot = tuple[
    tuple[int, int], Literal["left", "center", "right"], Literal["bottom", "center", "top"]
]

# Where a label may stand: offset in points from its place, and its alignment.
_SPOTS: Final[tuple[_Spot, ...]] = (
    ((8, 5), "left", "bottom"),
    ((8, -5), "left", "top"),
    ((-8, 5), "right", "bottom"),
    ((-8, -5), "right", "top"),
    ((0, 16), "center", "bottom"),
    ((0, -16), "center", "top"),
    ((14, 18), "left", "bottom"),
    ((14, -18), "left", "top"),
    ((-14, 18), "right", "bottom"),
    ((-14, -18), "right", "top"),
    ((0, 30), "center", "bottom"),
    ((0, -30), "center", "top"),
)

_MARKER_POINTS: Final = 5.0
"""Half the width of what a label must not cover, in points."""


def legend(where: Axes | Figure, handles: Mapping[str, Any], **options: Any) -> Legend:
    """Make a legend that shows every name.

    Parameters
    ----------
    where
        Axes or figure.
    handles
        Name to what is drawn. Names may start with ``_``, which matplotlib takes as a wish to be
        left out.
    **options
        As of matplotlib's `legend`.

    Returns
    -------
    matplotlib.legend.Legend
        The legend.
    """
    places = [str(place) for place in range(len(handles))]
    made = where.legend(list(handles.values()), places, **options)
    for text, name in zip(made.get_texts(), handles, strict=True):
        text.set_text(name)
    return made


def place_labels(
    axes: Axes,
    labels: Sequence[tuple[tuple[float, float], str]],
    avoid: Sequence[tuple[float, float]],
    **style: Any,
) -> None:
    """Write labels beside their places, where they meet neither each other nor a point.

    Parameters
    ----------
    axes
        Axes whose limits are final.
    labels
        Place in data, and text; the first are placed first.
    avoid
        Points in data that no label may cover.
    **style
        As of matplotlib's `annotate`.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)  # noqa: S101 - these pictures have no subfigures
    # Constrained layout moves the axes while it draws.
    figure.draw_without_rendering()
    half = _MARKER_POINTS * figure.dpi / 72
    taken = []
    for point in avoid:
        x, y = axes.transData.transform(point)
        taken.append(Bbox.from_extents(x - half, y - half, x + half, y + half))
    for place, text in labels:
        written = axes.annotate(text, place, (0, 0), textcoords="offset points", **style)
        boxes = [_box(written, spot) for spot in _SPOTS]
        inside = axes.get_window_extent()
        clashes = [
            sum(box.overlaps(other) for other in taken) + 2 * (not _within(box, inside))
            for box in boxes
        ]
        best = clashes.index(min(clashes))
        taken.append(_box(written, _SPOTS[best]))


def _box(written: Annotation, spot: _Spot) -> Bbox:
    offset, across, up = spot
    written.xyann = offset
    written.set_horizontalalignment(across)
    written.set_verticalalignment(up)
    return written.get_window_extent()


def _within(box: Bbox, frame: Bbox) -> bool:
    return bool(
        box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
    )
