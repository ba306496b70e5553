"""The figures that every run reports: their names, units, and which direction is better.

Objectives, constraints, tables and axis labels all speak of these and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["METRICS", "OPTIONAL_METRICS", "Metric", "choice_text", "delta_text"]


@dataclass(frozen=True)
class Metric:
    """One reported figure.

    Parameters
    ----------
    name
        Key in ``summary.json``, column in ``table.csv``, and name in objectives.
    label
        What it is, for axes and table heads, without its unit.
    unit
        Unit of the stored value, empty for a fraction.
    better
        Which direction is better.
    """

    name: str
    label: str
    unit: str
    better: Literal["min", "max"]

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1."""
        return not self.unit and self.name not in _COUNTS


_COUNTS: Final = ("retransmissions",)
"""Figures without a unit that may exceed 1."""

_ALL = (
    Metric("latency_mean_s", "mean sojourn time", "s", "min"),
    Metric("latency_p50_s", "median sojourn time", "s", "min"),
    Metric("latency_p95_s", "95th percentile of sojourn time", "s", "min"),
    Metric("latency_p99_s", "99th percentile of sojourn time", "s", "min"),
    Metric("regret_s", "mean sojourn time beyond the oracle's", "s", "min"),
    Metric("throughput_per_s", "answers per second", "1/s", "max"),
    Metric("drop_share", "share of requests dropped", "", "min"),
    Metric("miss_share", "share of requests late or without answer", "", "min"),
    Metric("edge_utilisation", "edge utilisation", "", "min"),
    Metric("uplink_utilisation", "uplink utilisation", "", "min"),
    Metric("server_utilisation", "server utilisation", "", "min"),
    Metric("downlink_utilisation", "downlink utilisation", "", "min"),
    Metric("uplink_bytes", "payload per request", "B", "min"),
    Metric("downlink_bytes", "answer per request", "B", "min"),
    Metric("uplink_wire_bytes", "uplink bytes per request, headers and repeats", "B", "min"),
    Metric("downlink_wire_bytes", "downlink bytes per request, headers and repeats", "B", "min"),
    Metric("retransmissions", "packets sent again per request", "", "min"),
    Metric("head_weight_bytes", "weights shipped to the edge", "B", "min"),
    Metric("tail_weight_bytes", "weights shipped to the server", "B", "min"),
    Metric("update_bytes", "weights on the downlink in a run, as on the wire", "B", "min"),
    Metric("update_downtime_s", "time of a device without service for its weights", "s", "min"),
    Metric("edge_compute_energy_j", "edge compute energy per request", "J", "min"),
    Metric("edge_idle_energy_j", "idle energy of the edge per request", "J", "min"),
    Metric("edge_radio_energy_j", "radio energy of the edge per request", "J", "min"),
    Metric("edge_energy_j", "energy of the edge per request", "J", "min"),
    Metric("battery_life_h", "battery life of an edge device", "h", "max"),
    Metric("calibration_s", "time of the calibration pass, once", "s", "min"),
    Metric("calibration_energy_j", "energy of the calibration pass, once", "J", "min"),
    Metric("accuracy", "accuracy", "", "max"),
    Metric("balanced_accuracy", "mean recall of the classes", "", "max"),
    Metric("worst_recall", "lowest recall of a class", "", "max"),
)

OPTIONAL_METRICS: Final = {
    **dict.fromkeys(
        ("latency_mean_s", "latency_p50_s", "latency_p95_s", "latency_p99_s"),
        "a request that is answered, in every replication",
    ),
    "edge_idle_energy_j": "an edge device whose file tells its idle_power_w",
    "edge_energy_j": "an edge device whose file tells its idle_power_w",
    "battery_life_h": "edge.battery, and a device whose file tells its idle_power_w",
    "update_bytes": "updates",
    "update_downtime_s": "updates",
    "regret_s": "a controller",
}
"""Figures that are absent, and what they need to be there."""

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ALL}


def choice_text(choice: Mapping[str, Any]) -> str:
    """Say what `delta: auto` chose, from a record with δ, normalisation and form."""
    parts = [f"δ = {delta_text(choice['delta'])}", f"normalise {choice['normalise']}"]
    if choice["form"] is not None:
        parts.append(f"form {choice['form']}")
    return ", ".join(parts)


def delta_text(delta: float | str) -> str:
    """Show δ, a number or ``auto``, as people write it."""
    return delta if isinstance(delta, str) else f"{delta:g}"
