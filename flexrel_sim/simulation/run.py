"""One point from profile to summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.profile import Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.simulation.draws import draw
from flexrel_sim.simulation.engine import simulate
from flexrel_sim.simulation.summary import Summary, Window, summarise
from flexrel_sim.simulation.system import Stage, build_system
from flexrel_sim.simulation.trace import Trace

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
        Rate of arrivals below which it would be stable.
    """

    stage: Stage
    loads: dict[str, float]
    stable_below_per_s: float

    @property
    def load(self) -> float:
        """ρ of the stage."""
        return self.loads[self.stage.name]


def simulate_point(
    scenario: SystemScenario, profile: Profile, folder: Path
) -> tuple[Summary, list[Trace]] | Unstable:
    """Simulate all replications of a point.

    Parameters
    ----------
    scenario
        Devices, link, server, workload and simulation.
    profile
        The operating point.
    folder
        Where a relative path of a device file starts.

    Returns
    -------
    (Summary, list of Trace) or Unstable
        Figures and one trace per replication, or why there are none: with ρ ≥ 1 a latency would
        only tell how long one has waited.
    """
    system = build_system(scenario, profile, folder)
    stages = system.stages(float(profile.payload_bytes.mean()))
    rate_per_s = scenario.workload.rate
    loads = {stage.name: stage.load(rate_per_s) for stage in stages}
    worst = max(stages, key=lambda stage: loads[stage.name])
    if loads[worst.name] >= 1:
        return Unstable(worst, loads, worst.workers / worst.mean_service_time_s)
    services = (scenario.edge.service, scenario.server.service)
    traces = [
        simulate(
            system,
            draw(
                scenario.workload,
                profile.correct.size,
                services,
                scenario.simulation.seed,
                replication,
            ),
            profile.payload_bytes,
            profile.correct,
        )
        for replication in range(scenario.simulation.replications)
    ]
    window = Window(scenario.simulation.warmup, scenario.workload.duration)
    return summarise(traces, system, profile, stages, window, rate_per_s), traces
