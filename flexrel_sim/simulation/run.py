"""One point from profile to summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.links.resolve import is_random, resolve
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.simulation.doubts import queues_of
from flexrel_sim.simulation.figures import Figures, Window
from flexrel_sim.simulation.replication import Replication
from flexrel_sim.simulation.store import KeepTrace
from flexrel_sim.simulation.summary import Summary, summarise, with_loads
from flexrel_sim.simulation.system import Stage

__all__ = ["Unstable", "simulate_point"]


@dataclass(frozen=True)
class Unstable:
    """A point whose queue grows without end, so that it has no latency to report.

    Parameters
    ----------
    stage
        The stage that is asked for more than it can do.
    loads
        ρ of every stage.
    stable_below_per_s
        Rate of arrivals, per device, below which it would be stable.
    """

    stage: Stage
    loads: dict[str, float]
    stable_below_per_s: float

    @property
    def load(self) -> float:
        """ρ of the stage."""
        return self.loads[self.stage.name]


def simulate_point(
    scenario: SystemScenario,
    profile: Profile | Sequence[Profile],
    folder: Path,
    keep: KeepTrace | None = None,
) -> Summary | Unstable:
    """Simulate all replications of a point.

    Parameters
    ----------
    scenario
        Devices, link, server, workload and simulation.
    profile
        The operating point; with a controller one for each of its options, in order.
    folder
        Where relative paths start.
    keep
        Takes the traces, part by part.

    Returns
    -------
    Summary or Unstable
        Figures, or why there are none: with ρ ≥ 1 and unlimited waiting room a latency would only
        tell how long one has waited.

    Raises
    ------
    LookupError
        If a device is unknown.
    ScenarioError
        If a device file, a link trace or a replay file is wrong.
    ValueError
        If a replication answered no request that counts, `compiled` was asked for and is not
        exact, or profiles and controller don't fit together.
    """
    profiles = (profile,) if isinstance(profile, Profile) else tuple(profile)
    link = None if is_random(scenario.link) else resolve(scenario.link, folder)
    runs = [
        Replication(scenario, profiles, folder, number, link)
        for number in range(scenario.simulation.replications)
    ]
    stages, loads = _least_loaded(runs[0])
    open_loop = scenario.workload.arrivals != "closed"
    for stage in stages:
        if open_loop and loads[stage.name] >= 1 and not stage.bounded:
            own = max(0.0, 1 - stage.other_load) * stage.workers / (stage.mean_service_time_s or 1)
            return Unstable(stage, loads, own / stage.users)
    window = Window(scenario.simulation.warmup, scenario.workload.duration)
    figures = [_figures(run, window, keep) for run in runs]
    regrets_s: list[float] = []
    if runs[0].control is not None:
        # The oracle meets the same draws; its traces are nobody's.
        oracles = (_figures(run.with_oracle(), window, None) for run in runs)
        regrets_s = [
            own.latency_s - best.latency_s for own, best in zip(figures, oracles, strict=True)
        ]
    # Clients that wait for answers, frames and recordings come more evenly than theory's arrivals
    # by chance, and a controller has more than one load.
    by_chance = scenario.workload.arrivals in ("poisson", "bursty", "diurnal")
    queues = queues_of(stages, loads) if by_chance and runs[0].control is None else ()
    summary = summarise(
        figures, runs[0].system, profiles, stages, loads, runs[0].engine, regrets_s, queues
    )
    if runs[0].control is None:
        return summary
    # What ran is a mixture of the options: so are the loads.
    return with_loads(summary, _mixed_loads(runs[0], summary.option_shares))


def _figures(run: Replication, window: Window, keep: KeepTrace | None) -> Figures:
    figures = Figures(run.system, window)
    for trace in run.traces():
        figures.add(trace)
        if keep is not None:
            keep(run.number, trace)
    return figures


def _least_loaded(run: Replication) -> tuple[tuple[Stage, ...], dict[str, float]]:
    """Give stages and ρ of the option whose busiest stage is loaded least: a way out, if any."""
    found = []
    for profile, system in zip(run.profiles, run.systems, strict=True):
        stages = system.stages(float(profile.payload_bytes.mean()))
        found.append((stages, _loads(stages, run.rate_per_s)))
    control = run.control
    if control is not None and control.policy == "static":
        return found[control.start]
    return min(found, key=lambda pair: max(pair[1].values()))


def _mixed_loads(run: Replication, shares: Sequence[float]) -> dict[str, float]:
    """Give ρ of every stage, each option counted as often as it was used."""
    mixed: dict[str, float] = {}
    for profile, system, share in zip(run.profiles, run.systems, shares, strict=True):
        stages = system.stages(float(profile.payload_bytes.mean()))
        for name, load in _loads(stages, run.rate_per_s).items():
            mixed[name] = mixed.get(name, 0.0) + share * load
    return mixed


def _loads(stages: Sequence[Stage], rate_per_s: float) -> dict[str, float]:
    """Give ρ of every stage; what a full queue turns away does not come to the next stage."""
    loads, passed_per_s = {}, rate_per_s
    for stage in stages:
        loads[stage.name] = load = stage.load(passed_per_s)
        if stage.bounded and load > 1:
            own = max(0.0, 1 - stage.other_load)
            passed_per_s = own * stage.workers / (stage.users * stage.mean_service_time_s)
    return loads
