from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flexrel_sim.hardware import decode_time_s, encode_time_s, list_devices, service_time_s
from flexrel_sim.profile import CodecCost
from flexrel_sim.simulation import System
from tests.builders import built, make_layer, make_profile, make_scenario

CODEC = CodecCost("uint8+zstd", 4_000_000, 2_000_000, 1_000_000, "zstd", 3)


def system_of(profile: Any = None, **sections: Any) -> System:
    return built(make_scenario(**sections), profile or make_profile())


def server(**keys: Any) -> dict[str, Any]:
    return {"server": {"service_time": "100 ms", "codec_time": "0 s"} | keys}


def test_a_table_of_batches_is_taken_as_it_stands_and_interpolated_between() -> None:
    table = {"model": "table", "sizes": [1, 3], "times": ["10 ms", "20 ms"]}
    pool = system_of(**server(batch={"size": 3, "time": table}, service_time=None)).pool
    assert pool.batch_s == pytest.approx((0.0, 0.010, 0.015, 0.020))


def test_a_linear_batch_takes_its_share_per_request_and_per_batch() -> None:
    linear = {"model": "linear", "per_request": "2 ms", "per_batch": "5 ms"}
    pool = system_of(**server(batch={"size": 3, "time": linear}, service_time=None)).pool
    assert pool.batch_s == pytest.approx((0.0, 0.007, 0.009, 0.011))


def test_a_measured_time_stretches_the_roofline_of_batches_to_meet_it() -> None:
    pool = system_of(**server(batch={"size": 4})).pool
    assert len(pool.batch_s) == 5
    assert pool.batch_s[1] == 0.1
    assert list(pool.batch_s) == sorted(pool.batch_s)
    assert pool.batch_s[4] < 4 * 0.1


def test_every_request_of_a_batch_is_decoded() -> None:
    pool = system_of(**server(batch={"size": 2}, codec_time="30 ms")).pool
    without = system_of(**server(batch={"size": 2})).pool
    assert np.subtract(pool.batch_s, without.batch_s) == pytest.approx([0.0, 0.03, 0.06])


def test_a_codec_takes_its_estimate_on_either_device_unless_it_was_measured() -> None:
    profile = replace(make_profile(), codec=CODEC)
    devices = list_devices()
    system = system_of(profile)
    pi, t4 = devices["raspberry-pi-4"], devices["t4"]
    assert system.edge_s == pytest.approx(0.1 + encode_time_s(pi, CODEC))
    assert system.server_s == pytest.approx(0.1 + decode_time_s(t4, CODEC))
    assert encode_time_s(pi, CODEC) > 0
    measured = system_of(profile, edge={"codec_time": "7 ms"}, server={"codec_time": "3 ms"})
    assert (measured.edge_s, measured.server_s) == pytest.approx((0.107, 0.103))


def test_nothing_is_encoded_where_nothing_crosses_the_link() -> None:
    profile = replace(make_profile(layers=(make_layer(),), crosses_link=False), codec=CODEC)
    system = system_of(profile, edge={"codec_time": "7 ms"})
    assert system.edge_s == 0.1
    assert system.server_s == 0.0


def test_labels_say_where_each_service_time_is_from() -> None:
    table = {"model": "table", "sizes": [1], "times": ["10 ms"]}
    assert system_of().labels == {"edge": "given", "server": "given"}
    estimated = system_of(edge={"service_time": None}, server={"service_time": None})
    assert estimated.labels == {"edge": "estimated", "server": "estimated"}
    given = system_of(**server(service_time=None, batch={"size": 1, "time": table}))
    assert given.labels["server"] == "given"
    assert system_of(make_profile(layers=())).labels == {}


def test_an_answer_within_a_time_leaves_the_rest_of_it_for_company() -> None:
    linear = {"model": "linear", "per_request": "2 ms", "per_batch": "5 ms"}
    batch = {"size": 3, "time": linear, "answer_within": "31 ms"}
    assert system_of(**server(batch=batch, service_time=None)).pool.timeout_s == pytest.approx(0.02)
    hasty = system_of(**server(batch=batch | {"answer_within": "1 ms"}, service_time=None))
    assert hasty.pool.timeout_s == 0.0


def test_buffers_failures_and_deadlines_are_the_scenarios() -> None:
    system = system_of(
        edge={"buffer": 3, "count": 2, "battery": "10 J"},
        server={"buffer": 0, "workers": 4, "on_failure": "drop"},
        workload={"deadline": "2 s", "late": "drop"},
    )
    assert (system.edge_buffer, system.devices, system.battery_j) == (3, 2, 10.0)
    assert (system.pool.buffer, system.workers, system.pool.requeue) == (0, 4, False)
    assert (system.deadline_s, system.drop_late) == (2.0, True)
    plain = system_of()
    assert (plain.edge_buffer, plain.pool.buffer, plain.pool.requeue) == (-1, -1, True)
    assert (plain.deadline_s, plain.drop_late, plain.battery_j) == (float("inf"), False, None)


def test_other_tenants_ask_for_a_share_of_all_workers() -> None:
    other = {"rate": "6 /s", "service_time": "200 ms"}
    system = system_of(server={"workers": 4, "background": other})
    assert system.other_load == pytest.approx(6 * 0.2 / 4)
    stage = {stage.name: stage for stage in system.stages(125.0)}["server"]
    assert stage.load(2.0) == pytest.approx(2 * 0.1 / 4 + 0.3)


def test_a_half_duplex_link_is_loaded_by_both_directions() -> None:
    system = system_of(make_profile(answer_bytes=125), link={"medium": "half-duplex"})
    stages = {stage.name: stage for stage in system.stages(250.0)}
    assert stages["uplink"].mean_service_time_s == pytest.approx(0.2 + 0.1)
    assert stages["downlink"].mean_service_time_s == stages["uplink"].mean_service_time_s


def test_a_batching_server_is_loaded_by_full_batches() -> None:
    linear = {"model": "linear", "per_request": "2 ms", "per_batch": "6 ms"}
    system = system_of(**server(batch={"size": 3, "time": linear}, service_time=None))
    stage = {stage.name: stage for stage in system.stages(125.0)}["server"]
    assert stage.mean_service_time_s == pytest.approx(0.012 / 3)


def test_a_network_whose_pass_costs_nothing_calibrates_in_no_time() -> None:
    assert system_of(calibration={"where": "edge"}).calibration_s == 0.0


def test_a_service_time_without_layers_is_the_estimates_own_zero() -> None:
    profile = make_profile(layers=(make_layer(),))
    system = system_of(profile, edge={"service_time": None})
    assert system.server_s == 0.0
    assert system.edge_s == service_time_s(list_devices()["raspberry-pi-4"], profile.head)
