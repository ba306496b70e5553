"""What comes to the server pool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.draws import Background
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.system import System

__all__ = ["Jobs", "server_jobs"]


class Jobs(NamedTuple):
    """Requests and other tenants' jobs, each array of shape ``(n,)``.

    Parameters
    ----------
    arrival_s
        When it comes.
    service_s
        Service time of another tenant's job; NaN for a request, which is served in batches.
    factor
        Multiple of the batch's time, taken from its first request.
    tier
        Priority; 0 goes first.
    expires_s
        A request that would be started after this time is discarded instead.
    """

    arrival_s: NDArray[np.float64]
    service_s: NDArray[np.float64]
    factor: NDArray[np.float64]
    tier: NDArray[np.int64]
    expires_s: NDArray[np.float64]

    def taken(self, order: NDArray[np.int64]) -> Jobs:
        """Give the jobs in another order."""
        return Jobs(
            self.arrival_s[order],
            self.service_s[order],
            self.factor[order],
            self.tier[order],
            self.expires_s[order],
        )


def server_jobs(
    system: System, background: Background | None, rows: Rows, arrival_s: NDArray[np.float64]
) -> Jobs:
    """List what comes to the server: requests first, then other tenants' jobs.

    Parameters
    ----------
    system
        Where they come to.
    background
        Who else comes.
    rows
        The requests.
    arrival_s
        When they come, or NaN where that is not known yet.

    Returns
    -------
    Jobs
        All of them, not in order of arrival.
    """
    expires_s = np.full(rows.count, np.inf)
    if system.drop_late:
        expires_s = rows["created_s"] + system.deadline_s
    own = (
        arrival_s,
        np.full(rows.count, np.nan),
        rows["server_factor"],
        rows["tier"],
        expires_s,
    )
    if background is None:
        return Jobs(*own)
    count = background.arrival_s.size
    theirs = (
        background.arrival_s,
        background.service_s,
        np.ones(count),
        np.full(count, background.tier),
        np.full(count, np.inf),
    )
    return Jobs(*(np.concatenate(pair) for pair in zip(own, theirs, strict=True)))
