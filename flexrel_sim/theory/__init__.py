"""Closed forms of queueing theory that the simulator is checked against.

Rates are per second, times in seconds. Queues are first come, first served and stable unless their
name says otherwise: finite, shared or by priority.

References
----------
Kleinrock, *Queueing Systems*, vol. 1, 1975, and vol. 2, 1976.
"""

from flexrel_sim.theory.arrivals import mmpp_dispersion
from flexrel_sim.theory.batches import full_batches_mean_wait_s, mm1_bulk_mean_wait_s, timed_batches
from flexrel_sim.theory.losses import erlang_b, mm1_crashing_answered_share, mmck_blocking
from flexrel_sim.theory.waits import (
    erlang_c,
    md1_mean_wait_s,
    mg1_mean_wait_s,
    mg1_priority_mean_waits_s,
    mm1_mean_wait_s,
    mm1_mean_wait_standard_error_s,
    mm1_relaxation_time_s,
    mm1_sojourn_quantile_s,
    mmc_mean_wait_s,
    sharing_mean_sojourn_s,
)

__all__ = [
    "erlang_b",
    "erlang_c",
    "full_batches_mean_wait_s",
    "md1_mean_wait_s",
    "mg1_mean_wait_s",
    "mg1_priority_mean_waits_s",
    "mm1_bulk_mean_wait_s",
    "mm1_crashing_answered_share",
    "mm1_mean_wait_s",
    "mm1_mean_wait_standard_error_s",
    "mm1_relaxation_time_s",
    "mm1_sojourn_quantile_s",
    "mmc_mean_wait_s",
    "mmck_blocking",
    "mmpp_dispersion",
    "sharing_mean_sojourn_s",
    "timed_batches",
]
