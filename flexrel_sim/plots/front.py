"""The Pareto front, and where the chosen point's time goes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from flexrel_sim.metrics import METRICS
from flexrel_sim.plots.labels import legend, place_labels
from flexrel_sim.plots.style import COLOURS, GREY, new_figure
from flexrel_sim.simulation import Summary
from flexrel_sim.study.result import PointResult, StudyResult

__all__ = ["pareto_front", "time_shares"]

_PANELS = ("uplink_bytes", "latency_p95_s")
"""What is drawn where the objectives name fewer than two costs."""

# Times and energies of a request read best in thousandths.
_SCALED = {"s": ("ms", 1e3), "J": ("mJ", 1e3)}


# Share of the width and height of a panel in which two points share a label.
_NEAR = 0.02

_FRONT = "Pareto front (numbers: points of the table)"
_DOMINATED = "dominated"
_BROKEN = "breaks a constraint"
_UNRANKED = "not ranked"


def pareto_front(result: StudyResult) -> Figure | None:
    """Draw the first two objectives against accuracy, in the headline's environment.

    The axis shows the accuracy that chose: that of the validation samples. The chosen point is
    labelled with its accuracy on the test samples, which chose nothing. What breaks a constraint
    is a cross, and what is not ranked, such as an oracle, a plus: they are on no front.

    Parameters
    ----------
    result
        A study.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if fewer than two operating points have figures.
    """
    points = [point for point, _ in _simulated(result)]
    if len({point.profile.key for point in points}) < 2:
        return None
    figure, panels = new_figure(panels=2, width_in=8.6, height_in=4.4)
    costs = list(zip(panels, _costs(result), strict=True))
    handles: dict[str, Any] = {}
    for axes, name in costs:
        unit, scale = _unit(name)
        for kind, look in _LOOKS.items():
            own = [point for point in points if _kind(point) == kind]
            handles |= _scatter(axes, own, name, scale, kind, look)
        handles |= _constraint_lines(axes, result, name, scale)
        axes.set_xlabel(METRICS[name].label + (f" / {unit}" if unit else ""))
        if name.startswith("latency"):
            _logarithmic(axes)
        axes.margins(x=0.08)
    below = _focus(panels[0], points)
    for axes, name in costs:
        if result.chosen is not None:
            handles |= _ring(axes, result.chosen, name)
    panels[0].set_ylabel(
        "validation accuracy, which chooses\n(bars: 95 % interval; the table has test accuracy)"
    )
    figure.suptitle(_title(result), x=0.01, ha="left", fontsize=9, fontweight="bold")
    if below:
        handles[f"({below} more points lie below)"] = Line2D([], [], linestyle="none")
    legend(figure, handles, loc="outside lower center", ncols=3, fontsize=8)
    for axes, name in costs:
        # Now that the axes have their limits: what is one spot on the page shares a label.
        _number_front(axes, points, name)
    return figure


def _kind(point: PointResult) -> str:
    if point.on_front:
        return _FRONT
    if point.feasible:
        return _DOMINATED
    # Oracles, and points without a figure that ranks, are on no front either, and break nothing.
    broken = any(verdict.verdict == "broken" for verdict in point.verdicts.values())
    return _BROKEN if broken else _UNRANKED


def _title(result: StudyResult) -> str:
    objectives = ", ".join(
        f"{METRICS[name].label} ({better})"
        for name, better in result.scenario_file.scenario.objectives.items()
    )
    where = f"; at {result.headline.name}" if len(result.environments) > 1 else ""
    return textwrap.fill(f"Not beaten in all of: {objectives}{where}", 100)


def _unit(name: str) -> tuple[str, float]:
    """Give the unit that a figure is drawn in, and how many of it make one of the figure's own."""
    return _SCALED.get(METRICS[name].unit, (METRICS[name].unit, 1.0))


def _costs(result: StudyResult) -> list[str]:
    """Name what the panels show: costs that the objectives name, then bytes and latency."""
    named = [name for name in result.scenario_file.scenario.objectives if name != "accuracy"]
    known = [
        name
        for name in dict.fromkeys((*named, *_PANELS, "miss_share"))
        if any(name in outcome.metrics for _, outcome in _simulated(result))
    ]
    # Bytes on the left, as always, where both are drawn.
    return sorted(known[:2], key=lambda name: name != "uplink_bytes")


def _simulated(result: StudyResult) -> list[tuple[PointResult, Summary]]:
    """Give the points of the headline's environment that have figures."""
    return [
        (point, point.outcome)
        for point in result.headline_points
        if isinstance(point.outcome, Summary)
    ]


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def time_shares(result: StudyResult) -> Figure | None:
    """Draw what the mean sojourn time of the chosen (or only) point is made of.

    Parameters
    ----------
    result
        A study.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if nothing was chosen.
    """
    point = result.chosen
    if point is None or not isinstance(point.outcome, Summary):
        return None
    shares = {name: share for name, share in point.outcome.shares.items() if share.mean_s > 0}
    if not shares:
        return None
    figure, (axes,) = new_figure(width_in=7.2, height_in=0.34 * len(shares) + 1.2)
    bars = axes.barh(
        list(shares),
        [1e3 * share.mean_s for share in shares.values()],
        color=[COLOURS[1] if name.endswith("wait") else COLOURS[0] for name in shares],
    )
    axes.bar_label(bars, [f" {share.share:.1%}" for share in shares.values()], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("mean time per request / ms (orange: waiting; parts of no time are left out)")
    mean_ms = 1e3 * point.outcome.metrics["latency_mean_s"].value
    cut = point.profile.operating_point["split"]["cut"]
    by = f"cut {cut}" if point.scenario.controller is None else "cuts chosen at run time"
    axes.set_title(f"Where {mean_ms:.1f} ms go (chosen point, {by})")
    return figure


_LOOKS: Final[dict[str, dict[str, Any]]] = {
    _UNRANKED: {"marker": "+", "color": GREY, "elinewidth": 0.5, "zorder": 1.5},
    _BROKEN: {"marker": "x", "color": GREY, "elinewidth": 0.5, "zorder": 1.5},
    _DOMINATED: {"marker": "o", "color": GREY, "elinewidth": 0.7, "zorder": 2},
    _FRONT: {"marker": "o", "color": COLOURS[0], "elinewidth": 0.9, "zorder": 3},
}


def _scatter(
    axes: Axes,
    points: Sequence[PointResult],
    name: str,
    scale: float,
    kind: str,
    look: dict[str, Any],
) -> dict[str, Any]:
    """Draw points of one kind with their intervals, and give a handle for the legend."""
    spans = [
        (p.outcome.metrics[name], p.validation_accuracy)
        for p in points
        if isinstance(p.outcome, Summary) and name in p.outcome.metrics
    ]
    if not spans:
        return {}
    drawn = axes.errorbar(
        [scale * cost.value for cost, _ in spans],
        [accuracy.value for _, accuracy in spans],
        xerr=[
            [scale * (cost.value - cost.low) for cost, _ in spans],
            [scale * (cost.high - cost.value) for cost, _ in spans],
        ],
        yerr=[
            [accuracy.value - accuracy.low for _, accuracy in spans],
            [accuracy.high - accuracy.value for _, accuracy in spans],
        ],
        linestyle="none",
        **look,
    )
    return {kind: drawn}


def _constraint_lines(axes: Axes, result: StudyResult, name: str, scale: float) -> dict[str, Any]:
    """Draw the bounds of what a panel shows: accuracy, and its cost."""
    look: dict[str, Any] = {"color": COLOURS[2], "linestyle": ":", "linewidth": 1.2}
    constraints = result.scenario_file.scenario.constraints
    handles: dict[str, Any] = {}
    for metric, line, factor in (
        ("accuracy", axes.axhline, 1.0),
        (name, axes.axvline, scale),
    ):
        bound = constraints.get(metric)
        if bound is None:
            continue
        label, value = f"{bound.relation} {factor * bound.bound:g} {_unit(metric)[0]}", bound.bound
        if bound.of_dense:
            # All points of a network share its dense answers; one line is that of the first.
            dense = result.headline_points[0].profile.validation_dense_correct
            label, value = str(bound), bound.bound + float(dense.mean())
        label = f"constraint: {METRICS[metric].label} {label}".rstrip()
        handles[label] = line(factor * value, **look)
    return handles


def _focus(axes: Axes, points: Sequence[PointResult]) -> int:
    """Give the axis to the front and what is near it; tell how many points are left below."""
    # Accuracy ends at 1.
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
    front = [p.validation_accuracy.low for p in points if p.on_front]
    if not front:
        return 0
    bottom = max(0.0, min(front) - 0.08)
    axes.set_ylim(bottom=bottom)
    return sum(p.validation_accuracy.value < bottom for p in points)


def _number_front(axes: Axes, points: Sequence[PointResult], name: str) -> None:
    """Write the front points' indices beside them, once per operating point.

    Points on one spot have one label, from left to right.
    """
    to_page = axes.transScale + axes.transLimits
    places = {point.index: _place(point, name) for point in points}
    labels: list[tuple[tuple[float, float], tuple[float, float], list[tuple[float, int]]]] = []
    front = {p.profile.key: p for p in reversed(points) if p.on_front}
    for point in front.values():
        place = places[point.index]
        if place is None:
            continue
        across, up = to_page.transform(place)
        for _, (left, low), indices in labels:
            if abs(across - left) < _NEAR and abs(up - low) < _NEAR:
                indices.append((across, point.index))
                break
        else:
            labels.append((place, (across, up), [(across, point.index)]))
    written = [
        (place, ", ".join(str(index) for _, index in sorted(indices)))
        for place, _, indices in labels
    ]
    drawn = [place for place in places.values() if place is not None]
    place_labels(axes, written, drawn, fontsize=7, color=COLOURS[0])


def _place(point: PointResult, name: str) -> tuple[float, float] | None:
    """Give where a point is drawn, if it has what the panel shows."""
    if not isinstance(point.outcome, Summary) or name not in point.outcome.metrics:
        return None
    return _unit(name)[1] * point.outcome.metrics[name].value, point.validation_accuracy.value


def _ring(axes: Axes, point: PointResult, name: str) -> dict[str, Any]:
    place = _place(point, name)
    if place is None:
        return {}
    test = point.profile.accuracy
    (ring,) = axes.plot(
        [place[0]],
        [place[1]],
        marker="o",
        markersize=12,
        markerfacecolor="none",
        markeredgecolor=COLOURS[1],
        markeredgewidth=1.8,
        linestyle="none",
        zorder=4,
        # Whole, also at the edge of the axes.
        clip_on=False,
    )
    return {f"chosen: test accuracy {test.value:.3f} [{test.low:.3f}, {test.high:.3f}]": ring}
