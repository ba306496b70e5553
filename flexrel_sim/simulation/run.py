"""One point from profile to summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.links.resolve import resolve
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.simulation.build import build_system
from flexrel_sim.simulation.draws import (
    ChannelState,
    Draws,
    disturbed,
    draw,
    requests_of,
    transferred,
)
from flexrel_sim.simulation.engines import chosen_engine, simulate
from flexrel_sim.simulation.figures import Figures, Window
from flexrel_sim.simulation.loop import closed_rate_per_s
from flexrel_sim.simulation.requests import requests, trace_of
from flexrel_sim.simulation.store import KeepTrace
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.summary import Summary, summarise
from flexrel_sim.simulation.system import Stage
from flexrel_sim.simulation.trace import Trace
from flexrel_sim.simulation.workload import arrivals_in_parts

__all__ = ["Unstable", "simulate_point"]

_PARTS_FROM = 1_000_000
"""Runs with more requests come in parts, so that memory does not grow with them."""


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
    scenario: SystemScenario, profile: Profile, folder: Path, keep: KeepTrace | None = None
) -> Summary | Unstable:
    """Simulate all replications of a point.

    Parameters
    ----------
    scenario
        Devices, link, server, workload and simulation.
    profile
        The operating point.
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
        If a replication answered no request that counts, or `compiled` was asked for and is not
        exact.
    """
    runs = [
        _Run(scenario, profile, folder, number)
        for number in range(scenario.simulation.replications)
    ]
    system = runs[0].system
    stages = system.stages(float(profile.payload_bytes.mean()))
    rate_per_s = runs[0].rate_per_s
    loads = _loads(stages, rate_per_s)
    open_loop = scenario.workload.arrivals != "closed"
    for stage in stages:
        if open_loop and loads[stage.name] >= 1 and not stage.bounded:
            own = max(0.0, 1 - stage.other_load) * stage.workers / (stage.mean_service_time_s or 1)
            return Unstable(stage, loads, own / stage.users)
    window = Window(scenario.simulation.warmup, scenario.workload.duration)
    figures = []
    for run in runs:
        own_figures = Figures(run.system, window)
        for trace in run.traces():
            own_figures.add(trace)
            if keep is not None:
                keep(run.replication, trace)
        figures.append(own_figures)
    return summarise(figures, system, profile, stages, loads, runs[0].engine)


def _loads(stages: Sequence[Stage], rate_per_s: float) -> dict[str, float]:
    """Give ρ of every stage; what a full queue turns away does not come to the next stage."""
    loads, passed_per_s = {}, rate_per_s
    for stage in stages:
        loads[stage.name] = load = stage.load(passed_per_s)
        if stage.bounded and load > 1:
            own = max(0.0, 1 - stage.other_load)
            passed_per_s = own * stage.workers / (stage.users * stage.mean_service_time_s)
    return loads


class _Run:
    """One replication."""

    def __init__(
        self, scenario: SystemScenario, profile: Profile, folder: Path, replication: int
    ) -> None:
        self.scenario, self.profile, self.folder = scenario, profile, folder
        self.replication = replication
        self.seed = scenario.simulation.seed
        link = resolve(scenario.link, folder, self._streams()["link rates"])
        self.system = build_system(scenario, profile, folder, link)
        closed = scenario.workload.arrivals == "closed"
        self.engine = chosen_engine(self.system, scenario.simulation.engine, closed=closed)

    def _streams(self) -> Streams:
        return Streams(self.seed, self.replication)

    @property
    def rate_per_s(self) -> float:
        """Mean rate of arrivals per device; an upper bound of it where clients wait."""
        workload = self.scenario.workload
        if workload.arrivals == "closed":
            payload_bytes = float(self.profile.payload_bytes.mean())
            return closed_rate_per_s(workload, self.system, payload_bytes)
        if workload.rate is not None:
            return workload.rate
        created_s = self._drawn().created_s
        return created_s.size / workload.duration / self.scenario.edge.count

    def _drawn(self) -> Draws:
        scenario = self.scenario
        return draw(
            scenario.workload,
            self.profile.correct.size,
            (scenario.edge.service, scenario.server.service),
            self.seed,
            self.replication,
            scenario.edge.count,
            self.folder,
        )

    def traces(self) -> Iterator[Trace]:
        """Simulate, and give the trace in one or more parts."""
        scenario, system, profile = self.scenario, self.system, self.profile
        until_s = math.inf if scenario.simulation.drain else scenario.workload.duration
        if self._comes_in_parts():
            yield from self._parts()
            return
        draws = self._drawn()
        draws = disturbed(draws, scenario, self.seed, self.replication)
        streams = self._streams()
        draws = transferred(draws, system, profile.payload_bytes, streams, ChannelState())
        yield simulate(system, draws, profile.payload_bytes, profile.correct, self.engine, until_s)

    def _comes_in_parts(self) -> bool:
        scenario = self.scenario
        if self.engine != "compiled" or not scenario.simulation.drain:
            return False
        from flexrel_sim.simulation.compiled import comes_in_parts  # noqa: PLC0415 - numba

        disturbances = (
            scenario.edge.failures,
            scenario.server.failures,
            scenario.server.background,
        )
        many = (scenario.workload.rate or 0) * scenario.workload.duration * scenario.edge.count
        return (
            many > _PARTS_FROM
            and scenario.workload.arrivals in ("poisson", "bursty", "diurnal")
            and not any(disturbances)
            and self.system.radio.is_silent
            and comes_in_parts(self.system)
        )

    def _parts(self) -> Iterator[Trace]:
        from flexrel_sim.simulation.compiled import CompiledEngine  # noqa: PLC0415 - numba

        scenario, system, profile = self.scenario, self.system, self.profile
        streams, channel = self._streams(), ChannelState()
        engine, first = CompiledEngine(system), 0
        services = (scenario.edge.service, scenario.server.service)
        for part in arrivals_in_parts(scenario.workload, scenario.edge.count, streams):
            draws = requests_of(part, scenario.workload, profile.correct.size, services, streams)
            draws = transferred(draws, system, profile.payload_bytes, streams, channel)
            rows = requests(system, draws, profile.payload_bytes, profile.correct, first)
            first += rows.count
            until_s = math.inf if part.last else part.created_s[-1]
            yield trace_of(engine.run(rows, until_s), system)
