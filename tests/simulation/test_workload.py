from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from flexrel_sim.scenario.schema import WorkloadSection
from flexrel_sim.simulation import workload as module
from flexrel_sim.simulation.streams import Streams
from flexrel_sim.simulation.workload import Arrivals, arrivals, arrivals_in_parts
from flexrel_sim.statistics import t_interval
from flexrel_sim.theory import mmpp_dispersion

HERE = Path()
BURSTS = {"factor": 9, "mean_on": "1 s", "mean_off": "4 s"}
DIURNAL = {"amplitude": 0.8, "period": "10 s"}
KINDS: dict[str, dict[str, Any]] = {
    "poisson": {},
    "bursty": {"bursts": BURSTS},
    "diurnal": {"diurnal": DIURNAL},
}


def section(kind: str, rate: float = 10.0, duration: float = 20.0, **keys: Any) -> WorkloadSection:
    options = KINDS.get(kind, {}) | keys
    return WorkloadSection(
        arrivals=kind, rate=f"{rate!r} /s", duration=f"{duration!r} s", **options
    )


def came(workload: WorkloadSection, devices: int = 1, seed: int = 0) -> Arrivals:
    return arrivals(workload, devices, Streams(seed, 0), HERE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_rate_is_what_was_asked_for_per_device(kind: str) -> None:
    # Two whole days of the diurnal rate; bursts start in equilibrium.
    counts = [came(section(kind), 3, seed).created_s.size for seed in range(300)]
    estimate = t_interval(counts, 0.999)
    assert estimate.low <= 3 * 10 * 20 <= estimate.high


@pytest.mark.parametrize("duration_s", [0.5, 2.0, 20.0])
def test_bursts_have_the_dispersion_of_a_modulated_poisson_process(duration_s: float) -> None:
    low = 10.0 / (0.2 * 9 + 0.8)
    counts = [
        came(section("bursty", duration=duration_s), seed=seed).created_s.size
        for seed in range(3000)
    ]
    mean = 10 * duration_s
    # The mean is known, so that each squared deviation is an unbiased estimate of the variance.
    estimate = t_interval((np.array(counts) - mean) ** 2 / mean, 0.999)
    assert estimate.low <= mmpp_dispersion((low, 9 * low), (4.0, 1.0), duration_s) <= estimate.high
    assert estimate.low > 1


def test_a_diurnal_rate_follows_its_cosine_through_the_day() -> None:
    workload = section("diurnal", rate=2000.0, diurnal=DIURNAL | {"peak": "3 s"})
    phase_s = came(workload).created_s % 10
    edges_s = np.linspace(0, 10, 21)
    turn = 2 * np.pi / 10
    integral = 2000 * 2 * (edges_s + 0.8 * np.sin(turn * (edges_s - 3)) / turn)
    observed = np.histogram(phase_s, edges_s)[0]
    expected = np.diff(integral) * observed.sum() / np.diff(integral).sum()
    assert chisquare(observed, expected).pvalue > 0.001
    assert np.argmax(observed) in {5, 6}


def test_the_peak_is_a_quarter_into_the_day_where_nobody_says() -> None:
    phase_s = came(section("diurnal", rate=2000.0)).created_s % 10
    near_peak = np.abs(phase_s - 2.5) < 1
    near_trough = np.abs(phase_s - 7.5) < 1
    assert near_peak.sum() > 5 * near_trough.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 150])
def test_where_arrivals_are_cut_into_parts_changes_nothing(
    kind: str, devices: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = came(section(kind), devices)
    monkeypatch.setattr(module, "_PART", size)
    parts = list(arrivals_in_parts(section(kind), devices, Streams(0, 0)))
    assert len(parts) > 1
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert np.array_equal(np.concatenate([part.created_s for part in parts]), whole.created_s)
    assert np.array_equal(np.concatenate([part.device for part in parts]), whole.device)


def test_every_device_creates_as_many_requests_as_every_other() -> None:
    device = came(section("poisson", rate=500.0), 5).device
    assert chisquare(np.bincount(device, minlength=5)).pvalue > 0.001


def test_aligned_devices_all_start_at_zero_and_random_phases_within_the_first_period() -> None:
    aligned = came(section("periodic", 2.0, 3.0), 4)
    assert aligned.created_s[:4].tolist() == [0.0] * 4
    assert aligned.device[:4].tolist() == [0, 1, 2, 3]
    spread = came(section("periodic", 2.0, 3.0, phases="random"), 4)
    for device in range(4):
        own_s = spread.created_s[spread.device == device]
        assert 0 < own_s[0] < 0.5
        np.testing.assert_allclose(np.diff(own_s), 0.5, rtol=1e-12)
        assert own_s.size == 6


def test_jitter_delays_each_frame_by_up_to_itself() -> None:
    workload = section("periodic", 2.0, 500.0, jitter="0.9 s")
    created_s = came(workload).created_s
    assert np.all(np.diff(created_s) >= 0)
    # Frames may overtake each other, so each stays within the jitter of the one of its rank.
    delays_s = created_s - np.arange(created_s.size) / 2
    assert delays_s.min() >= 0
    assert delays_s.max() < 0.9
    estimate = t_interval(delays_s.reshape(-1, 10)[:90].mean(axis=1), 0.999)
    assert estimate.low <= 0.45 <= estimate.high


def test_recorded_requests_come_as_the_file_says_up_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "came.csv").write_text("created_s,device,sample\n0.5,1,7\n2,0,3\n9,1,1\n")
    workload = WorkloadSection(arrivals="replay", file="came.csv", duration="9 s")
    replayed = arrivals(workload, 2, Streams(0, 0), tmp_path)
    assert replayed.created_s.tolist() == [0.5, 2.0]
    assert replayed.device.tolist() == [1, 0]
    assert replayed.sample is not None
    assert replayed.sample.tolist() == [7, 3]
