"""When requests are created, device by device; drawn in parts that don't depend on their size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.scenario.schema import BurstSection, DiurnalSection, WorkloadSection
from flexrel_sim.simulation.replay import read_replay
from flexrel_sim.simulation.streams import Streams

__all__ = ["Arrivals", "arrivals", "arrivals_in_parts"]

_PART = 1 << 18


@dataclass(frozen=True)
class Arrivals:
    """Requests in order of creation.

    Parameters
    ----------
    created_s
        When each is created, shape ``(n,)``, ascending.
    device
        Which edge device creates it, shape ``(n,)``.
    sample
        Which test sample it carries, where the workload says so.
    last
        Whether no part comes after this one.
    """

    created_s: NDArray[np.float64]
    device: NDArray[np.int32]
    sample: NDArray[np.int64] | None = None
    last: bool = True


def arrivals(workload: WorkloadSection, devices: int, streams: Streams, folder: Path) -> Arrivals:
    """Draw all requests of a replication.

    Parameters
    ----------
    workload
        When requests arrive; not `closed`, whose requests wait for answers.
    devices
        How many edge devices create them.
    streams
        Generators by name.
    folder
        Where a relative path of a replay file starts.

    Returns
    -------
    Arrivals
        All that are created before ``workload.duration``.

    Raises
    ------
    ScenarioError
        If a replay file is wrong.
    """
    if workload.arrivals == "replay":
        return _replayed(workload, devices, folder)
    if workload.arrivals == "periodic":
        return _periodic(workload, devices, streams)
    parts = list(arrivals_in_parts(workload, devices, streams))
    return Arrivals(
        np.concatenate([part.created_s for part in parts]),
        np.concatenate([part.device for part in parts]),
    )


def arrivals_in_parts(
    workload: WorkloadSection, devices: int, streams: Streams
) -> Iterator[Arrivals]:
    """Draw the requests of a Poisson process, part by part; the parts joined are `arrivals`.

    Independent Poisson devices together are one Poisson process whose events belong to each device
    with equal chance (Kingman, *Poisson Processes*, 1993, sec. 5.1): that is what is drawn. Where
    the rate changes, unit gaps are stretched by the inverse of the integrated rate.

    Parameters
    ----------
    workload, devices, streams
        As in `arrivals`; ``poisson``, ``bursty`` or ``diurnal``.

    Yields
    ------
    Arrivals
        About a quarter of a million requests each, and at least one part.
    """
    gaps, owners = streams["arrivals"], streams["devices"]
    rate_per_s = (workload.rate or 0.0) * devices
    clock = _clock(workload, rate_per_s, streams)
    horizon = clock.expected(workload.duration)
    elapsed = 0.0
    while True:
        size = int(min(_PART, max(horizon - elapsed, 0) * 1.01 + 100))
        # The sum goes on from the part before, addition by addition: parts don't show.
        unit = np.cumsum(np.concatenate([[elapsed], gaps.exponential(size=size)]))[1:]
        elapsed = float(unit[-1])
        unit = unit[unit < horizon]
        device = owners.integers(devices, size=size) if devices > 1 else np.zeros(size, np.int64)
        created_s = clock.times_s(unit)
        last = elapsed >= horizon
        yield Arrivals(created_s, device[: unit.size].astype(np.int32), last=last)
        if last:
            return


class _SteadyClock:
    """From expected numbers of events to times, at one rate."""

    def __init__(self, rate_per_s: float) -> None:
        self.rate_per_s = rate_per_s

    def expected(self, time_s: float) -> float:
        return time_s * self.rate_per_s

    def times_s(self, events: NDArray[np.float64]) -> NDArray[np.float64]:
        return events / self.rate_per_s


class _VaryingClock:
    """The same for a rate that is tabulated, by linear interpolation of its integral."""

    def __init__(self, time_s: NDArray[np.float64], integral: NDArray[np.float64]) -> None:
        self.time_s, self.integral = time_s, integral

    def expected(self, time_s: float) -> float:
        return float(np.interp(time_s, self.time_s, self.integral))

    def times_s(self, events: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(events, self.integral, self.time_s)


def _clock(
    workload: WorkloadSection, rate_per_s: float, streams: Streams
) -> _SteadyClock | _VaryingClock:
    if workload.bursts is not None:
        return _bursty_clock(workload.bursts, rate_per_s, workload.duration, streams["bursts"])
    if workload.diurnal is not None:
        return _diurnal_clock(workload.diurnal, rate_per_s, workload.duration)
    return _SteadyClock(rate_per_s)


def _bursty_clock(
    bursts: BurstSection, rate_per_s: float, duration_s: float, rng: np.random.Generator
) -> _VaryingClock:
    """Integrate a rate that switches between two states after exponential times."""
    share_on = bursts.mean_on / (bursts.mean_on + bursts.mean_off)
    low = rate_per_s / (share_on * bursts.factor + 1 - share_on)
    # In equilibrium from the start: the first state by its share, its rest as long as any.
    on = bool(rng.random() < share_on)
    times_s, integral = [0.0], [0.0]
    while times_s[-1] < duration_s:
        stay_s = rng.exponential(bursts.mean_on if on else bursts.mean_off)
        times_s.append(times_s[-1] + stay_s)
        integral.append(integral[-1] + stay_s * low * (bursts.factor if on else 1.0))
        on = not on
    return _VaryingClock(np.array(times_s), np.array(integral))


def _diurnal_clock(diurnal: DiurnalSection, rate_per_s: float, duration_s: float) -> _VaryingClock:
    """Integrate ``rate·(1 + a·cos(2π(t - peak)/period))``, on a grid of 1/4096 of the period."""
    period_s = diurnal.period
    peak_s = period_s / 4 if diurnal.peak is None else diurnal.peak
    steps = int(np.ceil(4096 * duration_s / period_s)) + 4096
    time_s = np.linspace(0.0, duration_s, min(steps, 4_000_000))
    turn = 2 * np.pi / period_s
    swing = np.sin(turn * (time_s - peak_s)) - np.sin(-turn * peak_s)
    return _VaryingClock(time_s, rate_per_s * (time_s + diurnal.amplitude * swing / turn))


def _periodic(workload: WorkloadSection, devices: int, streams: Streams) -> Arrivals:
    rate_per_s = workload.rate or 0.0
    # Multiples of the period, not a running sum, so that no rounding error builds up.
    count = int(np.ceil(workload.duration * rate_per_s)) + 1
    ticks = np.arange(count) / rate_per_s
    phase_s = np.zeros(devices)
    if workload.phases == "random":
        phase_s = streams["phases"].random(devices) / rate_per_s
    created_s = (ticks[:, None] + phase_s).ravel()
    device = np.tile(np.arange(devices, dtype=np.int32), count)
    if workload.jitter > 0:
        created_s = created_s + workload.jitter * streams["jitter"].random(created_s.size)
    order = np.argsort(created_s, kind="stable")
    order = order[: np.searchsorted(created_s[order], workload.duration)]
    return Arrivals(created_s[order], device[order])


def _replayed(workload: WorkloadSection, devices: int, folder: Path) -> Arrivals:
    replay = read_replay(folder / (workload.file or ""), devices)
    within = replay.created_s < workload.duration
    return Arrivals(
        replay.created_s[within],
        replay.device[within],
        None if replay.sample is None else replay.sample[within],
    )
