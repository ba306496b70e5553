"""Ciw, another queueing simulator, agrees on three networks with the same parameters.

Both sides are replications of their own random numbers: the difference of their means lies within
its 99.9 % interval of zero (Welch), and that interval is narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ciw
import numpy as np
from scipy.stats import ttest_ind

from flexrel_sim.simulation import Pool
from flexrel_sim.simulation.streams import generator
from flexrel_sim.simulation.trace import reason_code
from tests.builders import make_system, replicate, settled, wait_s

RATE = 1.0
REPLICATIONS = 20
REQUESTS = 2000


def ciw_records(seed: int, **network: Any) -> list[Any]:
    ciw.seed(seed)
    simulation = ciw.Simulation(ciw.create_network(**network))
    simulation.simulate_until_max_time(REQUESTS / RATE)
    return simulation.get_all_records()


def later(records: list[Any]) -> list[Any]:
    """Leave out the start, as `settled` does."""
    return [record for record in records if record.arrival_date >= REQUESTS / RATE / 10]


def agree(ours: list[float], theirs: list[float], within: float) -> None:
    low, high = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.999)
    assert low <= 0 <= high, (np.mean(ours), np.mean(theirs))
    # Intervals that hold anything prove nothing.
    assert high - low < within * np.mean(theirs)


def exponential(mean_s: float) -> ciw.dists.Exponential:
    return ciw.dists.Exponential(1 / mean_s)


def test_a_tandem_of_one_server_and_two() -> None:
    system = make_system(edge_s=0.6, server_s=1.4, workers=2, delay_s=0.0)
    traces = replicate(system, RATE, REQUESTS, payload_bytes=[0], replications=REPLICATIONS)
    runs = [
        ciw_records(
            seed,
            arrival_distributions=[exponential(1 / RATE), None],
            service_distributions=[exponential(0.6), exponential(1.4)],
            number_of_servers=[1, 2],
            routing=[[0.0, 1.0], [0.0, 0.0]],
        )
        for seed in range(REPLICATIONS)
    ]
    for node, stage in ((1, "edge"), (2, "server")):
        ours = [wait_s(trace, stage)[settled(trace)].mean() for trace in traces]
        theirs = [
            np.mean([record.waiting_time for record in later(records) if record.node == node])
            for records in runs
        ]
        agree(ours, theirs, within=0.6)


def test_a_server_that_turns_requests_away() -> None:
    system = make_system(edge_s=0.0, pool=Pool((0.0, 0.9), buffer=2), delay_s=0.0)
    traces = replicate(system, RATE, REQUESTS, payload_bytes=[0], replications=REPLICATIONS)
    runs = [
        ciw_records(
            seed,
            arrival_distributions=[exponential(1 / RATE)],
            service_distributions=[exponential(0.9)],
            number_of_servers=[1],
            queue_capacities=[2],
        )
        for seed in range(REPLICATIONS)
    ]
    full = reason_code("server full")
    shares = [
        np.mean([record.record_type == "rejection" for record in later(records)])
        for records in runs
    ]
    agree([(t.reason[settled(t)] == full).mean() for t in traces], shares, within=0.2)
    ours = [np.nanmean(wait_s(trace, "server")[settled(trace)]) for trace in traces]
    theirs = [
        np.mean([r.waiting_time for r in later(records) if r.record_type == "service"])
        for records in runs
    ]
    agree(ours, theirs, within=0.2)


def test_two_classes_of_which_one_goes_first() -> None:
    workers, server_s, urgent_share = 2, 1.5, 0.3
    system = make_system(edge_s=0.0, server_s=server_s, workers=workers, delay_s=0.0)
    traces = replicate(
        system,
        RATE,
        REQUESTS,
        payload_bytes=[0],
        replications=REPLICATIONS,
        urgent_share=urgent_share,
    )
    classes = {"urgent": urgent_share * RATE, "other": (1 - urgent_share) * RATE}
    runs = [
        ciw_records(
            seed,
            arrival_distributions={name: [exponential(1 / rate)] for name, rate in classes.items()},
            service_distributions={name: [exponential(server_s)] for name in classes},
            number_of_servers=[workers],
            priority_classes={"urgent": 0, "other": 1},
        )
        for seed in range(REPLICATIONS)
    ]

    def ours(chosen: Callable[[np.ndarray], np.ndarray]) -> list[float]:
        means = []
        for number, trace in enumerate(traces):
            draws = generator(0, number, "tiers").random(trace.created_s.size)
            means.append(wait_s(trace, "server")[settled(trace) & chosen(draws)].mean())
        return means

    def theirs(name: str) -> list[float]:
        return [
            np.mean([r.waiting_time for r in later(records) if r.customer_class == name])
            for records in runs
        ]

    agree(ours(lambda draws: draws < urgent_share), theirs("urgent"), within=0.4)
    agree(ours(lambda draws: draws >= urgent_share), theirs("other"), within=0.8)
