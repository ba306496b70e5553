"""Replications to figures with intervals, and where the time went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.profile import Profile
from flexrel_sim.simulation.system import Stage, System
from flexrel_sim.simulation.trace import Trace
from flexrel_sim.statistics import Estimate, t_interval

__all__ = ["SPANS", "StageShare", "Summary", "Window", "summarise"]

SPANS: Final[dict[str, tuple[str, str]]] = {
    "edge wait": ("created_s", "edge_start_s"),
    "edge compute": ("edge_start_s", "edge_end_s"),
    "uplink wait": ("edge_end_s", "uplink_start_s"),
    "uplink serialisation": ("uplink_start_s", "uplink_end_s"),
    "uplink propagation": ("uplink_end_s", "delivered_s"),
    "server wait": ("delivered_s", "server_start_s"),
    "server compute": ("server_start_s", "server_end_s"),
    "downlink wait": ("server_end_s", "downlink_start_s"),
    "downlink serialisation": ("downlink_start_s", "downlink_end_s"),
    "downlink propagation": ("downlink_end_s", "answered_s"),
}
"""What a sojourn time is made of: each part runs from one timestamp to the next."""

_EDGE_SPANS = ("edge wait", "edge compute")

_QUANTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


@dataclass(frozen=True)
class Window:
    """The counted part of a run, in seconds of simulated time."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class StageShare:
    """A part of the sojourn time.

    Parameters
    ----------
    mean_s
        Its mean over all counted requests of all replications.
    share
        That mean as a fraction of the mean sojourn time; the shares sum to one.
    """

    mean_s: float
    share: float


@dataclass(frozen=True)
class Summary:
    """One operating point in one system, simulated.

    Parameters
    ----------
    metrics
        Every metric by name. Simulated ones have t-intervals over replications, accuracy has
        Wilson's over test samples, and a fact such as weight bytes has no width.
    shares
        What the sojourn time is made of.
    loads
        ρ of every stage.
    busiest
        The stage with the highest ρ.
    counted_requests
        Requests behind the simulated metrics, all replications together.
    estimated
        Stages whose service time is a roofline estimate.
    """

    metrics: dict[str, Estimate]
    shares: dict[str, StageShare]
    loads: dict[str, float]
    busiest: str
    counted_requests: int
    estimated: tuple[str, ...]


def summarise(
    traces: Sequence[Trace],
    system: System,
    profile: Profile,
    stages: Sequence[Stage],
    window: Window,
    rate_per_s: float,
) -> Summary:
    """Summarise the replications of one point.

    Parameters
    ----------
    traces
        One per replication, at least two.
    system, profile, stages
        What was simulated.
    window
        Requests created in it are counted, and utilisation and throughput are taken over it.
    rate_per_s
        Rate of arrivals.

    Returns
    -------
    Summary
        Its figures.

    Raises
    ------
    ValueError
        If a replication counted no request.
    """
    counted = [trace.created_s >= window.start_s for trace in traces]
    if not all(mask.any() for mask in counted):
        raise ValueError("a replication counted no request")
    loads = {stage.name: stage.load(rate_per_s) for stage in stages}
    return Summary(
        metrics=_metrics(traces, counted, system, profile, window),
        shares=_shares(traces, counted, system),
        loads=loads,
        busiest=max(loads, key=lambda name: loads[name]),
        counted_requests=int(sum(mask.sum() for mask in counted)),
        estimated=system.estimated,
    )


def _metrics(
    traces: Sequence[Trace],
    counted: Sequence[NDArray[np.bool_]],
    system: System,
    profile: Profile,
    window: Window,
) -> dict[str, Estimate]:
    def over_replications(measure: Callable[[Trace, NDArray[np.bool_]], float]) -> Estimate:
        pairs = zip(traces, counted, strict=True)
        return t_interval([measure(trace, mask) for trace, mask in pairs])

    workers = {"edge": 1, "uplink": 1, "server": system.workers, "downlink": 1}
    metrics = {
        "latency_mean_s": over_replications(lambda t, m: float(t.sojourn_time_s[m].mean())),
        **{
            name: over_replications(partial(_sojourn_quantile_s, share))
            for name, share in _QUANTILES.items()
        },
        "throughput_per_s": over_replications(lambda t, _: _throughput_per_s(t, window)),
        **{
            f"{stage}_utilisation": over_replications(partial(_utilisation, stage, count, window))
            for stage, count in workers.items()
        },
        "uplink_bytes": over_replications(lambda t, m: float(t.payload_bytes[m].mean())),
        "edge_compute_energy_j": over_replications(
            lambda t, m: system.edge_power_w * float((t.edge_end_s - t.edge_start_s)[m].mean())
        ),
    }
    facts = {
        "downlink_bytes": profile.answer_bytes if system.crosses_link else 0,
        "head_weight_bytes": profile.head_weight_bytes,
        "tail_weight_bytes": profile.tail_weight_bytes,
        "calibration_s": system.calibration_s,
        "calibration_energy_j": system.calibration_energy_j,
    }
    metrics |= {name: Estimate(value, value, value) for name, value in facts.items()}
    return metrics | {"accuracy": profile.accuracy}


def _throughput_per_s(trace: Trace, window: Window) -> float:
    inside = (trace.answered_s >= window.start_s) & (trace.answered_s < window.end_s)
    return float(inside.sum()) / (window.end_s - window.start_s)


def _sojourn_quantile_s(share: float, trace: Trace, counted: NDArray[np.bool_]) -> float:
    return float(np.quantile(trace.sojourn_time_s[counted], share))


def _utilisation(
    stage: str, workers: int, window: Window, trace: Trace, _: NDArray[np.bool_]
) -> float:
    columns = trace.columns()
    start_s = np.clip(columns[f"{stage}_start_s"], window.start_s, window.end_s)
    end_s = np.clip(columns[f"{stage}_end_s"], window.start_s, window.end_s)
    # A request that never reached the stage has no timestamps there.
    busy_s = float(np.nansum(end_s - start_s))
    return busy_s / (workers * (window.end_s - window.start_s))


def _shares(
    traces: Sequence[Trace], counted: Sequence[NDArray[np.bool_]], system: System
) -> dict[str, StageShare]:
    pairs = list(zip(traces, counted, strict=True))
    total_s = float(np.mean(np.concatenate([t.sojourn_time_s[m] for t, m in pairs])))
    shares = {}
    for name in SPANS if system.crosses_link else _EDGE_SPANS:
        start, end = SPANS[name]
        spans_s = [(t.columns()[end] - t.columns()[start])[m] for t, m in pairs]
        mean_s = float(np.mean(np.concatenate(spans_s)))
        shares[name] = StageShare(mean_s, mean_s / total_s)
    return shares
