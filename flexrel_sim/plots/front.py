"""The Pareto front, and where the chosen point's time goes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from flexrel_sim.metrics import METRICS
from flexrel_sim.plots.style import COLOURS, GREY, new_figure
from flexrel_sim.simulation import Summary
from flexrel_sim.study.result import PointResult, StudyResult

__all__ = ["pareto_front", "time_shares"]

_PANELS = ("uplink_bytes", "latency_p95_s")
"""What is drawn where the objectives name fewer than two costs."""

# Times and energies of a request read best in thousandths.
_SCALED = {"s": ("ms", 1e3), "J": ("mJ", 1e3)}


# Shares of the width and height of a panel in which two labels would meet.
_NEAR_ACROSS, _NEAR_UP = 0.06, 0.05


def pareto_front(result: StudyResult) -> Figure | None:
    """Draw the first two objectives against accuracy, in the base environment.

    The axis shows the accuracy that chose: that of the validation samples. The chosen point is
    labelled with its accuracy on the test samples, which chose nothing.

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
    figure, panels = new_figure(panels=2, width_in=8.6)
    costs = list(zip(panels, _costs(result), strict=True))
    for axes, name in costs:
        unit, scale = _unit(name)
        _scatter(axes, [p for p in points if not p.on_front], name, scale, GREY, "dominated")
        _scatter(
            axes,
            [p for p in points if p.on_front],
            name,
            scale,
            COLOURS[0],
            "Pareto front (numbers: points of the table)",
        )
        if result.chosen is not None:
            _ring(axes, result.chosen, name, scale)
        _constraint_line(axes, result)
        axes.set_xlabel(METRICS[name].label + (f" / {unit}" if unit else ""))
        if name.startswith("latency"):
            _logarithmic(axes)
    below = _focus(panels[0], points)
    for axes, name in costs:
        # Now that the axes have their limits: what is near on the page shares a label.
        _number_front(axes, [p for p in points if p.on_front], name)
    if below:
        panels[0].text(
            0.01,
            0.01,
            f"{below} dominated points lie below",
            transform=panels[0].transAxes,
            fontsize=7,
        )
    panels[0].set_ylabel("validation accuracy (95 % Wilson)")
    objectives = ", ".join(
        f"{METRICS[name].label} ({better})"
        for name, better in result.scenario_file.scenario.objectives.items()
    )
    title = textwrap.fill(f"Not beaten in all of: {objectives}", 90)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


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
    """Give the points of the base environment that have figures."""
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
    by = f"cut {cut}" if not point.options else "cuts chosen at run time"
    axes.set_title(f"Where {mean_ms:.1f} ms go (chosen point, {by})")
    return figure


def _scatter(
    axes: Axes, points: Sequence[PointResult], name: str, scale: float, colour: str, label: str
) -> None:
    if not points:
        return
    spans = [
        (p.outcome.metrics[name], p.validation_accuracy)
        for p in points
        if isinstance(p.outcome, Summary) and name in p.outcome.metrics
    ]
    axes.errorbar(
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
        fmt="o",
        color=colour,
        elinewidth=0.7,
        alpha=0.9,
        label=label,
        zorder=2 if colour == GREY else 3,
    )


def _constraint_line(axes: Axes, result: StudyResult) -> None:
    bound = result.scenario_file.scenario.constraints.get("accuracy")
    if bound is not None:
        label = f"constraint: accuracy {bound.relation} {bound.bound:g}"
        axes.axhline(bound.bound, color=COLOURS[2], linestyle=":", linewidth=1, label=label)


def _focus(axes: Axes, points: Sequence[PointResult]) -> int:
    """Give the axis to the front and what is near it; tell how many points are left below."""
    front = [p.validation_accuracy.low for p in points if p.on_front]
    if not front:
        return 0
    bottom = min(front) - 0.08
    axes.set_ylim(bottom=max(0.0, bottom))
    return sum(p.validation_accuracy.value < bottom for p in points)


def _number_front(axes: Axes, front: Sequence[PointResult], name: str) -> None:
    """Write the front points' indices beside them, once per operating point.

    Where labels would meet they are one, from left to right.
    """
    to_page = axes.transScale + axes.transLimits
    _, scale = _unit(name)
    labels: list[tuple[tuple[float, float], tuple[float, float], list[tuple[float, int]]]] = []
    for point in {p.profile.key: p for p in reversed(front)}.values():
        if isinstance(point.outcome, Summary) and name in point.outcome.metrics:
            cost = scale * point.outcome.metrics[name].value
            place = (cost, point.validation_accuracy.value)
            across, up = to_page.transform(place)
            for _, (left, low), indices in labels:
                if abs(across - left) < _NEAR_ACROSS and abs(up - low) < _NEAR_UP:
                    indices.append((across, point.index))
                    break
            else:
                labels.append((place, (across, up), [(across, point.index)]))
    for place, _, indices in labels:
        axes.annotate(
            ", ".join(str(index) for _, index in sorted(indices)),
            place,
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7,
            color=COLOURS[0],
        )


def _ring(axes: Axes, point: PointResult, name: str, scale: float) -> None:
    outcome = point.outcome
    if not isinstance(outcome, Summary) or name not in outcome.metrics:
        return
    x = scale * outcome.metrics[name].value
    test = point.profile.accuracy
    axes.plot(
        [x],
        [point.validation_accuracy.value],
        marker="o",
        markersize=12,
        markerfacecolor="none",
        markeredgecolor=COLOURS[1],
        markeredgewidth=1.8,
        linestyle="none",
        zorder=4,
        label=f"chosen: test accuracy {test.value:.3f} [{test.low:.3f}, {test.high:.3f}]",
    )
