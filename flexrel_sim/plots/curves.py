"""Accuracy against pruning, and latency against bandwidth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from flexrel_sim.metrics import delta_text
from flexrel_sim.plots.style import COLOURS, MARKERS, new_figure
from flexrel_sim.scenario.link_sections import nominal_rate_bit_per_s
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.study.result import PointResult, StudyResult

__all__ = ["accuracy_against_ratio", "latency_against_bandwidth"]

NO_CODEC = "{}"


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
    for index, (name, found) in enumerate(series.items()):
        found.sort(key=lambda point: _pruning(point)["ratio"])
        ratios = [_pruning(point)["ratio"] for point in found]
        accuracies = [point.profile.accuracy for point in found]
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            ratios,
            [accuracy.value for accuracy in accuracies],
            color=colour,
            marker=MARKERS[index % len(MARKERS)],
            linestyle="--" if _pruning(found[-1])["granularity"] == "filters" else "-",
            label=name,
        )
        axes.fill_between(
            ratios,
            [accuracy.low for accuracy in accuracies],
            [accuracy.high for accuracy in accuracies],
            color=colour,
            alpha=0.12,
            linewidth=0,
        )
    axes.set_xlabel("pruning ratio (fraction of prunable weights or filters removed)")
    axes.set_ylabel("test accuracy")
    axes.set_title(f"What pruning costs ({_place_label(result.points, place)})")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="band: 95 % Wilson interval")
    return figure


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
    for index, (cut, found) in enumerate(cuts.items()):
        found.sort(key=_uplink_mbit)
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        _latency_curve(axes, found, cut, style)
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
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        title="cut after\n(× at the top: overloaded;\nbars: 95 % t-interval)",
    )
    return figure


def _latency_curve(axes: Axes, found: list[PointResult], cut: str, style: dict[str, Any]) -> None:
    rates, values_ms, below_ms, above_ms = [], [], [], []
    for point in found:
        # A point that answered nothing has no latency to draw.
        if isinstance(point.outcome, Summary) and "latency_p95_s" in point.outcome.metrics:
            latency = point.outcome.metrics["latency_p95_s"]
            rates.append(_uplink_mbit(point))
            values_ms.append(1e3 * latency.value)
            below_ms.append(1e3 * (latency.value - latency.low))
            above_ms.append(1e3 * (latency.high - latency.value))
    axes.errorbar(rates, values_ms, yerr=[below_ms, above_ms], capsize=2, label=cut, **style)
    overloaded = [_uplink_mbit(p) for p in found if isinstance(p.outcome, Unstable)]
    axes.plot(
        overloaded,
        [0.98] * len(overloaded),
        linestyle="none",
        marker="x",
        color=style["color"],
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )


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
