"""Accuracy against pruning, and latency against bandwidth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from flexrel_sim.metrics import delta_text
from flexrel_sim.plots.labels import legend
from flexrel_sim.plots.style import COLOURS, MARKERS, new_figure
from flexrel_sim.scenario.link_sections import nominal_rate_bit_per_s
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.study.result import PointResult, StudyResult

__all__ = ["accuracy_against_ratio", "latency_against_bandwidth"]

NO_CODEC = "{}"

_ASIDE_IN = 0.02
"""How far curves are shifted from each other on the page, in inches."""


def accuracy_against_ratio(result: StudyResult) -> Figure | None:
    """Draw test accuracy against the pruning ratio, a curve per criterion, δ and granularity.

    Parameters
    ----------
    result
        A study.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if no criterion has two ratios.
    """
    place = _fullest_place(result.points)
    points = {p.profile.key: p for p in result.points if _all_but_pruning(p) == place}
    dense = [point for point in points.values() if _pruning(point)["ratio"] == 0]
    pruned = [point for point in points.values() if _pruning(point)["ratio"] > 0]
    varying = _varying([_pruning(point) for point in pruned])
    series: dict[str, list[PointResult]] = {}
    for point in pruned:
        series.setdefault(_criterion_label(_pruning(point), varying), []).append(point)
    series = {name: [*dense, *found] for name, found in series.items()}
    if not any(len(found) > 1 for found in series.values()):
        return None
    figure, (axes,) = new_figure(width_in=7.2)
    handles: dict[str, Any] = {}
    for index, (name, found) in enumerate(series.items()):
        found.sort(key=lambda point: _pruning(point)["ratio"])
        # Side by side on the page: curves that agree would hide one another.
        aside = ScaledTranslation(
            _ASIDE_IN * (index - (len(series) - 1) / 2), 0, figure.dpi_scale_trans
        )
        look = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
            "markeredgecolor": "white",
            "markeredgewidth": 0.4,
            "markersize": 5.5,
            "transform": axes.transData + aside,
        }
        if _pruning(found[-1])["granularity"] == "filters":
            look |= {"markerfacecolor": "white", "markeredgecolor": look["color"]}
        handles[name] = _accuracy_curve(axes, found, look)
    # Explicit transforms don't reach the limits of the axes.
    axes.update_datalim([(0, 0), (1, 1)])
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(bottom=0, top=1.03)
    axes.set_xlabel("pruning ratio (fraction of prunable weights or filters removed)")
    axes.set_ylabel("test accuracy")
    axes.set_title(f"What pruning costs ({_place_label(result.points, place)})")
    title = (
        "bars: 95 % interval\ndotted: nothing measured between\n"
        "shifted sideways, so that all are seen"
    )
    legend(axes, handles, loc="center left", bbox_to_anchor=(1, 0.5), title=title, title_fontsize=8)
    return figure


def _accuracy_curve(axes: Axes, found: Sequence[PointResult], look: dict[str, Any]) -> Any:
    """Draw what was measured, with its intervals; a line in between is a guide to the eye."""
    accuracies = [point.profile.accuracy for point in found]
    values = [accuracy.value for accuracy in accuracies]
    return axes.errorbar(
        [_pruning(point)["ratio"] for point in found],
        values,
        yerr=[
            [accuracy.value - accuracy.low for accuracy in accuracies],
            [accuracy.high - accuracy.value for accuracy in accuracies],
        ],
        linestyle=":",
        linewidth=0.9,
        elinewidth=0.9,
        **look,
    )


def latency_against_bandwidth(result: StudyResult) -> Figure | None:
    """Draw the 95th percentile of the sojourn time against the uplink rate, a curve per cut.

    Parameters
    ----------
    result
        A study; pruning and codec are those of the chosen point, or of the fullest grid.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if no cut has two uplink rates.
    """
    others, codec = _fullest_group(result)
    points = [
        point
        for point in result.points
        if _others(point) == others
        and _codec(point) in (NO_CODEC, codec)
        and not math.isnan(_uplink_mbit(point))
    ]
    cuts: dict[str, list[PointResult]] = {}
    for point in points:
        cuts.setdefault(_cut(point), []).append(point)
    if not any(len({_uplink_mbit(p) for p in found}) > 1 for found in cuts.values()):
        return None
    figure, (axes,) = new_figure(width_in=7.2)
    handles: dict[str, Any] = {}
    crossed: Counter[float] = Counter()
    for index, (cut, found) in enumerate(cuts.items()):
        found.sort(key=_uplink_mbit)
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        handles[cut] = _latency_curve(axes, found, style)
        _cross_overloaded(axes, found, style["color"], crossed)
    axes.set_xscale("log")
    axes.set_yscale("log")
    rates = sorted({_uplink_mbit(point) for point in points})
    axes.set_xticks(rates, [f"{rate:.3g}" for rate in rates])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("uplink rate / (Mbit/s)")
    axes.set_ylabel("95th percentile of sojourn time / ms")
    axes.set_title(f"Where to cut ({_pruning_label(_pruning(points[0]))})")
    legend(
        axes,
        handles,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        title="cut after\n(× at the top: overloaded;\nbars: 95 % interval)",
    )
    return figure


def _latency_curve(axes: Axes, found: Sequence[PointResult], style: dict[str, Any]) -> Any:
    rates, values_ms, below_ms, above_ms = [], [], [], []
    for point in found:
        # A point that answered nothing has no latency to draw.
        if isinstance(point.outcome, Summary) and "latency_p95_s" in point.outcome.metrics:
            latency = point.outcome.metrics["latency_p95_s"]
            rates.append(_uplink_mbit(point))
            values_ms.append(1e3 * latency.value)
            below_ms.append(1e3 * (latency.value - latency.low))
            above_ms.append(1e3 * (latency.high - latency.value))
    return axes.errorbar(rates, values_ms, yerr=[below_ms, above_ms], capsize=2, **style)


def _cross_overloaded(
    axes: Axes, found: Sequence[PointResult], colour: str, crossed: Counter[float]
) -> None:
    """Mark overloaded points at the top, those at one rate below each other."""
    for point in found:
        if isinstance(point.outcome, Unstable):
            rate = _uplink_mbit(point)
            axes.plot(
                [rate],
                [0.98 - 0.035 * crossed[rate]],
                linestyle="none",
                marker="x",
                color=colour,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
            crossed[rate] += 1


def _pruning(point: PointResult) -> dict[str, Any]:
    pruning: dict[str, Any] = point.profile.operating_point["pruning"]
    return pruning


def _cut(point: PointResult) -> str:
    return str(point.profile.operating_point["split"]["cut"])


def _uplink_mbit(point: PointResult) -> float:
    return nominal_rate_bit_per_s(point.scenario.link.uplink) / 1e6


def _varying(prunings: list[dict[str, Any]]) -> list[str]:
    """Name the settings that tell curves apart beside those that every label shows."""
    shown = {"criterion", "delta", "normalise", "granularity", "ratio"}
    # Criteria have settings of their own; they tell curves of one criterion apart.
    values: dict[tuple[str, str, str], set[str]] = {}
    for pruning in prunings:
        for name, value in _flat(pruning).items():
            place = (name, pruning["criterion"], pruning["granularity"])
            values.setdefault(place, set()).add(str(value))
    varying = [place[0] for place, found in values.items() if len(found) > 1]
    return [name for name in dict.fromkeys(varying) if name not in shown]


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings by dotted paths."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _criterion_label(pruning: dict[str, Any], varying: Sequence[str] = ()) -> str:
    label = str(pruning["criterion"])
    if "delta" in pruning:
        label += f", δ = {delta_text(pruning['delta'])}"
    normalise = pruning.get("normalise", "layer")
    scales = {"layer": "", "global": ", global scale", "rank": ", ranks", "none": ", raw"}
    label += scales[normalise]
    flat = _flat(pruning)
    for name in varying:
        if name in flat:
            value = flat[name]
            shown = "+".join(map(str, value)) if isinstance(value, list) else str(value)
            label += f", {name.rpartition('.')[2]} {shown}"
    return label if pruning["granularity"] == "weights" else f"{label}, filters"


def _pruning_label(pruning: dict[str, Any]) -> str:
    if pruning["ratio"] == 0:
        return "dense network"
    return f"{_criterion_label(pruning)}, ratio {pruning['ratio']:g}"


def _all_but_pruning(point: PointResult) -> str:
    sections = point.profile.operating_point
    return str([sections[name] for name in ("model", "data", "split", "codec")])


def _fullest_place(points: Iterable[PointResult]) -> str:
    profiles = {point.profile.key: _all_but_pruning(point) for point in points}
    return Counter(profiles.values()).most_common(1)[0][0]


def _place_label(points: Iterable[PointResult], place: str) -> str:
    sections = next(p for p in points if _all_but_pruning(p) == place).profile.operating_point
    codec = " + ".join(
        str(sections["codec"][key])
        for key in ("dtype", "compress")
        if sections["codec"].get(key, "none") != "none"
    )
    return f"cut {sections['split']['cut']}{f', {codec}' if codec else ''}"


def _others(point: PointResult) -> str:
    """Name all that is not the cut, the codec or the uplink rate."""
    sections = point.profile.operating_point
    link = point.scenario.link.model_dump()
    uplink = link.pop("uplink")
    if isinstance(uplink, dict):
        link["uplink options"] = {key: uplink[key] for key in uplink if key != "rate"}
    rest = point.scenario.model_dump(include={"edge", "server", "workload", "simulation"})
    return str(([sections[name] for name in ("model", "data", "pruning")], link, rest))


def _codec(point: PointResult) -> str:
    """Name the codec; a network that stays on the edge has none and goes with any."""
    return str(point.profile.operating_point["codec"])


def _fullest_group(result: StudyResult) -> tuple[str, str]:
    """Choose what the picture holds fixed: what most of the points share, or the choice does."""
    rates: dict[tuple[str, str], set[tuple[str, float]]] = {}
    for point in result.points:
        group = (_others(point), _codec(point))
        rates.setdefault(group, set()).add((_cut(point), _uplink_mbit(point)))
    fullest = max(len(found) for found in rates.values())
    chosen = result.chosen
    if chosen is not None:
        own = (_others(chosen), _codec(chosen))
        if len(rates[own]) == fullest:
            return own
    return next(group for group, found in rates.items() if len(found) == fullest)
