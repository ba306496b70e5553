from pathlib import Path

import numpy as np
import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.hardware import find_radio, list_radios, transfer_energy_j
from tests.builders import write_yaml

LTE = list_radios()["lte-2012"]


@pytest.mark.parametrize("name", list_radios())
def test_a_radio_preset_is_found_by_name(name: str, tmp_path: Path) -> None:
    assert find_radio(name, tmp_path) == list_radios()[name]


def test_a_radio_file_is_read_and_its_faults_are_on_their_lines(tmp_path: Path) -> None:
    data = LTE.model_dump()
    write_yaml(tmp_path, yaml.safe_dump(data, sort_keys=False), "mine.yaml")
    assert find_radio("mine.yaml", tmp_path) == LTE
    write_yaml(tmp_path, yaml.safe_dump(data | {"tail_s": -1}, sort_keys=False), "mine.yaml")
    with pytest.raises(ScenarioError, match=r"mine\.yaml:6: tail_s: must be greater than or equal"):
        find_radio("mine.yaml", tmp_path)


def test_an_unknown_radio_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"did you mean 'lte-2012'\? known: lte-2012, none, wifi"):
        find_radio("lte", tmp_path)


def test_power_on_the_air_is_linear_in_throughput_as_in_huang() -> None:
    # 10 Mbit/s up for 2 s: (438.39 * 10 + 1288) mW * 2 s
    energy_j = transfer_energy_j(LTE, [2.5e6], [2.0], "transmit")
    assert energy_j == pytest.approx([(4.3839 + 1.288) * 2], rel=1e-12)
    energy_j = transfer_energy_j(LTE, [2.5e6], [2.0], "receive")
    assert energy_j == pytest.approx([(0.5197 + 1.288) * 2], rel=1e-12)


def test_bits_and_bytes_are_not_confused() -> None:
    one_megabit_j = transfer_energy_j(LTE, 125_000, 0.0, "transmit")
    assert one_megabit_j == pytest.approx(0.43839, rel=1e-12)


def test_transfers_cost_one_by_one_in_their_shape() -> None:
    payloads, durations_s = np.array([[1, 2], [3, 4]]) * 1000, np.full((2, 2), 0.5)
    energy_j = transfer_energy_j(LTE, payloads, durations_s, "transmit")
    assert energy_j.shape == (2, 2)
    assert energy_j[1, 1] == transfer_energy_j(LTE, 4000, 0.5, "transmit")
