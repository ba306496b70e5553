import numpy as np
import pytest

from flexrel_sim.hardware import battery_life_h, compute_energy
from tests.hardware.test_roofline import make_device


def test_mistake_7_unknown_idle_power_makes_an_unknown_total_not_a_zero() -> None:
    energy = compute_energy(make_device(), 1.0, 10.0)
    assert energy.active_j == [5.0]
    assert np.isnan(energy.idle_j[0])
    assert np.isnan(energy.total_j[0])
    assert np.isnan(battery_life_h(3600.0, energy.total_j / 10.0)[0])


def test_computing_costs_active_power_and_waiting_idle_power() -> None:
    energy = compute_energy(make_device(idle_power_w=2.0), [0.0, 4.0, 10.0], 10.0)
    assert energy.active_j.tolist() == [0.0, 20.0, 50.0]
    assert energy.idle_j.tolist() == [20.0, 12.0, 0.0]
    assert energy.total_j.tolist() == [20.0, 32.0, 50.0]


def test_rounding_in_a_sum_of_service_times_is_no_overtime() -> None:
    energy = compute_energy(make_device(idle_power_w=2.0), 10.0 * (1 + 1e-12), 10.0)
    assert energy.idle_j.tolist() == [0.0]


@pytest.mark.parametrize("busy_s", [-1.0, 10.1, float("nan")])
def test_impossible_busy_times_are_refused(busy_s: float) -> None:
    with pytest.raises(ValueError, match=r"busy_s must be at least 0 and at most run_s"):
        compute_energy(make_device(idle_power_w=2.0), busy_s, 10.0)


def test_a_battery_lasts_its_capacity_over_the_mean_power() -> None:
    # 10 Wh at 2 W and 5 W, and at nothing
    hours = battery_life_h(36_000.0, [2.0, 5.0, 0.0])
    assert hours.tolist() == [5.0, 2.0, np.inf]
    with pytest.raises(ValueError, match="must be at least 0"):
        battery_life_h(1.0, -1.0)
