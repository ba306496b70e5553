from pathlib import Path
from typing import Any

import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import Device, NetworkTraits, find_device, layer_times, service_time_s
from flexrel_sim.profile import Profile
from tests.builders import make_layer, make_profile, write_yaml
from tests.hardware.test_devices import DEVICE

PROFILE = make_profile(
    layers=(
        make_layer(name="conv1", kind="conv2d", output_shape=(16, 28, 28)),
        make_layer(name="relu1", kind="relu", output_shape=(16, 28, 28)),
        make_layer(name="fc1"),
        make_layer(name="fc2", side="tail"),
    )
)
LAYERS = PROFILE.layers
TABLE = {"network": "net", "layers": {"conv1": 0.5, "fc1": 0.25, "fc2": 2.0}, "source": "us"}
TRAITS = NetworkTraits.of(PROFILE)


def device(**table: Any) -> Device:
    return Device.model_validate(DEVICE | {"profiled": TABLE | table})


def load(folder: Path, profile: Profile | None, side: Any = None, **table: Any) -> Device:
    text = yaml.safe_dump(DEVICE | {"profiled": TABLE | table}, sort_keys=False)
    write_yaml(folder, text, "board.yaml")
    return find_device("board.yaml", folder, profile, side)


def test_measured_times_beat_the_roofline_and_fused_layers_stay_free() -> None:
    times = layer_times(device(), LAYERS, 1, TRAITS)
    assert times.times_s == (0.5, 0.0, 0.25, 2.0)
    assert times.labels == ("profiled",) * 4
    assert times.label == "profiled"
    assert service_time_s(device(), LAYERS, 1, TRAITS) == times.total_s == 2.75


def test_without_a_table_all_is_estimated() -> None:
    times = layer_times(Device.model_validate(DEVICE), LAYERS, 1, TRAITS)
    assert set(times.labels) == {"estimated"}
    assert times.label == "estimated"
    assert layer_times(device(), (), 1, TRAITS).label == "estimated"


@pytest.mark.parametrize(
    "traits", [NetworkTraits(), NetworkTraits("other"), NetworkTraits("net", 7)]
)
def test_a_table_of_another_network_does_not_apply(traits: NetworkTraits) -> None:
    table = device(macs=PROFILE.macs)
    bare = Device.model_validate(DEVICE)
    assert layer_times(table, LAYERS, 1, traits) == layer_times(bare, LAYERS, 1, traits)


def test_shapes_apply_to_any_network_and_one_estimate_makes_the_sum_one() -> None:
    table = device(network=None, layers={}, shapes={"conv2d 16x28x28": 0.125})
    times = layer_times(table, LAYERS, 1, NetworkTraits("other"))
    assert times.times_s[0] == 0.125
    assert times.labels == ("profiled", "profiled", "estimated", "estimated")
    assert times.label == "estimated"


def test_a_batch_scales_a_measured_time_as_the_roofline_does_and_is_estimated() -> None:
    bare = Device.model_validate(DEVICE)
    one, eight = (layer_times(bare, LAYERS, batch, TRAITS).times_s[0] for batch in (1, 8))
    times = layer_times(device(), LAYERS, 8, TRAITS)
    assert times.times_s[0] == pytest.approx(0.5 * eight / one)
    assert times.label == "estimated"


def test_all_faults_of_a_table_are_told_at_once_on_their_lines(tmp_path: Path) -> None:
    layers = {"conv1": -1.0, "fc1": float("nan"), "fc9": 1.0, "conv9": 1.0}
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, PROFILE, layers=layers)
    faults = {fault.path: fault for fault in caught.value.faults}
    assert set(faults) == {f"profiled.layers.{name}" for name in (*layers, "fc2")}
    file = tmp_path / "board.yaml"
    first = file.read_text().splitlines().index("    conv1: -1.0") + 1
    places = [faults[f"profiled.layers.{name}"].place for name in layers]
    assert places == [f"{file}:{first + index}" for index in range(4)]
    assert "greater than or equal to 0" in str(faults["profiled.layers.conv1"])
    assert "finite" in str(faults["profiled.layers.fc1"])
    assert "is no layer of net; did you mean 'fc" in str(faults["profiled.layers.fc9"])
    assert "has no time for a layer of net that runs here" in str(faults["profiled.layers.fc2"])


def test_only_the_half_that_runs_here_needs_times(tmp_path: Path) -> None:
    head_only = {"conv1": 0.5, "fc1": 0.25}
    assert load(tmp_path, PROFILE, "head", layers=head_only).profiled is not None
    with pytest.raises(ScenarioError, match=r"profiled\.layers\.fc2: has no time"):
        load(tmp_path, PROFILE, "tail", layers=head_only)
    shapes = {"linear 10": 0.1}
    assert load(tmp_path, PROFILE, "tail", layers=head_only, shapes=shapes).profiled is not None


@pytest.mark.parametrize("changes", [{"network": "other"}, {"macs": 1}, {"layers": {}}])
def test_a_table_of_another_network_is_not_held_against_this_one(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert load(tmp_path, PROFILE, layers=changes.pop("layers", {"x": 1.0}), **changes).profiled


def test_layers_need_the_name_of_their_network(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"profiled\.network: is required where 'layers'"):
        load(tmp_path, None, network=None)


@pytest.mark.parametrize("wrong", [{"layers": [1]}, {"shapes": 3}])
def test_a_table_of_the_wrong_form_is_refused_with_a_profile_too(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError, match=r"profiled\.\w+: must be a mapping"):
        load(tmp_path, PROFILE, **wrong)


def test_a_profiled_section_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    write_yaml(tmp_path, yaml.safe_dump(DEVICE | {"profiled": 3}), "board.yaml")
    with pytest.raises(ScenarioError, match=r"profiled: must be a mapping"):
        find_device("board.yaml", tmp_path, PROFILE)


def test_a_right_file_without_a_table_loads_with_a_profile(tmp_path: Path) -> None:
    write_yaml(tmp_path, yaml.safe_dump(DEVICE), "board.yaml")
    assert find_device("board.yaml", tmp_path, PROFILE) == Device.model_validate(DEVICE)


def test_traits_carry_the_pattern_of_the_pruning() -> None:
    pruned = make_profile(operating_point={"pruning": {"pattern": "2:4"}})
    assert NetworkTraits.of(pruned).pattern == "2:4"
    assert (TRAITS.network, TRAITS.macs) == ("net", PROFILE.macs)
    assert (TRAITS.pattern, TRAITS.precision) == ("none", "float32")
