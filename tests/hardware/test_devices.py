from pathlib import Path
from typing import Any

import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import Device, find_device, list_devices
from tests.builders import write_yaml

DEVICE = {
    "description": "a board",
    "compute_flop_per_s": 1e9,
    "compute_kind": "peak",
    "precision": "float32",
    "efficiency": 0.5,
    "memory_bandwidth_byte_per_s": 1e9,
    "active_power_w": 5.0,
    "source": "its data sheet",
}


def device_file(folder: Path, **changes: Any) -> Path:
    text = yaml.safe_dump(DEVICE | changes, sort_keys=False)
    return write_yaml(folder, text, "board.yaml")


@pytest.mark.parametrize("name", list_devices())
def test_a_preset_is_found_by_name_wherever_one_stands(name: str, tmp_path: Path) -> None:
    assert find_device(name, tmp_path) == list_devices()[name]


def test_the_list_of_presets_is_a_copy() -> None:
    list_devices().clear()
    assert list_devices()


def test_a_device_file_is_found_beside_the_scenario(tmp_path: Path) -> None:
    device_file(tmp_path)
    assert find_device("board.yaml", tmp_path) == Device.model_validate(DEVICE)


def test_a_device_file_is_found_by_its_whole_path(tmp_path: Path) -> None:
    file = device_file(tmp_path)
    assert find_device(str(file), Path("/nowhere")) == Device.model_validate(DEVICE)


def test_a_device_file_gets_defaults_for_what_it_leaves_out(tmp_path: Path) -> None:
    device_file(tmp_path)
    device = find_device("board.yaml", tmp_path)
    assert (device.overhead_per_layer_s, device.sparse_kernels) == (0.0, None)


def test_an_unknown_device_is_answered_with_the_nearest_and_all_presets(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"did you mean 'raspberry-pi-\d'\? known: a100, h100, "):
        find_device("raspberry-pi", tmp_path)


@pytest.mark.parametrize("name", ["gone.yaml", "", ".", "board.txt"])
def test_what_is_no_preset_and_no_yaml_file_is_refused(name: str, tmp_path: Path) -> None:
    write_yaml(tmp_path, yaml.safe_dump(DEVICE), "board.txt")
    with pytest.raises(LookupError, match=r"known: .*, or the path of a device's \.yaml file$"):
        find_device(name, tmp_path)


def test_every_fault_of_a_device_file_is_shown_on_its_line(tmp_path: Path) -> None:
    file = device_file(tmp_path, compute_kind="peek", efficiency=1.5, source="", powre=3)
    with pytest.raises(ScenarioError, match="board") as caught:
        find_device("board.yaml", tmp_path)
    beginnings = [
        f"{file}:3: compute_kind: must be 'measured' or 'peak', got 'peek'; did you mean 'peak'?",
        f"{file}:5: efficiency: must be less than or equal to 1, got 1.5; ",
        f"{file}:8: source: must have at least 1 character, got ''; ",
        f"{file}:9: powre: unknown key; did you mean '",
    ]
    lines = str(caught.value).splitlines()
    assert len(lines) == len(beginnings)
    assert all(line.startswith(start) for line, start in zip(lines, beginnings, strict=True))


def test_a_misspelt_key_of_an_optional_section_is_answered_with_the_nearest(tmp_path: Path) -> None:
    device_file(tmp_path, sparse_kernels={"max_density": 0.5, "efficency": 0.5})
    with pytest.raises(ScenarioError, match=r"unknown key; did you mean 'efficiency'\?"):
        find_device("board.yaml", tmp_path)


def test_a_missing_key_of_an_optional_section_is_described(tmp_path: Path) -> None:
    device_file(tmp_path, sparse_kernels={"max_density": 0.5})
    with pytest.raises(
        ScenarioError, match=r":9: sparse_kernels\.efficiency: is required; add it: Its speed per"
    ):
        find_device("board.yaml", tmp_path)


@pytest.mark.parametrize(
    "key",
    ["compute_flop_per_s", "memory_bandwidth_byte_per_s", "efficiency", "active_power_w"],
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1e9"])
def test_a_rate_or_power_that_is_not_positive_and_finite_is_refused(
    key: str, value: object, tmp_path: Path
) -> None:
    device_file(tmp_path, **{key: value})
    with pytest.raises(ScenarioError, match=rf"{key}: must be "):
        find_device("board.yaml", tmp_path)


@pytest.mark.parametrize("key", DEVICE)
def test_nothing_that_a_device_needs_may_be_left_out(key: str, tmp_path: Path) -> None:
    write_yaml(tmp_path, yaml.safe_dump({k: v for k, v in DEVICE.items() if k != key}), "board.yml")
    with pytest.raises(ScenarioError, match=rf"{key}: is required; add it: "):
        find_device("board.yml", tmp_path)


def test_sources_of_keys_that_a_device_has_not_are_refused_together(tmp_path: Path) -> None:
    device_file(tmp_path, sources={"idle_power": "me", "efficiency": "me", "bandwidth": "me"})
    with pytest.raises(
        ScenarioError,
        match=r":9: sources: must name keys of the device.*'idle_power': did you mean"
        r" 'idle_power_w'\?.*'bandwidth': did you mean 'memory_bandwidth_byte_per_s'",
    ):
        find_device("board.yaml", tmp_path)


def test_a_number_format_has_one_rate(tmp_path: Path) -> None:
    rates = {"float32": {"dense_flop_per_s": 1.0, "kind": "peak"}}
    file = device_file(tmp_path, rates=rates)
    with pytest.raises(ScenarioError) as caught:
        find_device("board.yaml", tmp_path)
    assert str(caught.value).startswith(f"{file}:10: rates.float32: repeats the format")


def test_a_format_without_a_rate_of_its_own_runs_at_the_stated_one() -> None:
    device = Device.model_validate(DEVICE | {"sparse_flop_per_s": 1.5e9})
    assert device.rate("float32").sparse_flop_per_s == 1.5e9
    assert device.rate("float16").dense_flop_per_s == 1e9
    # The sparse rate is stated for one format only.
    assert device.rate("float16").sparse_flop_per_s is None


def test_the_idle_power_of_an_old_device_file_is_unknown_not_zero() -> None:
    assert Device.model_validate(DEVICE).idle_power_w is None
