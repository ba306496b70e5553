"""A calibration pass is paid for where it runs, once, and requests wait for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.hardware import find_device, service_time_s
from flexrel_sim.profile import Calibration, load_profile, save_profile
from flexrel_sim.simulation import Pool, simulate
from tests.builders import built, make_draws, make_profile, make_scenario, make_system

CALIBRATION = Calibration(samples=50, forward_passes=2.0, dense_macs=8000)


def one_request(created_s: float, **changes: object):
    rates = {"uplink_bit_per_s": 8000.0, "downlink_bit_per_s": 8000.0, "delay_s": 0.01}
    system = make_system(**({"server_s": 0.4, "answer_bytes": 1} | rates | changes))
    return simulate(system, make_draws([created_s]), np.array([100]), np.array([True]))


@pytest.mark.parametrize("created_s", [0.0, 1.0, 3.0, 7.5])
def test_the_first_request_waits_on_the_edge_for_what_is_left_of_the_pass(created_s):
    trace = one_request(created_s, calibration_s=3.0, calibration_where="edge")
    assert trace.edge_start_s[0] == max(created_s, 3.0)
    free = one_request(created_s)
    expected = free.sojourn_time_s[0] + max(0.0, 3.0 - created_s)
    assert trace.sojourn_time_s[0] == pytest.approx(expected, abs=1e-12)


def test_a_pass_on_the_server_holds_one_worker():
    alone = one_request(0.0, pool=Pool((0.0, 0.4), held_s=3.0))
    assert alone.server_start_s[0] == 3.0
    two = one_request(0.0, pool=Pool((0.0, 0.4), workers=2, held_s=3.0))
    assert two.server_start_s[0] == two.delivered_s[0]


@pytest.mark.parametrize("where", ["edge", "server"])
def test_time_and_energy_are_the_devices_own(where):
    profile = replace(make_profile(), calibration=CALIBRATION)
    scenario = make_scenario(calibration={"where": where})
    system = built(scenario, profile, Path())
    name = scenario.edge.device if where == "edge" else scenario.server.device
    device = find_device(name, Path())
    # 50 samples, two passes each, of a network that was twice as large before pruning.
    expected_s = 50 * 2 * service_time_s(device, profile.layers) * 8000 / profile.macs
    assert system.calibration_s == pytest.approx(expected_s)
    assert system.calibration_energy_j == pytest.approx(device.active_power_w * expected_s)


def test_offline_charges_nothing():
    profile = replace(make_profile(), calibration=CALIBRATION)
    system = built(make_scenario(), profile, Path())
    assert (system.calibration_s, system.calibration_energy_j) == (0.0, 0.0)


def test_a_profile_keeps_what_it_cost(tmp_path):
    choice = {"delta": 0.2, "normalise": "rank", "form": None, "reached": True}
    choice["tried"] = [{"accuracies": [0.5, 0.4]}]
    profile = replace(make_profile(), calibration=replace(CALIBRATION, choice=choice))
    save_profile(profile, tmp_path / "p")
    assert load_profile(tmp_path / "p").calibration == profile.calibration
    assert CALIBRATION.macs == 800_000
