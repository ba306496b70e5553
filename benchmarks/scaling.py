"""How time and memory of a simulation grow with the number of requests.

``python -m benchmarks.scaling FILE.png`` runs a fleet of 10,000 devices at one request per second
for longer and longer, each run in a process of its own, up to 10⁸ requests, and one hour of it with
every request's trace on disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from flexrel_sim.plots.style import style
from flexrel_sim.profile import Layer, Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.simulation import simulate_point
from flexrel_sim.simulation.store import trace_writer

_DEVICES = 10_000
_REPLICATIONS = 2


@dataclass(frozen=True)
class Run:
    """What one run took, both replications together."""

    requests: int
    cpu_s: float
    peak_bytes: int
    trace_bytes: int = 0


def fleet(requests: int) -> SystemScenario:
    """Make a fleet on one cell and four workers, for about so many requests in all."""
    duration_s = requests / _REPLICATIONS / _DEVICES
    return SystemScenario.model_validate(
        {
            "edge": {"device": "raspberry-pi-4", "count": _DEVICES, "service_time": "50 ms"},
            "link": {"uplink": "200 Mbit/s", "downlink": "1 Gbit/s", "delay": "10 ms"},
            "server": {"device": "t4", "service_time": "300 us", "workers": 4},
            "workload": {"rate": "1 /s", "duration": f"{duration_s!r} s"},
            "simulation": {"replications": _REPLICATIONS},
        }
    )


def profile() -> Profile:
    """Make an operating point of one layer on each side and payloads of 1 to 2 kB."""
    layer = Layer("fc1", "linear", "head", 2000, 1000, 1000, 400, 40, (10,))
    tail = Layer("fc2", "linear", "tail", 2000, 1000, 1000, 40, 40, (10,))
    right = np.zeros(1000, np.int64)
    sizes = np.random.default_rng(0).integers(1000, 2000, 1000)
    return Profile(
        key="0" * 64,
        network="none",
        operating_point={},
        layers=(layer, tail),
        boundary_shapes=((10,),),
        crosses_link=True,
        answer_bytes=40,
        head_weight_bytes=4000,
        tail_weight_bytes=4000,
        payload_bytes=sizes.astype(np.int64),
        labels=right,
        predicted=right,
        dense_predicted=right,
        validation_labels=right,
        validation_predicted=right,
        validation_dense_predicted=right,
        provenance={},
    )


def measure(requests: int, traces: bool) -> Run:
    """Run the fleet in this process."""
    point, scenario = profile(), fleet(requests)
    # Loads what was compiled, so that the small runs show the simulation.
    simulate_point(fleet(2 * _DEVICES), point, Path())
    start = time.process_time()
    size = 0
    if traces:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trace.parquet"
            with trace_writer(file, 0) as keep:
                summary = simulate_point(scenario, point, Path(), keep)
            size = file.stat().st_size
    else:
        summary = simulate_point(scenario, point, Path())
    cpu_s = time.process_time() - start
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Run(summary.counted_requests, cpu_s, peak, size)  # type: ignore[union-attr]


def apart(requests: int, traces: bool = False) -> Run:
    """Run the fleet in a process of its own, whose peak memory is the run's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        run: Run = pool.apply(measure, (requests, traces))
    kept = f", {run.trace_bytes / 1e9:.2f} GB of traces" if traces else ""
    print(
        f"{run.requests:>12,} requests  {run.cpu_s:8.2f} CPU-s"
        f"  {run.requests / run.cpu_s / 1e6:6.2f} M/s  {run.peak_bytes / 2**30:5.2f} GiB{kept}",
        flush=True,
    )
    return run


def draw(runs: list[Run], file: Path) -> None:
    """Draw time and memory against requests."""
    requests = [run.requests for run in runs]
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
        left.loglog(requests, [run.cpu_s for run in runs], "o-")
        slope = runs[-1].cpu_s / runs[-1].requests
        left.loglog(requests, [slope * count for count in requests], ":", label="linear")
        left.set(xlabel="requests", ylabel="CPU time / s")
        left.legend()
        right.semilogx(requests, [run.peak_bytes / 2**30 for run in runs], "o-")
        right.set(xlabel="requests", ylabel="peak memory / GiB", ylim=(0, None))
        figure.savefig(file, dpi=200)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--largest", type=int, default=100_000_000)
    arguments = parser.parse_args()
    sizes = [10**power for power in range(3, 10) if 10**power <= arguments.largest]
    draw([apart(max(size, 700)) for size in sizes], arguments.file)
    print("one hour of the fleet, every request kept:")
    apart(72_000_000, traces=True)


if __name__ == "__main__":
    main()
