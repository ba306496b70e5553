from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.hardware import decode_time_s, encode_time_s, find_device
from flexrel_sim.hardware.codec_time import ASSUMED_CLOCK_HZ
from flexrel_sim.hardware.devices import Device
from flexrel_sim.profile import CodecCost

BASE = {
    "description": "one",
    "compute_flop_per_s": 1e9,
    "compute_kind": "peak",
    "precision": "float32",
    "efficiency": 1.0,
    "memory_bandwidth_byte_per_s": 1e9,
    "active_power_w": 1.0,
    "source": "made up",
}
COST = CodecCost("lz4", 3_000_000, 2_000_000, 1_000_000, "lz4")


def device(**changes: object) -> Device:
    return Device.model_validate(BASE | changes)


def test_time_is_traffic_over_bandwidth_and_cycles_over_clock() -> None:
    slow = device(clock_hz=1e9)
    # 3 ms of memory, and 4.5 cycles a byte; 2 ms, and 0.95.
    assert encode_time_s(slow, COST) == pytest.approx(3e-3 + 4.5e-3)
    assert decode_time_s(slow, COST) == pytest.approx(2e-3 + 0.95e-3)


def test_a_device_without_a_clock_is_taken_to_have_the_assumed_one() -> None:
    assert encode_time_s(device(), COST) == encode_time_s(device(clock_hz=ASSUMED_CLOCK_HZ), COST)


def test_nothing_takes_no_time_and_no_compression_takes_memory_only() -> None:
    assert encode_time_s(device(), CodecCost()) == decode_time_s(device(), CodecCost()) == 0
    stored = replace(COST, compressor="none")
    assert encode_time_s(device(), stored) == pytest.approx(3e-3)


def test_a_measured_level_of_zstd_takes_its_cycles_and_higher_levels_take_longer() -> None:
    one = replace(COST, compressor="zstd", level=1, encode_traffic_bytes=0)
    assert encode_time_s(device(clock_hz=1e9), one) == pytest.approx(7.2e-3)
    times = [encode_time_s(device(), replace(one, level=level)) for level in range(1, 23)]
    assert times == sorted(times)
    assert len(set(times)) == 22
    # Between 7 (58 cycles) and 9 (84), the geometric mean.
    eight = encode_time_s(device(clock_hz=1e9), replace(one, level=8))
    assert eight == pytest.approx(1e-3 * (58 * 84) ** 0.5)


@given(
    kind=st.sampled_from(["none", "lz4", "ans", "png", "jpeg", "webp", "webp-lossless"]),
    count=st.integers(0, 10**9),
)
def test_twice_the_bytes_take_twice_as_long(kind: str, count: int) -> None:
    once = CodecCost("", count, count, count, kind)
    twice = CodecCost("", 2 * count, 2 * count, 2 * count, kind)
    for time_s in (encode_time_s, decode_time_s):
        assert time_s(device(), twice) == pytest.approx(2 * time_s(device(), once))


def test_the_clocks_of_presets_are_those_that_they_are_described_with() -> None:
    clocks = {name: find_device(name, Path()).clock_hz for name in ("raspberry-pi-4", "t4")}
    assert clocks == {"raspberry-pi-4": 1.5e9, "t4": None}
