from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flexrel_sim.hardware import Radio, Transfers, radio_energy
from flexrel_sim.simulation import System
from flexrel_sim.simulation.draws import Windows
from flexrel_sim.simulation.energy import EnergyAccount
from tests.builders import make_draws, make_system, make_trace

RADIO = Radio(
    description="round numbers",
    transmit_j_per_bit=1e-3,
    receive_j_per_bit=5e-4,
    active_power_w=2.0,
    tail_power_w=1.0,
    tail_s=3.0,
    idle_power_w=0.25,
    source="this test",
)


def system_of(**changes: object) -> System:
    given = {"edge_s": 0.5, "server_s": 0.0, "delay_s": 0.0, "edge_power_w": 8.0, "radio": RADIO}
    return make_system(**(given | {"edge_idle_power_w": 2.0, "answer_bytes": 125} | changes))


def values_of(system: System, created_s: list[float], run_s: float, **draws: object):
    account = EnergyAccount(system)
    account.add(make_trace(system, make_draws(created_s, **draws)))
    return account.values(run_s)


def test_one_request_costs_what_it_does_by_hand() -> None:
    # Computing 0.5 s, sending 1 s, receiving 1 s, a tail of 3 s; the radio idles 0.5 s and 14.5 s.
    values = values_of(system_of(), [0.0], 20.0)
    assert values["edge_compute_energy_j"] == 4.0
    assert values["edge_idle_energy_j"] == 2.0 * 19.5
    assert values["edge_radio_energy_j"] == pytest.approx(1.0 + 0.5 + 4.0 + 3.0 + 0.25 * 15)
    parts = values["edge_compute_energy_j"] + values["edge_idle_energy_j"]
    assert values["edge_energy_j"] == parts + values["edge_radio_energy_j"]


def test_all_devices_idle_and_all_their_energy_is_shared_by_the_requests() -> None:
    values = values_of(system_of(devices=3), [0.0, 10.0], 20.0)
    assert values["edge_idle_energy_j"] == 2.0 * (3 * 20.0 - 1.0) / 2


def test_a_battery_lasts_its_energy_over_the_mean_power_of_a_device() -> None:
    values = values_of(system_of(devices=2, battery_j=7200.0), [0.0], 20.0)
    power_w = values["edge_energy_j"] / 20.0 / 2
    assert values["battery_life_h"] == pytest.approx(2.0 / power_w)


def test_what_the_device_file_does_not_tell_is_absent() -> None:
    values = values_of(system_of(edge_idle_power_w=None, battery_j=7200.0), [0.0], 20.0)
    assert set(values) == {"edge_compute_energy_j", "edge_radio_energy_j"}


def test_the_account_goes_on_until_the_last_request_has_ended() -> None:
    long = values_of(system_of(), [0.0], 1.0)
    # 0.5 s on the edge, and one second each way.
    assert long["edge_idle_energy_j"] == 2.0 * (2.5 - 0.5)


def test_what_a_crash_cut_short_was_computed_until_then() -> None:
    crash = Windows(np.array([0, 1]), np.array([0.25]), np.array([5.0]))
    values = values_of(system_of(), [0.0, 9.0], 20.0, edge_down=crash)
    assert values["edge_compute_energy_j"] == 8.0 * (0.25 + 0.5) / 2


def test_a_request_that_stays_on_the_edge_uses_no_radio_but_its_idle_power_is_the_radios() -> None:
    values = values_of(system_of(crosses_link=False), [0.0], 20.0)
    assert values["edge_radio_energy_j"] == 0.25 * 20.0


def test_a_trace_in_parts_costs_the_same_radio() -> None:
    system = system_of()
    trace = make_trace(system, make_draws([0.0, 8.0, 16.0]))
    whole, parts = EnergyAccount(system), EnergyAccount(system)
    whole.add(trace)
    for part in ([0, 1], [2], []):
        parts.add(trace.taken(np.array(part, dtype=np.int64)))
    assert parts.values(30.0) == whole.values(30.0)


def test_the_radio_is_that_of_the_hardware_half() -> None:
    system = system_of(devices=2)
    draws = make_draws([0.0, 0.25, 6.0], device=np.array([0, 1, 0], np.int32))
    trace = make_trace(system, draws)
    sent, heard = (
        Transfers(
            getattr(trace, f"{name}_start_s"),
            getattr(trace, f"{name}_end_s"),
            getattr(trace, f"{name}_bytes"),
            trace.device.astype(np.int64),
        )
        for name in ("uplink", "downlink")
    )
    expected_j = radio_energy(RADIO, sent, heard, 30.0, devices=2).total_j.sum()
    account = EnergyAccount(system)
    account.add(trace)
    assert account.values(30.0)["edge_radio_energy_j"] * 3 == pytest.approx(expected_j, rel=1e-12)


def test_a_silent_radio_costs_nothing_by_name() -> None:
    silent = replace(system_of(), radio=make_system().radio)
    assert values_of(silent, [0.0], 20.0)["edge_radio_energy_j"] == 0.0


def test_a_request_costs_its_own_computing_and_its_bytes_on_the_air() -> None:
    # 0.5 s of computing; a second and 1000 bits each way; neither idle time nor the tail.
    trace = make_trace(system_of(), make_draws([0.0, 50.0]))
    assert trace.energy_j.tolist() == pytest.approx([4.0 + (1.0 + 2.0) + (0.5 + 2.0)] * 2)


def test_what_requests_cost_adds_up_to_the_account_but_for_idle_time_and_tails() -> None:
    system = system_of()
    trace = make_trace(system, make_draws(np.arange(8) * 20.0))
    account = EnergyAccount(system)
    account.add(trace)
    values = account.values(0.0)
    tails_j = 1.0 * 3.0 * 7  # the run ends as the last answer comes
    idle_j = 0.25 * (7 * 20.0 + 2.5 - 8 * 2.0 - 7 * 3.0)
    radio_j = 8 * values["edge_radio_energy_j"] - tails_j - idle_j
    assert trace.energy_j.sum() == pytest.approx(8 * values["edge_compute_energy_j"] + radio_j)


def test_a_request_that_a_crash_found_computing_cost_what_was_computed() -> None:
    down = Windows(np.array([0, 1]), np.array([0.2]), np.array([1.0]))
    trace = make_trace(system_of(), make_draws([0.0], edge_down=down))
    assert trace.energy_j.tolist() == pytest.approx([8.0 * 0.2])
