"""One replication: system, draws and traces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

from flexrel_sim.links.resolve import ResolvedLink, resolve
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
from flexrel_sim.simulation.loop import closed_rate_per_s
from flexrel_sim.simulation.options import Choices, controlled_system, make_control
from flexrel_sim.simulation.policies import Control
from flexrel_sim.simulation.requests import requests, trace_of
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.trace import Trace
from flexrel_sim.simulation.workload import arrivals_in_parts

__all__ = ["Replication"]

_PARTS_FROM = 1_000_000
"""Runs with more requests come in parts, so that memory does not grow with them."""


class Replication:
    """One repetition of a point.

    Parameters
    ----------
    scenario
        Devices, link, server, workload and simulation.
    profiles
        The operating point, or the controller's options in order.
    folder
        Where relative paths start.
    number
        Its index.
    link
        Its link, where that is no matter of chance.

    Raises
    ------
    ScenarioError
        If a device file, a link trace or a replay file is wrong.
    ValueError
        If `compiled` was asked for and is not exact, or profiles and controller don't fit.
    """

    def __init__(
        self,
        scenario: SystemScenario,
        profiles: tuple[Profile, ...],
        folder: Path,
        number: int,
        link: ResolvedLink | None = None,
    ) -> None:
        self.scenario, self.profiles, self.folder = scenario, profiles, folder
        self.number, self.seed = number, scenario.simulation.seed
        # A link by chance is another one in every replication; a trace is read once.
        link = link or resolve(scenario.link, folder, self._streams()["link rates"])
        self.systems = [build_system(scenario, own, folder, link) for own in profiles]
        self.system, self.profile = self.systems[0], profiles[0]
        self.control: Control | None = None
        if scenario.controller is not None or len(profiles) > 1:
            self.control = control = make_control(scenario, profiles, self.systems)
            self.system = controlled_system(scenario, profiles, self.systems, control.start)
        self.engine = chosen_engine(
            self.system,
            scenario.simulation.engine,
            closed=scenario.workload.arrivals == "closed",
            controlled=self.control is not None,
        )

    def with_oracle(self) -> Replication:
        """Give the same repetition with an oracle in the controller's place; it switches free."""
        other = copy(self)
        if self.control is not None:
            other.control = replace(self.control, policy="oracle", switch_s=0.0)
        return other

    def _streams(self) -> Streams:
        return Streams(self.seed, self.number)

    @property
    def rate_per_s(self) -> float:
        """Mean rate of arrivals per device; an upper bound of it where clients wait."""
        workload = self.scenario.workload
        if workload.arrivals == "closed":
            pairs = zip(self.systems, self.profiles, strict=True)
            return max(
                closed_rate_per_s(workload, system, float(profile.payload_bytes.mean()))
                for system, profile in pairs
            )
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
            self.number,
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
        draws = disturbed(draws, scenario, self.seed, self.number)
        choices = None if self.control is None else self._choices(draws, self.control)
        draws = transferred(draws, system, profile.payload_bytes, self._streams(), ChannelState())
        sizes, correct = profile.payload_bytes, profile.correct
        yield simulate(system, draws, sizes, correct, self.engine, until_s, choices)

    def _choices(self, draws: Draws, control: Control) -> Choices:
        """Draw every option's transfers, as if all requests used it, with the same chance."""
        rows = []
        for system, profile in zip(self.systems, self.profiles, strict=True):
            sizes, channel = profile.payload_bytes, ChannelState()
            plain = replace(system, updates=None)
            sent = transferred(draws, plain, sizes, self._streams(), channel)
            rows.append(requests(system, sent, sizes, profile.correct))
        return Choices(control, tuple(self.systems), tuple(rows))

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
            and scenario.workload.urgent_share == 0
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
