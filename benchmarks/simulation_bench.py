"""The simulator's engines against what one would write by hand, and against its peers.

``python -m benchmarks.simulation_bench`` prints requests per CPU-second and ratios, medians of a
few runs in one process; `benchmarks.scaling` shows cost against size.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import ciw
import numba
import numpy as np
import simpy

from flexrel_sim.links import Direction, PiecewiseConstant, constant
from flexrel_sim.links.direction import Loss, Packets
from flexrel_sim.links.transfers import transfers
from flexrel_sim.simulation import Draws, Pool, System, simulate

_EDGE_S, _UPLINK_S, _SERVER_S = 0.5e-3, 0.5e-3, 0.4e-3
_RATE_PER_S = 1000.0
_PAYLOAD_BYTES = 125
_REPEATS = 5


def tandem_system() -> System:
    """Make edge, link and server, each M/M/1 or M/D/1, with answers that cost nothing."""
    uplink_bit_per_s = 8 * _PAYLOAD_BYTES / _UPLINK_S
    return System(
        edge_s=_EDGE_S,
        uplink=Direction("uplink", constant(uplink_bit_per_s), 0.01),
        downlink=Direction("downlink", constant(1e12), 0.01),
        pool=Pool((0.0, _SERVER_S)),
        answer_bytes=0,
        crosses_link=True,
        edge_power_w=1.0,
    )


def tandem_draws(count: int) -> Draws:
    """Draw Poisson arrivals and exponential service factors."""
    rng = np.random.default_rng(0)
    return Draws(
        created_s=np.cumsum(rng.exponential(size=count)) / _RATE_PER_S,
        sample=np.zeros(count, np.int64),
        edge_factor=rng.exponential(size=count),
        server_factor=rng.exponential(size=count),
    )


def requests_per_s(function: Callable[[], object], count: int) -> float:
    """Give requests per CPU-second: the median of a few runs, after one that compiles."""
    function()
    times = []
    for _ in range(_REPEATS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return count / statistics.median(times)


def engine(system: System, draws: Draws, name: str) -> Callable[[], object]:
    """Give a run of one of our engines."""
    payload, correct = np.array([_PAYLOAD_BYTES]), np.array([True])
    return lambda: simulate(system, draws, payload, correct, name)  # type: ignore[arg-type]


@numba.njit(cache=True)
def _numba_tandem(
    created_s: Any, edge_s: Any, server_s: Any, uplink_s: float, delay_s: float
) -> Any:
    stamps = np.empty((8, created_s.size))
    edge_free = link_free = server_free = 0.0
    for index in range(created_s.size):
        edge_start = max(created_s[index], edge_free)
        edge_free = edge_start + edge_s[index]
        link_start = max(edge_free, link_free)
        link_free = link_start + uplink_s
        delivered = link_free + delay_s
        server_start = max(delivered, server_free)
        server_free = server_start + server_s[index]
        stamps[0, index], stamps[1, index] = edge_start, edge_free
        stamps[2, index], stamps[3, index] = link_start, link_free
        stamps[4, index], stamps[5, index] = delivered, server_start
        stamps[6, index], stamps[7, index] = server_free, server_free + delay_s
    return stamps


@numba.njit(cache=True)
def _numba_answers(
    created_s: Any, edge_s: Any, server_s: Any, uplink_s: float, delay_s: float
) -> Any:
    answered_s = np.empty(created_s.size)
    edge_free = link_free = server_free = 0.0
    for index in range(created_s.size):
        edge_free = max(created_s[index], edge_free) + edge_s[index]
        link_free = max(edge_free, link_free) + uplink_s
        server_free = max(link_free + delay_s, server_free) + server_s[index]
        answered_s[index] = server_free + delay_s
    return answered_s


def numba_tandem(draws: Draws, loop: Callable[..., object]) -> Callable[[], object]:
    """Give a loop written for this one tandem: no payloads, samples, outcomes or way back."""
    return lambda: loop(
        draws.created_s,
        _EDGE_S * draws.edge_factor,
        _SERVER_S * draws.server_factor,
        _UPLINK_S,
        0.01,
    )


def simpy_tandem(draws: Draws) -> Callable[[], object]:
    """Give the best SimPy tandem one would write: a server process and a store per stage."""

    def run() -> list[float]:
        env = simpy.Environment()
        stores = [simpy.Store(env) for _ in range(3)]
        edge_s = (_EDGE_S * draws.edge_factor).tolist()
        server_s = (_SERVER_S * draws.server_factor).tolist()
        answered_s = [0.0] * len(edge_s)

        def source() -> Generator[simpy.Event, Any, None]:
            for index, gap_s in enumerate(np.diff(draws.created_s, prepend=0.0).tolist()):
                yield env.timeout(gap_s)
                stores[0].put(index)

        def stage(place: int, service_s: list[float]) -> Generator[simpy.Event, Any, None]:
            while True:
                index = yield stores[place].get()
                yield env.timeout(service_s[index])
                if place == 1:
                    # Propagation delays and never occupies, so it needs an event of its own.
                    late = simpy.events.Timeout(env, 0.01, index)
                    late.callbacks.append(lambda event: stores[2].put(event.value))
                elif place == 0:
                    stores[1].put(index)
                else:
                    answered_s[index] = env.now + 0.01

        env.process(source())
        for place, service_s in enumerate((edge_s, [_UPLINK_S] * len(edge_s), server_s)):
            env.process(stage(place, service_s))
        env.run()
        return answered_s

    return run


def ciw_tandem(count: int) -> Callable[[], object]:
    """Give the same three queues in Ciw, without propagation, which it has no place for."""

    def run() -> object:
        ciw.seed(0)
        network = ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(_RATE_PER_S), None, None],
            service_distributions=[
                ciw.dists.Exponential(1 / _EDGE_S),
                ciw.dists.Deterministic(_UPLINK_S),
                ciw.dists.Exponential(1 / _SERVER_S),
            ],
            routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
            number_of_servers=[1, 1, 1],
        )
        simulation = ciw.Simulation(network)
        simulation.simulate_until_max_customers(count, method="Finish")
        return simulation

    return run


def lossy_case(count: int) -> tuple[System, Draws]:
    """Make a trace-driven lossy uplink before four workers that serve batches of eight."""
    rng = np.random.default_rng(1)
    rates = rng.uniform(2e6, 8e6, 600)
    capacity = PiecewiseConstant(np.arange(600) * 0.1, rates, 60.0)
    loss = Loss(0.001, 0.3, 0.01, 0.2)
    uplink = Direction("uplink", capacity, 0.01, 0.02, "udp-arq", Packets(1500, 28, 38), 8, loss)
    pool = Pool((0.0, *(0.4e-3 + 0.1e-3 * size for size in range(1, 9))), 4, 2e-3)
    draws = tandem_draws(count)
    sizes = np.full(count, 250, np.int64)
    sent = transfers(uplink, sizes, np.random.default_rng(2))
    return replace(tandem_system(), uplink=uplink, pool=pool), replace(draws, uplink=sent)


def compare_all() -> list[tuple[float, str]]:
    """Give all ratios with what they compare."""
    many, few = 1_000_000, 20_000
    system, draws, short = tandem_system(), tandem_draws(many), tandem_draws(few)
    compiled = requests_per_s(engine(system, draws, "compiled"), many)
    by_hand = requests_per_s(numba_tandem(draws, _numba_tandem), many)
    answers = requests_per_s(numba_tandem(draws, _numba_answers), many)
    reference = requests_per_s(engine(system, short, "simpy"), few)
    simpy_by_hand = requests_per_s(simpy_tandem(short), few)
    peer = requests_per_s(ciw_tandem(few // 4), few // 4)
    lossy_system, lossy_draws = lossy_case(many)
    lossy = requests_per_s(engine(lossy_system, lossy_draws, "compiled"), many)
    rates = {
        "compiled, edge-link-server": compiled,
        "hand-written numba tandem, its timestamps kept": by_hand,
        "hand-written numba tandem, answers only": answers,
        "compiled, trace-driven lossy link, 4 workers, batches": lossy,
        "simpy engine": reference,
        "hand-written SimPy, stage servers and stores": simpy_by_hand,
        "Ciw": peer,
    }
    for name, rate in rates.items():
        print(f"{rate / 1e6:10.4f} M requests per CPU-second  {name}")
    return [
        (compiled / by_hand, "compiled engine, of the hand-written numba tandem's rate"),
        (compiled / reference, "compiled engine against the SimPy engine"),
        (reference / simpy_by_hand, "SimPy engine, of the hand-written SimPy tandem's rate"),
        (compiled / peer, "compiled engine against Ciw"),
    ]


def main() -> None:
    """Print the ratios."""
    for ratio, what in compare_all():
        print(f"{ratio:9.2f} x  {what}")


if __name__ == "__main__":
    main()
