"""The compiled engine: stage after stage, each a compiled queue over all its requests.

A system without feedback needs no event list: what leaves a stage is known from what came to it,
so stages are solved one after the other, each exactly, in order of arrival. A long run can come in
parts: what reaches a stage before a part's end is final, and the rest waits for the next part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links import Direction, PiecewiseConstant
from flexrel_sim.links.delivery import delivered_s, delivery_state, paced_s
from flexrel_sim.links.fifo import fifo, fifo_state
from flexrel_sim.links.sharing import processor_sharing, sharing_state
from flexrel_sim.simulation.draws import Draws, no_windows
from flexrel_sim.simulation.jobs import server_jobs
from flexrel_sim.simulation.kernels import edge_queue, edge_queue_with_limits, worker_queue
from flexrel_sim.simulation.pool_kernel import failure_events, pool_queue
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import EDGE_REASONS, POOL_REASONS, reason_code

__all__ = ["CompiledEngine", "comes_in_parts"]

_CAME: Final = {"uplink": "edge_end_s", "server": "delivered_s", "downlink": "server_end_s"}
"""Where each stage's arrivals are noted."""


def comes_in_parts(system: System) -> bool:
    """Tell whether a run may come in parts: each stage's state is a few numbers."""
    plain = system.edge_buffer < 0 and system.pool.is_plain and not system.drop_late
    return plain and system.medium == "full-duplex"


class CompiledEngine:
    """A system that requests are put through.

    Parameters
    ----------
    system
        The system; `engines.why_not_compiled` must have nothing against it.
    draws
        Failures and other tenants, where there are any; requests come to `run`.
    """

    def __init__(self, system: System, draws: Draws | None = None) -> None:
        self.system = system
        self.background = None if draws is None else draws.background
        self.edge_down = None if draws is None else draws.edge_down
        self.server_down = None if draws is None else draws.server_down
        held_s = system.calibration_s if system.calibration_where == "edge" else 0.0
        self._device_free_s = np.full(system.devices, held_s)
        self._worker_free_s = np.zeros(system.pool.workers)
        self._link_state = {
            "uplink": fifo_state(),
            "downlink": fifo_state(),
        }
        self._delivery = {name: delivery_state(system.devices) for name in self._link_state}
        self._held_back: dict[str, Rows] = {}
        # Requests that the server has started, where the run comes in parts.
        self._in_parts, self._started = False, 0

    def run(self, rows: Rows, until_s: float = np.inf) -> Rows:
        """Put the next requests through.

        Parameters
        ----------
        rows
            Requests created after those of the part before, in order of creation.
        until_s
            No request of a later part is created before this time; infinite for the last part.

        Returns
        -------
        Rows
            Requests whose whole life is known, each once over all parts.
        """
        self._edge(rows)
        self._in_parts = self._in_parts or until_s < np.inf
        if not self.system.crosses_link:
            self._answer(rows, rows["edge_end_s"])
            return rows
        finished: list[Rows] = []
        for stage, serve in self._stages():
            rows, dropped = rows.alive()
            if dropped is not None:
                finished.append(dropped)
            rows = self._arrived(stage, rows, until_s)
            serve(rows)
        return Rows.joined([*finished, rows])

    def _stages(self) -> tuple[tuple[str, Callable[[Rows], None]], ...]:
        return (
            ("uplink", partial(self._link, "uplink", self.system.uplink)),
            ("server", self._server),
            ("downlink", partial(self._link, "downlink", self.system.downlink)),
        )

    def _arrived(self, stage: str, rows: Rows, until_s: float) -> Rows:
        """Hold back what comes to a stage later than all that is known of earlier stages.

        Who was held back here may have been created after one that was held back further ahead:
        requests are put back in order of creation, by which equal times are told apart.
        """
        earlier = self._held_back.pop(stage, None)
        if earlier is not None and earlier.count:
            rows = Rows.joined([earlier, rows])
            if not _ascends(rows["index"]):
                rows = rows.taken(np.argsort(rows["index"]))
        if until_s == np.inf:
            return rows
        final = rows[_CAME[stage]] < until_s
        self._held_back[stage] = rows.taken(~final)
        return rows.taken(final)

    def _edge(self, rows: Rows) -> None:
        system = self.system
        arguments = (rows["created_s"], rows["edge_s"], rows["device"], self._device_free_s)
        if system.edge_buffer < 0 and self.edge_down is None:
            rows["edge_start_s"], rows["edge_end_s"] = edge_queue(*arguments)
            return
        down = self.edge_down or no_windows(system.devices)
        start_s, end_s, outcome, ended_s = edge_queue_with_limits(
            *arguments, system.edge_buffer, down
        )
        rows["edge_start_s"], rows["edge_end_s"] = start_s, end_s
        rows.drop(outcome > 0, EDGE_REASONS[outcome], ended_s)

    def _link(self, name: str, line: Direction, rows: Rows) -> None:
        came_s, wire_bytes = rows[_CAME[name]], rows[f"{name}_bytes"]
        order = _order(came_s, rows.get("turn"))
        if self.system.medium == "shared":
            start_s, end_s = _shared(line, _sorted(came_s, order), _sorted(wire_bytes, order))
            full = None
        else:
            start_s, end_s, full = fifo(
                _sorted(came_s, order),
                _sorted(wire_bytes, order),
                line.capacity,
                line.buffer,
                self._link_state[name],
            )
        out_s = self._delivered_s(name, rows, order, end_s)
        rows[f"{name}_start_s"] = _unsorted(start_s, order)
        rows[f"{name}_end_s"] = _unsorted(end_s, order)
        out_s = _unsorted(out_s, order)
        if full is not None and full.any():
            full = _unsorted(full, order)
            rows.drop(full, reason_code(f"{name} full"), came_s)
        lost = rows[f"{name}_lost"]
        if lost.any():
            lost = lost & ~np.isnan(out_s)
            rows.drop(lost, reason_code(f"{name} lost"), out_s)
            out_s = np.where(lost, np.nan, out_s)
        if name == "uplink":
            rows["delivered_s"] = out_s
        else:
            self._answer(rows, out_s)

    def _delivered_s(
        self, name: str, rows: Rows, order: NDArray[np.int64] | None, end_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give when messages, in order of arrival, come out at the other end.

        Order and the ceiling of TCP are those of a device. A message that is late holds up those
        of its device in the next part, too.
        """
        line: Direction = getattr(self.system, name)
        state, late = self._delivery[name], rows[f"{name}_extra_s"]
        if not state.late and line.connection is None and not late.any():
            # Nobody was late yet: messages come out as they left.
            return end_s + line.delay_s
        state.late = True
        device, late = _sorted(rows["device"], order), _sorted(late, order)
        left_s = end_s
        if line.connection is not None:
            came_s, sizes = (_sorted(rows[key], order) for key in (_CAME[name], f"{name}_bytes"))
            left_s = paced_s(line.connection, device, came_s, sizes, end_s, state)
        left = _order(end_s) if line.in_order else None
        out_s = delivered_s(
            line, _sorted(device, left), _sorted(left_s, left), _sorted(late, left), state
        )
        return _unsorted(out_s, left)

    def _server(self, rows: Rows) -> None:
        pool, came_s = self.system.pool, rows["delivered_s"]
        order = _order(came_s)
        undisturbed = self.background is None and self.server_down is None
        equals = not rows["tier"].any()
        if pool.is_plain and undisturbed and equals and not self.system.drop_late:
            service_s = self.system.server_s * _sorted(rows["server_factor"], order)
            start_s, end_s = worker_queue(_sorted(came_s, order), service_s, self._worker_free_s)
            rows["server_start_s"] = _unsorted(start_s, order)
            rows["server_end_s"] = _unsorted(end_s, order)
            rows["batch"] = np.ones(rows.count, np.int32)
            if order is not None or self._in_parts:
                turns = np.arange(self._started, self._started + rows.count)
                rows["turn"] = _unsorted(turns, order)
                self._started += rows.count
            return
        jobs = server_jobs(self.system, self.background, rows, came_s)
        order = np.argsort(jobs.arrival_s, kind="stable")
        failures = self.server_down or no_windows(pool.workers)
        result = pool_queue(
            jobs.taken(order),
            np.array(pool.batch_s),
            pool.timeout_s,
            pool.workers,
            pool.buffer,
            failure_events(*failures),
            pool.requeue,
            pool.held_s,
        )
        start_s, end_s, outcome, ended_s, batch, turn = (
            _unsorted(column, order)[: rows.count] for column in result
        )
        rows["server_start_s"], rows["server_end_s"] = start_s, end_s
        rows["batch"], rows["turn"] = batch, turn
        rows.drop(outcome > 0, POOL_REASONS[outcome], ended_s)

    def _answer(self, rows: Rows, answered_s: NDArray[np.float64]) -> None:
        rows["answered_s"] = answered_s
        if "ended_s" in rows:
            rows["ended_s"] = np.where(np.isnan(answered_s), rows["ended_s"], answered_s)
        else:
            rows["ended_s"] = answered_s


def _shared(
    line: Direction, came_s: NDArray[np.float64], wire_bytes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give start and end of messages on a shared medium; each starts as it comes."""
    if not isinstance(line.capacity, PiecewiseConstant):
        raise TypeError("a shared medium needs a rate over time")
    left = processor_sharing(came_s, wire_bytes, line.capacity, sharing_state())
    end_s = np.full(came_s.size, np.nan)
    end_s[left.index] = left.end_s
    return came_s, end_s


def _order(
    came_s: NDArray[np.float64], turn: NDArray[np.int64] | None = None
) -> NDArray[np.int64] | None:
    """Give the order of arrival; None where requests are in order.

    Ties are in order of creation, or of leaving the server, which may serve by priority.
    """
    if turn is not None:
        later = came_s[1:] > came_s[:-1]
        same = (came_s[1:] == came_s[:-1]) & (turn[1:] > turn[:-1])
        return None if bool((later | same).all()) else np.lexsort((turn, came_s))
    return None if _ascends(came_s) else np.argsort(came_s, kind="stable")


def _ascends(values: NDArray[Any]) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _sorted(column: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[Any]:
    return column if order is None else column[order]


def _unsorted(column: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[Any]:
    if order is None:
        return column
    result = np.empty_like(column)
    result[order] = column
    return result
