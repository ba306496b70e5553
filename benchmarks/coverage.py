"""How often the latencies' 95 % intervals cover: M/M/1, whose latency is exponential.

``python -m benchmarks.coverage`` prints the tables of ``docs/statistics.md`` (an hour; ``--seeds``
and ``--longest`` make it shorter). Runs start empty; a tenth of their length is warm-up. What was
not taken is measured too on runs of 600 requests.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation import Stage, Window
from flexrel_sim.simulation.doubts import doubts_of, queues_of
from flexrel_sim.simulation.quantiles import PooledLatencies, Quantiles
from flexrel_sim.simulation.tails import quantile_interval
from flexrel_sim.statistics import Estimate, t_half_width, t_interval
from flexrel_sim.theory import mm1_mean_wait_s, mm1_sojourn_quantile_s

TAILS = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
ENOUGH = ((0.7, (10, 3000)), (0.9, (10, 38_000)))
"""Loads and sizes at which p99 is just about not doubted."""

Intervals = dict[tuple[str, str], Estimate]
Covered = dict[tuple[str, str], list[tuple[bool, bool, float]]]
"""By figure and method, of every seed: whether it covers, is doubted, and its relative error."""


def latencies_s(load: float, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """Draw sojourn times of M/M/1 with unit service, shape ``(replications, requests)``.

    Lindley's recursion as a random walk over its least value so far (Asmussen, *Applied Probability
    and Queues*, 2nd ed., 2003, proposition III.6.3).
    """
    replications, requests = shape
    warmup = requests // 10
    rng = np.random.default_rng([seed, replications, requests, round(1000 * load)])
    gaps = rng.exponential(1 / load, (replications, requests + warmup))
    services = rng.standard_exponential((replications, requests + warmup))
    steps = np.zeros_like(gaps)
    steps[:, 1:] = services[:, :-1] - gaps[:, 1:]
    walk = np.cumsum(steps, axis=1)
    waits = walk - np.minimum.accumulate(walk, axis=1)
    return (waits + services)[:, warmup:]


def own_intervals(load: float, latency_s: NDArray[np.float64]) -> tuple[Intervals, set[str]]:
    """Give every figure's interval as a summary has it, and which of them a run would warn of."""
    pool = pooled(latency_s)
    tails = {name: quantile_interval(pool, share) for name, share in TAILS.items()}
    mean = t_interval(latency_s.mean(axis=1))
    queues = queues_of([Stage("edge", 1.0, 1, "edge.device")], {"edge": load})
    length_s = latency_s.shape[1] / load
    window = Window(length_s / 10, length_s * 1.1)
    found = {(name, "ranks"): tail.estimate for name, tail in tails.items()}
    doubts = set(doubts_of(pool, mean.value, tails, queues, window))
    return {("latency_mean_s", "t"): mean} | found, doubts


def rival_intervals(latency_s: NDArray[np.float64]) -> Intervals:
    """Give every quantile's interval by what was not taken."""
    found: Intervals = {}
    replications = len(latency_s)
    for name, share in TAILS.items():
        own = np.quantile(latency_s, share, axis=1)
        found[name, "mean of quantiles"] = t_interval(own)
        value = float(np.quantile(latency_s, share))
        # Sectioning: the sections spread around the pooled quantile, not around their own mean.
        spread = float(np.sqrt(((own - value) ** 2).sum() / (replications - 1)))
        half = spread / own.std(ddof=1) * t_half_width(own)
        found[name, "sections"] = Estimate(value, value - half, value + half)
        left = [
            np.quantile(np.delete(latency_s, one, axis=0), share) for one in range(replications)
        ]
        pseudo = replications * value - (replications - 1) * np.array(left)
        found[name, "jackknifed sections"] = t_interval(pseudo)
    return found


def pooled(latency_s: NDArray[np.float64]) -> PooledLatencies:
    """Hand the latencies over as replications are."""
    replications = []
    for own in latency_s:
        replications.append(Quantiles())
        replications[-1].add(own)
    return PooledLatencies(replications)


def truth_s(load: float, name: str) -> float:
    """Give the figure in the long run."""
    if name == "latency_mean_s":
        return mm1_mean_wait_s(load, 1.0) + 1
    return mm1_sojourn_quantile_s(TAILS[name], load, 1.0)


def measured(load: float, shape: tuple[int, int], seeds: int, *, rivals: bool = False) -> Covered:
    """Measure one system at one size."""
    found: Covered = {}
    for seed in range(seeds):
        latency_s = latencies_s(load, shape, seed)
        intervals, doubts = own_intervals(load, latency_s)
        if rivals:
            intervals |= rival_intervals(latency_s)
        for (name, method), estimate in intervals.items():
            truth = truth_s(load, name)
            covers = estimate.low <= truth <= estimate.high
            error = estimate.value / truth - 1
            found.setdefault((name, method), []).append((covers, name in doubts, error))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--longest", type=int, default=60_000, help="requests per replication")
    asked = parser.parse_args()
    sizes = [
        (load, (replications, length))
        for length, load, replications in product((600, 6000, 60_000), (0.5, 0.7, 0.9), (5, 10, 30))
    ]
    for load, shape in (*sizes, *ENOUGH):
        length = shape[1]
        if length > asked.longest:
            continue
        found = measured(load, shape, asked.seeds, rivals=length == 600)
        for (name, method), seen in sorted(found.items()):
            covers, doubts, errors = (np.array(column) for column in zip(*seen, strict=True))
            sure = covers[~doubts]
            undoubted = f"{sure.mean():.3f}" if sure.size else "-"
            print(
                f"{load} {shape[0]:2} x {shape[1]:6,} {name:15} {method:20}"
                f" covers {covers.mean():.3f}, error {errors.mean():+.3f};"
                f" doubted {doubts.mean():.2f}, undoubted covers {undoubted}",
                flush=True,
            )


if __name__ == "__main__":
    main()
