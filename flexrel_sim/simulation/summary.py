"""Replications to figures with intervals, and where the time went."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from flexrel_sim.accuracy import mixed_figures
from flexrel_sim.profile import Profile
from flexrel_sim.simulation.doubts import Doubt, Queue, doubts_of
from flexrel_sim.simulation.figures import EDGE_SPANS, SPANS, Figures, Window
from flexrel_sim.simulation.options import shipped_bytes
from flexrel_sim.simulation.quantiles import PooledLatencies
from flexrel_sim.simulation.system import Stage, System
from flexrel_sim.simulation.tails import PooledQuantile, quantile_interval
from flexrel_sim.simulation.trace import REASONS
from flexrel_sim.statistics import Estimate, ratio_values, t_interval

__all__ = ["SPANS", "StageShare", "Summary", "Window", "summarise", "with_loads"]

_QUANTILES: Final = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


@dataclass(frozen=True)
class StageShare:
    """A part of the sojourn time.

    Parameters
    ----------
    mean_s
        Its mean over all counted and answered requests of all replications.
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
        Every metric by name. Simulated ones have t-intervals over replications, quantiles of
        latency Woodruff's, accuracy and recalls have intervals over test samples, and a fact such
        as weight bytes has no width. No bound is one that the figure can't have, such as a negative
        latency.
    shares
        What the sojourn time is made of.
    loads
        ρ of every stage.
    busiest
        The stage with the highest ρ.
    counted_requests
        Requests behind the simulated metrics, all replications together.
    labels
        Where the service times of edge and server are from: ``given``, ``profiled`` or
        ``estimated``.
    engine
        Which engine simulated it.
    dropped
        Counted requests that were dropped, by reason; none where empty.
    rounded
        Whether quantiles are of latencies rounded to 12 bits: there were too many to keep.
    option_shares
        Share of the counted answers that each of a controller's options gave.
    per_replication
        Every simulated metric's values, one per replication, to compare points that met the same
        chance: differences of two points' values are as good a sample as the values are. Their mean
        is the metric's value. A quantile's are linearised around the pooled one: no latencies.
    doubts
        Latencies whose interval is not to be relied on, and why.
    """

    metrics: dict[str, Estimate]
    shares: dict[str, StageShare]
    loads: dict[str, float]
    busiest: str
    counted_requests: int
    labels: dict[str, str]
    engine: str = "simpy"
    dropped: dict[str, int] = field(default_factory=dict)
    rounded: bool = False
    option_shares: tuple[float, ...] = (1.0,)
    per_replication: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    doubts: Mapping[str, Doubt] = field(default_factory=dict)

    @property
    def estimated(self) -> tuple[str, ...]:
        """Stages whose service time is a roofline estimate."""
        return tuple(stage for stage, label in self.labels.items() if label == "estimated")


def summarise(  # noqa: PLR0913, PLR0917 - a point is all of these
    figures: Sequence[Figures],
    system: System,
    profiles: Sequence[Profile],
    stages: Sequence[Stage],
    loads: dict[str, float],
    engine: str = "simpy",
    regrets_s: Sequence[float] = (),
    queues: Sequence[Queue] = (),
) -> Summary:
    """Summarise the replications of one point.

    Parameters
    ----------
    figures
        One per replication, at least two.
    system, profiles, stages
        What was simulated; with a controller, the profiles of all options.
    loads
        ρ of every stage.
    engine
        Which engine did.
    regrets_s
        Mean latency beyond the oracle's, one per replication; none without a controller.
    queues
        Those whose memory by theory counts; none where arrivals are not by chance.

    Returns
    -------
    Summary
        Its figures.

    Raises
    ------
    ValueError
        If a replication counted no request.
    """
    pool = PooledLatencies([own.quantiles for own in figures])
    values, tails = _simulated(figures, pool, regrets_s)
    metrics = {
        name: tails[name].estimate if name in tails else _possible(name, t_interval(own))
        for name, own in values.items()
    }
    doubts: dict[str, Doubt] = {}
    if tails:
        mean_s = metrics["latency_mean_s"].value
        doubts = doubts_of(pool, mean_s, tails, queues, figures[0].window)
    shares = _option_shares(figures, len(profiles))
    facts = {
        "downlink_bytes": sum(
            share * profile.answer_bytes * (profile.crosses_link and system.crosses_link)
            for share, profile in zip(shares, profiles, strict=True)
        ),
        "head_weight_bytes": shipped_bytes(profiles, "head"),
        "tail_weight_bytes": shipped_bytes(profiles, "tail"),
        "calibration_s": system.calibration_s,
        "calibration_energy_j": system.calibration_energy_j,
    }
    metrics |= {name: Estimate(value, value, value) for name, value in facts.items()}
    dropped = np.sum([own.dropped for own in figures], axis=0)
    return Summary(
        metrics=metrics | mixed_figures([own.recalls for own in profiles], shares),
        shares=_shares(figures, system),
        loads=loads,
        busiest=max(stages, key=lambda stage: loads[stage.name]).name,
        counted_requests=sum(own.counted for own in figures),
        labels=dict(system.labels),
        engine=engine,
        dropped={
            reason: int(count)
            for reason, count in zip(REASONS[1:], dropped[1:], strict=True)
            if count
        },
        rounded=not all(own.quantiles.exact for own in figures),
        option_shares=shares,
        per_replication=values,
        doubts=doubts,
    )


def _simulated(
    figures: Sequence[Figures], pool: PooledLatencies, regrets_s: Sequence[float]
) -> tuple[dict[str, tuple[float, ...]], dict[str, PooledQuantile]]:
    """Give every simulated metric's values by replication, and the quantiles' intervals."""
    own = [replication.values() for replication in figures]
    # What a replication can't tell, the point can't: a latency, where nothing was answered.
    known = [name for name in own[0] if all(name in values for values in own)]
    found = {name: tuple(values[name] for values in own) for name in known}
    if "latency_mean_s" not in found:
        return found, {}
    # Over all requests, not over replications: one that had fewer of them weighs less.
    means = ratio_values([r.sojourn_s for r in figures], [r.answered for r in figures])
    tails = {name: quantile_interval(pool, share) for name, share in _QUANTILES.items()}
    latencies = {"latency_mean_s": tuple(means.tolist())}
    latencies |= {name: tail.values for name, tail in tails.items()}
    if regrets_s:
        latencies["regret_s"] = tuple(regrets_s)
    return latencies | {name: found[name] for name in known if name not in latencies}, tails


def _possible(name: str, estimate: Estimate) -> Estimate:
    """Cut off bounds that the figure can't have: only regret may be negative."""
    if name == "regret_s":
        return estimate
    highest = 1.0 if name.endswith(("_share", "_utilisation")) else math.inf
    low, high = max(0.0, estimate.low), min(highest, estimate.high)
    # Rounding of the value must not push it out of its own interval.
    return Estimate(estimate.value, min(low, estimate.value), max(high, estimate.value))


def with_loads(summary: Summary, loads: dict[str, float]) -> Summary:
    """Give a summary with other loads, and the stage that is busiest by them."""
    return replace(summary, loads=loads, busiest=max(loads, key=lambda name: loads[name]))


def _option_shares(figures: Sequence[Figures], count: int) -> tuple[float, ...]:
    used = sum((own.options for own in figures), Counter[int]())
    # Where nothing was answered, the first option stands for all.
    total = sum(used.values())
    if not total:
        return (1.0, *[0.0] * (count - 1))
    return tuple(used[option] / total for option in range(count))


def _shares(figures: Sequence[Figures], system: System) -> dict[str, StageShare]:
    answered = sum(own.answered for own in figures)
    total_s = sum(own.sojourn_s for own in figures)
    shares: dict[str, StageShare] = {}
    if not answered or total_s == 0:
        return shares
    for name in SPANS if system.crosses_link else EDGE_SPANS:
        span_s = sum(own.span_s[name] for own in figures)
        shares[name] = StageShare(span_s / answered, span_s / total_s)
    return shares
