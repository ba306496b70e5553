import re
from pathlib import Path

import pytest
import yaml

from flexrel_sim.hardware import (
    Device,
    NetworkTraits,
    ProfiledTable,
    layer_time_s,
    list_devices,
    list_radios,
)
from tests.builders import make_layer

SCALES = (1.0, 1e3, 1e6, 1e9, 1e12)


def figures(device: Device) -> dict[str, float]:
    """Every number of a preset that someone must have stated."""
    stated = {
        "compute_flop_per_s": device.compute_flop_per_s,
        "memory_bandwidth_byte_per_s": device.memory_bandwidth_byte_per_s,
        "active_power_w": device.active_power_w,
        "idle_power_w": device.idle_power_w,
    }
    for precision, rate in device.rates.items():
        stated[f"rates.{precision}.dense"] = rate.dense_flop_per_s
        if rate.sparse_flop_per_s:
            stated[f"rates.{precision}.sparse"] = rate.sparse_flop_per_s
    assert None not in stated.values()
    return stated


def written_numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)}


@pytest.mark.parametrize("name", list_devices())
def test_mistake_8_every_figure_of_a_preset_stands_in_a_source_or_an_assumption(name: str) -> None:
    device = list_devices()[name]
    numbers = written_numbers("; ".join([device.source, *device.sources.values()]))
    numbers |= written_numbers(device.assumptions)
    for figure, value in figures(device).items():
        scaled = [value / scale for scale in SCALES]
        found = any(abs(s - n) <= 1e-9 * s for s in scaled for n in numbers)
        assert found, f"{figure} = {value:g} is in no source and no assumption"


@pytest.mark.parametrize("name", list_devices())
def test_efficiency_and_overhead_are_named_as_assumptions_or_sourced(name: str) -> None:
    device = list_devices()[name]
    words = device.assumptions + device.sources.get("efficiency", "")
    assert re.search(r"half of the dense peak|measured", words)
    overhead_us = f"{device.overhead_per_layer_s * 1e6:g} us to"
    assert overhead_us in device.assumptions


@pytest.mark.parametrize("name", list_radios())
def test_every_figure_of_a_radio_stands_in_its_source_or_is_assumed(name: str) -> None:
    radio = list_radios()[name]
    numbers = written_numbers(radio.source)
    mw_per_mbit_per_s = [radio.transmit_j_per_bit * 1e9, radio.receive_j_per_bit * 1e9]
    mw = [radio.active_power_w * 1e3, radio.tail_power_w * 1e3]
    for value in [*mw_per_mbit_per_s, *mw, radio.tail_s]:
        assert value == 0 or any(value == pytest.approx(number) for number in numbers)
    if 0 in (radio.tail_s, radio.idle_power_w):
        assert re.search(r"no tail|no idle|left out", radio.assumptions)


@pytest.mark.parametrize("name", list_devices())
def test_no_preset_takes_a_sparse_rate_for_a_dense_one(name: str) -> None:
    device = list_devices()[name]
    for precision in ("float32", "float16", "int8"):
        rate = device.rate(precision)
        assert rate.sparse_flop_per_s is None or rate.sparse_flop_per_s > rate.dense_flop_per_s


@pytest.mark.parametrize("name", list_devices())
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_unstructured_zeros_gain_nothing_on_any_preset(name: str, precision) -> None:
    device = list_devices()[name]
    traits = NetworkTraits(precision=precision)
    dense, pruned = (make_layer(macs=10**9, nonzero_weights=n) for n in (1000, 10))
    assert layer_time_s(device, pruned, 1, traits) == layer_time_s(device, dense, 1, traits)


@pytest.mark.parametrize("name", list_devices())
def test_an_idle_device_draws_something_and_less_than_a_busy_one(name: str) -> None:
    device = list_devices()[name]
    assert device.idle_power_w is not None
    assert 0 < device.idle_power_w < device.active_power_w


def test_only_the_radio_called_none_is_free() -> None:
    free = [
        name
        for name, radio in list_radios().items()
        if radio.transmit_j_per_bit == radio.receive_j_per_bit == radio.active_power_w == 0
    ]
    assert free == ["none"]


DOC = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
PRESETS = DOC.partition("\n## Presets")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", list_devices())
def test_the_documented_figures_are_the_presets(name: str) -> None:
    device = list_devices()[name]
    (row,) = [line for line in PRESETS.splitlines() if line.startswith(f"| `{name}` |")]
    assert f"| {device.active_power_w:g}, {device.idle_power_w:g} W |" in row
    assert f"| {device.memory_bandwidth_byte_per_s / 1e9:g} GB/s |" in row
    # A row says where idle power is from, or that it is assumed, and so does the preset.
    assert row.endswith("| assumed |") == ("idle_power_w" not in device.sources)
    numbers = written_numbers(row)
    for figure, value in figures(device).items():
        assert any(
            abs(value / scale - number) <= 1e-9 * number for scale in SCALES for number in numbers
        ), figure


def test_the_documented_radios_and_table_are_real() -> None:
    for name, radio in list_radios().items():
        (row,) = [line for line in DOC.splitlines() if line.startswith(f"| `{name}` |")]
        stated = f"{radio.transmit_j_per_bit * 1e9:.6g}, {radio.receive_j_per_bit * 1e9:.6g} |"
        assert f"| {stated}" in row
    example = DOC.partition("```yaml\n")[2].partition("```")[0]
    assert ProfiledTable.model_validate(yaml.safe_load(example)["profiled"]).macs == 1843200
