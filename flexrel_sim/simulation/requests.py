"""Requests as both engines are told of them, and traces made of what they tell back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.links import Transfers
from flexrel_sim.simulation.draws import Draws
from flexrel_sim.simulation.energy import request_energy_j
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import DROPPED, IN_FLIGHT, STAMPS, Trace

__all__ = ["requests", "trace_of"]

_PLAIN: Final = ("payload_bytes", "uplink_bytes", "downlink_bytes", "device", "sample", "correct")


def requests(
    system: System,
    draws: Draws,
    payload_bytes: NDArray[np.int64],
    correct: NDArray[np.bool_],
    first: int = 0,
) -> Rows:
    """Put draws, profile and system together.

    Parameters
    ----------
    system
        The operating point in its system.
    draws
        What chance decides.
    payload_bytes, correct
        Payload and outcome of every test sample, shape ``(samples,)``.
    first
        Place of the first request in the whole run.

    Returns
    -------
    Rows
        Requests in order of creation, with what each asks of every stage.
    """
    count = draws.created_s.size
    none = np.zeros(count, np.int64)
    sizes = payload_bytes[draws.sample] if system.crosses_link else none
    answers = np.full(count, system.answer_bytes) if system.crosses_link else none
    up = _alone(sizes) if draws.uplink is None else draws.uplink
    down = _alone(answers) if draws.downlink is None else draws.downlink
    return Rows(
        index=np.arange(first, first + count),
        created_s=draws.created_s,
        device=np.zeros(count, np.int32) if draws.device is None else draws.device,
        sample=draws.sample,
        payload_bytes=sizes,
        correct=correct[draws.sample],
        edge_s=system.edge_s * draws.edge_factor,
        server_factor=draws.server_factor,
        tier=none if draws.tier is None else draws.tier,
        uplink_bytes=up.wire_bytes,
        uplink_extra_s=up.extra_delay_s,
        uplink_lost=up.lost,
        uplink_resent=up.retransmissions,
        downlink_bytes=down.wire_bytes,
        downlink_extra_s=down.extra_delay_s,
        downlink_lost=down.lost,
        downlink_resent=down.retransmissions,
    )


def trace_of(rows: Rows, system: System, until_s: float = np.inf) -> Trace:
    """Make the trace of requests.

    Parameters
    ----------
    rows
        What an engine says of them, in any order.
    system
        Where they ran.
    until_s
        When the run was stopped: what comes later is not known.

    Returns
    -------
    Trace
        One record per request, in order of creation.
    """
    index = rows["index"]
    if not bool((index[1:] > index[:-1]).all()):
        rows = rows.taken(np.argsort(index))
    columns = {name: rows.column(name) for name in (*STAMPS, "ended_s")}
    reason, batch = rows.column("reason").astype(np.int8), rows.column("batch")
    if until_s < np.inf:
        reason = np.where(columns["ended_s"] > until_s, 0, reason).astype(np.int8)
        for name in (*STAMPS[1:], "ended_s"):
            columns[name] = np.where(columns[name] > until_s, np.nan, columns[name])
    same: dict[str, Any] = {**columns, **{name: rows[name] for name in _PLAIN}}
    trace = Trace(
        **same,
        energy_j=np.empty(0),
        retransmissions=_resent(rows, columns),
        batch=np.where(np.isnan(columns["server_start_s"]), 0, batch).astype(np.int32),
        outcome=_outcomes(columns, reason, system.deadline_s),
        reason=reason,
        option=rows.column("option").astype(np.int16),
    )
    return replace(trace, energy_j=request_energy_j(system, trace, until_s))


def _resent(rows: Rows, columns: dict[str, NDArray[np.float64]]) -> NDArray[np.int64]:
    """Count packets sent again, in the directions that a request was sent in."""
    total = np.zeros(rows.count, np.int64)
    for name in ("uplink", "downlink"):
        if not rows[f"{name}_resent"].any():
            continue
        total += np.where(np.isnan(columns[f"{name}_start_s"]), 0, rows[f"{name}_resent"])
    return total


def _outcomes(
    columns: dict[str, NDArray[np.float64]], reason: NDArray[np.int8], deadline_s: float
) -> NDArray[np.int8]:
    answered_s = columns["answered_s"]
    outcome = np.zeros(reason.size, np.int8)
    if deadline_s < np.inf:
        outcome[answered_s - columns["created_s"] > deadline_s] = 1
    unanswered = np.isnan(answered_s)
    if unanswered.any():
        outcome[unanswered] = np.where(reason[unanswered] > 0, DROPPED, IN_FLIGHT)
    return outcome


def _alone(wire_bytes: NDArray[np.int64]) -> Transfers:
    count = wire_bytes.size
    # One zero for all: nobody writes into these.
    nothing = np.broadcast_to(np.int64(0), count)
    return Transfers(
        wire_bytes,
        nothing,
        np.broadcast_to(np.float64(0), count),
        np.broadcast_to(np.bool_(False), count),
    )
