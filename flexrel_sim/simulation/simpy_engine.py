"""The reference engine: the life of a request, told in SimPy.

A request is computed on its edge device, serialised onto the uplink, propagates, is computed by
the server, and its answer takes the downlink back. `flexrel_sim.simulation.clock` says in what
order things happen that happen at the same time.
"""

from __future__ import annotations

import numpy as np

from flexrel_sim.simulation.clock import ARRIVAL, Clock
from flexrel_sim.simulation.draws import Draws, no_windows
from flexrel_sim.simulation.jobs import server_jobs
from flexrel_sim.simulation.lines import FifoLine, SharedLine
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, EXPIRED, FULL
from flexrel_sim.simulation.pool import PoolStage
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.stages import DeviceStage
from flexrel_sim.simulation.system import Line, System
from flexrel_sim.simulation.trace import STAMPS, reason_code

__all__ = ["SimpyEngine"]

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
        Failures and other tenants.
    rows
        The requests, in order of creation.
    """

    def __init__(self, system: System, draws: Draws, rows: Rows) -> None:
        self.clock = Clock()
        self.system, self.rows = system, rows
        count = rows.count
        self.stamps = {name: [float("nan")] * count for name in (*STAMPS[1:], "ended_s")}
        self.reason, self.batch = [0] * count, [0] * count
        self._devices = self._edge_devices(draws)
        self._on_device: list[int] = rows["device"].tolist()
        if system.crosses_link:
            self._lines = self._link_lines()
            self._extra_s = {
                name: (getattr(system, name).delay_s + rows[f"{name}_extra_s"]).tolist()
                for name in ("uplink", "downlink")
            }
            self._lost = {name: rows[f"{name}_lost"].tolist() for name in ("uplink", "downlink")}
            self._last_out_s = {"uplink": float("-inf"), "downlink": float("-inf")}
            self._pool = self._server_pool(draws)

    def run(self) -> Rows:
        """Run until nothing more happens.

        Returns
        -------
        Rows
            The requests, with every timestamp of their lives.
        """
        created_s = self.rows["created_s"].tolist()
        self._create(0, created_s)
        self.clock.run()
        self.rows.update({name: np.array(values) for name, values in self.stamps.items()})
        self.rows["reason"] = np.array(self.reason, np.int8)
        self.rows["batch"] = np.array(self.batch, np.int32)
        return self.rows

    def _create(self, index: int, created_s: list[float]) -> None:
        # One creation at a time on the event list keeps it short.
        if index < len(created_s):
            self.clock.at(created_s[index], ARRIVAL, index, self._created, index, created_s)

    def _created(self, index: int, created_s: list[float]) -> None:
        self._create(index + 1, created_s)
        self._devices[self._on_device[index]].arrive(index)

    def _edge_devices(self, draws: Draws) -> list[DeviceStage]:
        system = self.system
        service_s: list[float] = self.rows["edge_s"].tolist()
        down = draws.edge_down or no_windows(system.devices)
        held_s = system.calibration_s if system.calibration_where == "edge" else 0.0
        return [
            DeviceStage(
                self.clock,
                service_s,
                system.edge_buffer,
                down.of(device),
                held_s,
                self._edge_started,
                self._edge_ended,
            )
            for device in range(system.devices)
        ]

    def _link_lines(self) -> dict[str, FifoLine | SharedLine]:
        system = self.system
        up = self._line("uplink", system.uplink)
        if not system.half_duplex:
            return {"uplink": up, "downlink": self._line("downlink", system.downlink)}
        return {"uplink": up, "downlink": up}

    def _line(self, name: str, line: Line) -> FifoLine | SharedLine:
        kind = FifoLine if line.discipline == "fifo" else SharedLine
        return kind(
            self.clock, line, self.rows[f"{name}_bytes"].tolist(), self._line_started, self._line_ended
        )

    def _server_pool(self, draws: Draws) -> PoolStage:
        system, rows = self.system, self.rows
        jobs = server_jobs(system, draws, rows, np.full(rows.count, np.nan))
        down = draws.server_down or no_windows(system.pool.workers)
        failures = [down.of(worker) for worker in range(system.pool.workers)]
        pool = PoolStage(
            self.clock, system.pool, jobs, failures, self._server_started, self._server_ended
        )
        other = draws.background
        for place, came_s in enumerate([] if other is None else other.arrival_s.tolist()):
            job = rows.count + place
            self.clock.at(came_s, ARRIVAL, job, pool.arrive, job)
        return pool
