"""Replications to figures with intervals, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flexrel_sim.profile import Profile
from flexrel_sim.simulation.figures import EDGE_SPANS, SPANS, Figures, Window
from flexrel_sim.simulation.options import shipped_bytes
from flexrel_sim.simulation.system import Stage, System
from flexrel_sim.simulation.trace import REASONS
from flexrel_sim.statistics import Estimate, mixed, t_interval

__all__ = ["SPANS", "StageShare", "Summary", "Window", "summarise", "with_loads"]


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
    labels
        Where the service times of edge and server are from: ``given``, ``profiled`` or
        ``estimated``.
    engine
        Which engine simulated it.
    dropped
        Counted requests that were dropped, by reason; none where empty.
    sketched
        Whether quantiles come from a sketch.
    option_shares
        Share of the counted answers that each of a controller's options gave.
    per_replication
        Every simulated metric's values, one per replication, to compare points that met the same
        chance.
    """

    metrics: dict[str, Estimate]
    shares: dict[str, StageShare]
    loads: dict[str, float]
    busiest: str
    counted_requests: int
    labels: dict[str, str]
    engine: str = "simpy"
    dropped: dict[str, int] = field(default_factory=dict)
    sketched: bool = False
    option_shares: tuple[float, ...] = (1.0,)
    per_replication: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

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

    Returns
    -------
    Summary
        Its figures.

    Raises
    ------
    ValueError
        If a replication counted no request.
    """
    values = [own.values() for own in figures]
    # What a replication can't tell, the point can't: a latency, where nothing was answered.
    known = [name for name in values[0] if all(name in own for own in values)]
    simulated = {name: tuple(own[name] for own in values) for name in known}
    if regrets_s and "latency_mean_s" in simulated:
        simulated["regret_s"] = tuple(regrets_s)
    metrics = {name: t_interval(own) for name, own in simulated.items()}
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
        metrics=metrics | {"accuracy": mixed([own.accuracy for own in profiles], shares)},
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
        sketched=not all(own.quantiles.exact for own in figures),
        option_shares=shares,
        per_replication=simulated,
    )


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
