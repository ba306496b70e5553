"""One record per request: every timestamp of its life."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Trace"]


@dataclass(frozen=True)
class Trace:
    """Timestamps of one replication, each of shape ``(requests,)``, in seconds of simulated time.

    A request that ends on the edge has no later timestamps: they are NaN, and it is answered when
    the edge is done.

    Parameters
    ----------
    created_s
        When the request was created.
    edge_start_s, edge_end_s
        When the edge computed the head.
    uplink_start_s, uplink_end_s
        When the payload was put on the uplink (serialisation).
    delivered_s
        When its last bit reached the server, one propagation delay later.
    server_start_s, server_end_s
        When a worker computed the tail.
    downlink_start_s, downlink_end_s
        When the answer was put on the downlink.
    answered_s
        When the answer reached the edge, one propagation delay later.
    payload_bytes
        Bytes on the uplink.
    sample
        Index of the test sample.
    correct
        Whether the answer is right.
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
    payload_bytes: NDArray[np.int64]
    sample: NDArray[np.int64]
    correct: NDArray[np.bool_]

    @property
    def sojourn_time_s(self) -> NDArray[np.float64]:
        """Time from creation to answer, shape ``(requests,)``."""
        return self.answered_s - self.created_s

    def columns(self) -> dict[str, NDArray[Any]]:
        """Give all columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
