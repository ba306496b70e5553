"""The reference engine: the life of a request in SimPy.

A request is computed on its edge device, serialised onto the uplink, propagates, is computed by
the server, and its answer takes the downlink back. `flexrel_sim.simulation.clock` says in what
order things happen that happen at the same time.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from flexrel_sim.links import Direction
from flexrel_sim.links.connections import Connections
from flexrel_sim.simulation.asked import LINES, Asked
from flexrel_sim.simulation.clock import ARRIVAL, Clock
from flexrel_sim.simulation.controller import Controller, Oracle
from flexrel_sim.simulation.deliveries import Deliveries
from flexrel_sim.simulation.draws import Draws, no_windows
from flexrel_sim.simulation.jobs import server_jobs
from flexrel_sim.simulation.lines import FifoMedium, SharedMedium
from flexrel_sim.simulation.options import Choices, chosen_rows
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, EXPIRED, FULL
from flexrel_sim.simulation.pool import PoolStage
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.sources import ClosedSource, OpenSource, Source
from flexrel_sim.simulation.stages import DeviceStage
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import STAMPS, reason_code
from flexrel_sim.simulation.updates import DeliveryTraffic

__all__ = ["SimpyEngine"]

M = TypeVar("M", FifoMedium, SharedMedium)

_REASONS = {
    ("edge", FULL): "edge full",
    ("edge", DOWN): "edge down",
    ("edge", CRASHED): "edge crash",
    ("server", FULL): "server full",
    ("server", CRASHED): "server failure",
    ("server", EXPIRED): "deadline past",
}


class SimpyEngine:
    """A system that requests are put through, event by event.

    Parameters
    ----------
    system
        The system.
    draws
        Failures, other tenants, and who waits for whose answer.
    rows
        The requests, in order of creation; those that closed clients could come to.
    choices
        Operating points to choose from; `rows` is all there is without.
    """

    def __init__(
        self, system: System, draws: Draws, rows: Rows, choices: Choices | None = None
    ) -> None:
        self.clock = Clock()
        self.system, self.rows = system, rows
        count = rows.count
        self.stamps = {name: [float("nan")] * count for name in (*STAMPS[1:], "ended_s")}
        self.reason, self.batch = [0] * count, [0] * count
        self._source: Source = (
            OpenSource(self.clock, rows, self._created)
            if draws.loop is None
            else ClosedSource(self.clock, draws.loop, self._created)
        )
        self._asked = Asked(system, rows)
        # What places ask is known at once, unless order of creation or option are yet to come.
        self._choices = choices
        self._drawn: list[Asked] = []
        if choices is not None:
            pairs = zip(choices.systems, choices.rows, strict=True)
            self._drawn = [Asked(own, own_rows) for own, own_rows in pairs]
        elif draws.loop is not None:
            self._drawn = [Asked(system, rows)]
        self._devices = self._edge_devices(draws)
        self._weights: DeliveryTraffic | None = None
        if draws.deliveries is not None and system.updates is not None:
            plan, swap_s = draws.deliveries, system.updates.swap_s
            self._weights = DeliveryTraffic(self.clock, plan, count, swap_s)
            # Their messages come after those of all requests.
            self._asked.wire_bytes["downlink"] += plan.wire_bytes.tolist()
        if system.crosses_link or self._weights is not None:
            self._media = self._link_media()
            self._connections = {
                name: Connections(self._lines[name], self._flows) for name in LINES
            }
            # When the connection of each message on the wire has sent it at the earliest.
            self._sent_s: dict[tuple[str, int], float] = {}
        if system.crosses_link:
            self._pool = self._server_pool(draws)
            self._left = 0
        self._controller = None if choices is None else self._control(choices)

    def _control(self, choices: Choices) -> Controller:
        if choices.control.policy != "oracle":
            return Controller(self.clock, choices, self._drawn, self._devices)
        media = self._media if self.system.crosses_link else {}
        connections = self._connections if self.system.crosses_link else {}
        return Oracle(self.clock, choices, self._drawn, self._devices, (media, connections))

    def run(self) -> Rows:
        """Run until nothing more happens.

        Returns
        -------
        Rows
            The requests that were created, with every timestamp of their lives.
        """
        if self._weights is not None:
            self._weights.start(self._media["downlink"], self._devices)
        self._source.start()
        self.clock.run()
        return self._finished()

    def _finished(self) -> Rows:
        """Put together what was created, what it asked, and what became of it."""
        row = np.array(self._source.row, np.int64)
        if self._choices is None or self._controller is None:
            rows = self.rows.taken(row)
        else:
            rows = chosen_rows(self._choices, row, np.array(self._controller.option, np.int64))
        count = rows.count
        rows.update({name: np.array(values[:count]) for name, values in self.stamps.items()})
        rows["index"] = np.arange(count)
        rows["created_s"] = np.array(self._source.created_s)
        rows["reason"] = np.array(self.reason[:count], np.int8)
        rows["batch"] = np.array(self.batch[:count], np.int32)
        return rows

    def _created(self, place: int, row: int) -> None:
        if self._drawn:
            option = 0
            if self._controller is not None:
                option = self._controller.choose(self._drawn[0].device[row], row)
            self._asked.put(place, self._drawn[option], row)
            if self.system.crosses_link:
                expires_s = self.clock.now + self._startable_s
                self._pool.expect(place, self._asked, option, expires_s)
        self._devices[self._asked.device[place]].arrive(place)

    @property
    def _startable_s(self) -> float:
        """How long after its creation the server still starts a request."""
        return self.system.deadline_s if self.system.drop_late else float("inf")

    def _edge_devices(self, draws: Draws) -> list[DeviceStage]:
        system = self.system
        down = draws.edge_down or no_windows(system.devices)
        held_s = system.calibration_s if system.calibration_where == "edge" else 0.0
        return [
            DeviceStage(
                self.clock,
                self._asked.edge_s,
                system.edge_buffer,
                down.of(device),
                held_s,
                self._edge_started,
                self._edge_ended,
            )
            for device in range(system.devices)
        ]

    @property
    def _lines(self) -> dict[str, Direction]:
        return {"uplink": self.system.uplink, "downlink": self.system.downlink}

    def _link_media(self) -> dict[str, FifoMedium | SharedMedium]:
        if self.system.medium == "half-duplex":
            return dict.fromkeys(LINES, self._medium(FifoMedium, *LINES))
        if self.system.medium == "shared":
            return {name: self._medium(SharedMedium, name) for name in LINES}
        return {name: self._medium(FifoMedium, name) for name in LINES}

    def _medium(self, kind: type[M], *names: str) -> M:
        sizes = {name: self._asked.wire_bytes[name] for name in names}
        lines = {name: self._lines[name] for name in names}
        return kind(self.clock, lines, sizes, self._line_started, self._line_ended)

    def _server_pool(self, draws: Draws) -> PoolStage:
        system, rows = self.system, self.rows
        jobs = server_jobs(system, draws.background, rows, np.full(rows.count, np.nan))
        down = draws.server_down or no_windows(system.pool.workers)
        failures = [down.of(worker) for worker in range(system.pool.workers)]
        pool = PoolStage(
            self.clock,
            system.pool,
            [system.pool.batch_s] if self._choices is None else self._choices.batch_s,
            jobs,
            failures,
            self._server_started,
            self._server_ended,
        )
        other = draws.background
        for place, came_s in enumerate([] if other is None else other.arrival_s.tolist()):
            job = rows.count + place
            self.clock.at(came_s, ARRIVAL, job, pool.arrive, job)
        return pool

    def _edge_started(self, index: int, now: float) -> None:
        self.stamps["edge_start_s"][index] = now

    def _edge_ended(self, index: int, outcome: int, now: float) -> None:
        if outcome:
            self._drop(index, _REASONS["edge", outcome], now)
            return
        self.stamps["edge_end_s"][index] = now
        if self._asked.crosses_link[index]:
            self.clock.pass_on(index, self._media["uplink"].arrive, "uplink", index)
        else:
            self._answer(index)

    def deliveries(self, until_s: float) -> Deliveries | None:
        """Give what became of weights by a time, after a run; None where none were sent."""
        return None if self._weights is None else self._weights.finished(until_s)

    @property
    def _flows(self) -> int:
        """Connections of a direction: one per device, and for weights as many and a broadcast's."""
        devices = self.system.devices
        return devices if self._weights is None else 2 * devices + 1

    def _flow(self, index: int) -> int:
        if self._weights is not None and index >= self._weights.first:
            return self.system.devices + self._weights.flow(index)
        return self._asked.device[index]

    def _pace(self, name: str, index: int) -> None:
        """Tell the connection of a message that is on the wire, in order of arrival."""
        if self._lines[name].connection is None:
            return
        if self._weights is not None and index >= self._weights.first:
            came_s = self._weights.sent_s(index)
        else:
            came_s = self.stamps["edge_end_s" if name == "uplink" else "server_end_s"][index]
        wire_bytes = self._asked.wire_bytes[name][index]
        sent_s = self._connections[name].sent_s(self._flow(index), came_s, wire_bytes)
        self._sent_s[name, index] = sent_s

    def _line_started(self, name: str, index: int, now: float) -> None:
        self._pace(name, index)
        if self._weights is not None and index >= self._weights.first:
            self._weights.started(index, now)
            return
        self.stamps[f"{name}_start_s"][index] = now
        if self._controller is not None and name == "uplink":
            self._controller.started(self._asked.device[index], index)

    def _line_ended(self, name: str, index: int, outcome: int, now: float) -> None:
        if outcome:
            self._drop(index, f"{name} full", now)
            return
        if self._weights is not None and index >= self._weights.first:
            after_s = self._lines[name].delay_s + self._weights.ended(index, now)
        else:
            self.stamps[f"{name}_end_s"][index] = now
            if self._controller is not None and name == "uplink":
                sent_bytes = self._asked.wire_bytes[name][index]
                self._controller.ended(self._asked.device[index], index, sent_bytes)
            after_s = self._asked.after_s[name][index]
        left_s = max(now, self._sent_s.pop((name, index), now))
        out_s = self._connections[name].out_s(self._flow(index), left_s, after_s)
        self.clock.at(out_s, ARRIVAL, index, self._out, name, index)

    def _out(self, name: str, index: int) -> None:
        """Come out of the link at its other end, if it is not lost on the way."""
        if self._weights is not None and index >= self._weights.first:
            self._weights.arrived(index)
        elif self._asked.lost[name][index]:
            self._drop(index, f"{name} lost", self.clock.now)
        elif name == "uplink":
            self.stamps["delivered_s"][index] = self.clock.now
            self._pool.arrive(index)
        else:
            self._answer(index)

    def _server_started(self, job: int, now: float, batch: int) -> None:
        if job < self.rows.count:
            self.stamps["server_start_s"][job] = now
            self.batch[job] = batch

    def _server_ended(self, job: int, outcome: int, now: float) -> None:
        if job >= self.rows.count:
            return
        if outcome:
            self.batch[job] = 0
            self._drop(job, _REASONS["server", outcome], now)
            return
        self.stamps["server_end_s"][job] = now
        # In order of leaving the server, which may not be that of creation.
        self._left += 1
        self.clock.pass_on(self._left, self._media["downlink"].arrive, "downlink", job)

    def _answer(self, index: int) -> None:
        self.stamps["answered_s"][index] = self.stamps["ended_s"][index] = self.clock.now
        self._source.ended(index)

    def _drop(self, index: int, reason: str, now: float) -> None:
        self.stamps["ended_s"][index] = now
        self.reason[index] = reason_code(reason)
        self._source.ended(index)
