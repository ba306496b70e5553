"""One record per request: every timestamp of its life, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.deliveries import Deliveries
from flexrel_sim.simulation.outcomes import CRASHED, DOWN, EXPIRED, FULL

__all__ = [
    "DROPPED",
    "EDGE_REASONS",
    "IN_FLIGHT",
    "OUTCOMES",
    "POOL_REASONS",
    "REASONS",
    "STAMPS",
    "Trace",
    "reason_code",
]

OUTCOMES: Final = ("answered", "late", "dropped", "in flight")
"""How a request can end; a trace holds indices into this."""

DROPPED: Final = 2
IN_FLIGHT: Final = 3

REASONS: Final = (
    "",
    "edge full",
    "edge down",
    "edge crash",
    "uplink full",
    "uplink lost",
    "server full",
    "server failure",
    "deadline past",
    "downlink full",
    "downlink lost",
)
"""Why a request was dropped; a trace holds indices into this, 0 for one that was not."""

STAMPS: Final = (
    "created_s",
    "edge_start_s",
    "edge_end_s",
    "uplink_start_s",
    "uplink_end_s",
    "delivered_s",
    "server_start_s",
    "server_end_s",
    "downlink_start_s",
    "downlink_end_s",
    "answered_s",
)
"""Timestamps in the order of a request's life."""


def reason_code(reason: str) -> int:
    """Give the index of a reason."""
    return REASONS.index(reason)


def _codes(reasons: dict[int, str]) -> NDArray[np.int8]:
    """Map the outcomes of a compiled queue to reasons."""
    codes = np.zeros(max(reasons) + 1, np.int8)
    for outcome, reason in reasons.items():
        codes[outcome] = reason_code(reason)
    return codes


EDGE_REASONS: Final = _codes({FULL: "edge full", DOWN: "edge down", CRASHED: "edge crash"})
"""Reason codes of the edge queue's outcomes."""

POOL_REASONS: Final = _codes(
    {FULL: "server full", CRASHED: "server failure", EXPIRED: "deadline past"}
)
"""Reason codes of the server pool's outcomes."""


@dataclass(frozen=True)
class Trace:
    """Timestamps of one replication, each of shape ``(requests,)``, in seconds of simulated time.

    What a request did not come to is NaN: a request that ends on the edge has no later timestamps,
    and is answered when the edge is done; a dropped one is never answered.

    Parameters
    ----------
    created_s
        When the request was created.
    edge_start_s, edge_end_s
        When the edge computed the head.
    uplink_start_s, uplink_end_s
        When the payload was put on the uplink (serialisation).
    delivered_s
        When its last bit reached the server: propagation, round trips, jitter and order
        later.
    server_start_s, server_end_s
        When a worker computed the tail.
    downlink_start_s, downlink_end_s
        When the answer was put on the downlink.
    answered_s
        When the answer reached the edge: propagation, round trips, jitter and order
        later; when the edge was done, where nothing crosses.
    ended_s
        When the request's life ended: answered, or dropped; NaN in flight.
    payload_bytes
        Encoded bytes of the request.
    uplink_bytes, downlink_bytes
        What it put on the wire, with headers and retransmissions.
    retransmissions
        Packets that were sent again, both directions together.
    energy_j
        What it cost its device itself: computing, sending, receiving.
    batch
        How many requests its server batch had; 0 where it was not served there.
    device
        The edge device that created it.
    sample
        Index of the test sample.
    correct
        Whether its answer is right, were it given.
    outcome
        Index into `OUTCOMES`.
    reason
        Index into `REASONS`.
    option
        Index of the operating point that it used; 0 without a controller.
    deliveries
        Weights that were sent besides; no column, and not of this shape.
    """

    created_s: NDArray[np.float64]
    edge_start_s: NDArray[np.float64]
    edge_end_s: NDArray[np.float64]
    uplink_start_s: NDArray[np.float64]
    uplink_end_s: NDArray[np.float64]
    delivered_s: NDArray[np.float64]
    server_start_s: NDArray[np.float64]
    server_end_s: NDArray[np.float64]
    downlink_start_s: NDArray[np.float64]
    downlink_end_s: NDArray[np.float64]
    answered_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    payload_bytes: NDArray[np.int64]
    uplink_bytes: NDArray[np.int64]
    downlink_bytes: NDArray[np.int64]
    retransmissions: NDArray[np.int64]
    energy_j: NDArray[np.float64]
    batch: NDArray[np.int32]
    device: NDArray[np.int32]
    sample: NDArray[np.int64]
    correct: NDArray[np.bool_]
    outcome: NDArray[np.int8]
    reason: NDArray[np.int8]
    option: NDArray[np.int16]
    deliveries: Deliveries | None = None

    @property
    def sojourn_time_s(self) -> NDArray[np.float64]:
        """Time from creation to answer, shape ``(requests,)``; NaN without an answer."""
        return self.answered_s - self.created_s

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which requests were answered, late ones among them."""
        return self.outcome < DROPPED

    def occupied_s(
        self, stage: str, until_s: float = np.nan
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give when each request occupied a stage.

        Parameters
        ----------
        stage
            ``edge``, ``uplink``, ``server`` or ``downlink``.
        until_s
            When the run was stopped, which ended what was in flight.

        Returns
        -------
        start_s, end_s
            Shape ``(requests,)``; what a failure cut short ended there.
        """
        start_s = getattr(self, f"{stage}_start_s")
        end_s = getattr(self, f"{stage}_end_s")
        cut = np.isnan(end_s) & ~np.isnan(start_s)
        if not cut.any():
            return start_s, end_s
        left_s = np.where(self.outcome == IN_FLIGHT, until_s, self.ended_s)
        return start_s, np.where(cut, left_s, end_s)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Give all columns by name."""
        names = (field.name for field in fields(self) if field.name != "deliveries")
        return {name: getattr(self, name) for name in names}

    def taken(self, which: NDArray[Any]) -> Trace:
        """Give some of the requests, by mask or index."""
        return replace(self, **{name: values[which] for name, values in self.columns().items()})
