"""Workers in heaps, against a list that is searched."""

from __future__ import annotations

import numpy as np
import pytest

from flexrel_sim.simulation import Pool
from flexrel_sim.simulation.draws import Windows
from flexrel_sim.simulation.pool_kernel import failure_events
from flexrel_sim.simulation.workers import (
    BUSY,
    IDLE,
    JOB,
    fail,
    finish,
    new_workers,
    repair,
    start,
)
from tests.builders import make_draws, make_system
from tests.simulation.systems import run


@pytest.mark.parametrize("seed", range(20))
def test_the_next_worker_is_the_one_that_a_search_finds(seed: int) -> None:
    rng, count = np.random.default_rng(seed), int(np.random.default_rng(seed).integers(1, 12))
    workers, turn = new_workers(count), 0
    idle, busy = set(range(count)), {}
    for _ in range(300):
        what, worker = rng.integers(4), int(rng.integers(count))
        if what == 0 and idle:
            assert workers.numbers[IDLE, 1] == min(idle)
            end_s = float(rng.integers(4))
            start(workers, turn, end_s, turn)
            first = min(idle)
            idle.remove(first)
            busy[first] = (end_s, turn)
            turn += 1
        elif what == 1 and busy:
            first = min(busy, key=lambda one: busy[one])
            assert workers.numbers[BUSY, 1] == first
            assert workers.done_s[first] == busy[first][0]
            assert workers.numbers[JOB, first] == busy.pop(first)[1]
            finish(workers)
            idle.add(first)
        elif what == 2:
            assert fail(workers, worker) == (worker in idle or worker in busy)
            idle.discard(worker)
            busy.pop(worker, None)
        elif worker not in idle and worker not in busy:
            repair(workers, worker)
            idle.add(worker)
        assert workers.numbers[IDLE, 0] == len(idle)
        assert workers.numbers[BUSY, 0] == len(busy)


def test_failures_are_told_in_order_of_time_and_then_of_workers() -> None:
    windows = Windows(np.array([0, 2, 3]), np.array([1.0, 5.0, 2.0]), np.array([2.0, 6.0, 5.0]))
    time_s, worker = failure_events(*windows)
    assert time_s.tolist() == [1.0, 2.0, 2.0, 5.0, 5.0, 6.0]
    assert worker.tolist() == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_both_engines_agree_on_many_workers_that_fail(seed: int) -> None:
    rng, workers = np.random.default_rng(seed), 20
    first = np.arange(0, 2 * workers + 1, 2)
    edges = np.cumsum(rng.integers(1, 9, (workers, 4)) / 4, axis=1)
    down = Windows(first, edges[:, ::2].ravel().copy(), edges[:, 1::2].ravel().copy())
    pool = Pool((0.0, 0.5, 0.75), workers, 0.25, buffer=20, requeue=bool(seed % 2), held_s=1.0)
    system = make_system(edge_s=0.0, delay_s=0.0, devices=400, pool=pool, uplink_bit_per_s=1e9)
    draws = make_draws(
        np.sort(rng.integers(0, 60, 400)) / 4,
        server_factor=rng.choice((0.5, 1.0, 4.0), 400),
        device=np.arange(400, dtype=np.int32),
        server_down=down,
    )
    compiled, reference = (run(system, draws, name).columns() for name in ("compiled", "simpy"))
    assert (reference["reason"] > 0).any()
    for name, values in reference.items():
        np.testing.assert_allclose(compiled[name], values, rtol=0, atol=1e-9, err_msg=name)
