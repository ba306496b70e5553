from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.hardware import (
    Radio,
    RadioEnergy,
    RadioMeter,
    Transfers,
    list_radios,
    radio_energy,
)

PARTS = ("transmit_j", "receive_j", "active_j", "tail_j", "idle_j")
TICK_S = 1 / 64
RADIO = Radio(
    description="a radio of round numbers",
    transmit_j_per_bit=2.0**-20,
    receive_j_per_bit=2.0**-22,
    active_power_w=1.5,
    tail_power_w=0.75,
    tail_s=32 * TICK_S,
    idle_power_w=0.125,
    source="nobody",
)
LTE = list_radios()["lte-2012"]


def transfers(*rows: tuple[float, float, int], device: Any = None) -> Transfers:
    columns = np.array(rows, dtype=float).reshape(-1, 3).T
    devices = None if device is None else np.asarray(device)
    return Transfers(columns[0], columns[1], columns[2].astype(np.int64), devices)


def slowly(
    rows: list[tuple[int, int, int]], end_tick: int, tail_ticks: int
) -> tuple[int, int, int]:
    """Ticks on the air, in the tail and idle, by looking at every tick."""
    on_air = tail = 0
    for tick in range(end_tick):
        if any(start <= tick < end for start, end, _ in rows):
            on_air += 1
        elif any(end <= tick < end + tail_ticks for _, end, _ in rows):
            tail += 1
    return on_air, tail, end_tick - on_air - tail


ROWS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 40), st.integers(0, 10**6)), max_size=12
)


def as_rows(drawn: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    return sorted((start, start + length, size) for start, length, size in drawn)


def in_seconds(rows: list[tuple[int, int, int]], device: Any = None) -> Transfers:
    return transfers(*((s * TICK_S, e * TICK_S, b) for s, e, b in rows), device=device)


@given(ROWS, ROWS, st.integers(240, 400))
def test_states_are_what_one_sees_at_every_tick(sent, received, end_tick: int) -> None:
    up, down = as_rows(sent), as_rows(received)
    energy = radio_energy(RADIO, in_seconds(up), in_seconds(down), end_tick * TICK_S)
    active, tail, idle = slowly(up + down, end_tick, 32)
    assert energy.active_s[0] == active * TICK_S
    assert energy.tail_s[0] == tail * TICK_S
    assert energy.idle_s[0] == idle * TICK_S
    assert energy.transmit_j[0] == 8 * sum(b for _, _, b in up) * RADIO.transmit_j_per_bit
    assert energy.receive_j[0] == 8 * sum(b for _, _, b in down) * RADIO.receive_j_per_bit
    assert energy.active_j[0] == 1.5 * energy.active_s[0]
    assert energy.tail_j[0] == 0.75 * energy.tail_s[0]
    assert energy.idle_j[0] == 0.125 * energy.idle_s[0]


@given(ROWS, ROWS)
def test_parts_add_up_to_the_total_and_states_to_the_run(sent, received) -> None:
    energy = radio_energy(LTE, in_seconds(as_rows(sent)), in_seconds(as_rows(received)), 6.5)
    parts_j = [getattr(energy, part) for part in PARTS]
    assert energy.total_j == pytest.approx(sum(parts_j), rel=1e-15)
    states_s = energy.active_s + energy.tail_s + energy.idle_s
    assert states_s == pytest.approx(6.5, rel=1e-12)
    assert all(np.all(part >= 0) for part in parts_j)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    count = draw(st.integers(1, 30))
    floats = st.floats(0, 100)
    start_s = np.sort(draw(st.lists(floats, min_size=count, max_size=count, unique=True)))
    length_s = np.array(draw(st.lists(st.floats(0, 20), min_size=count, max_size=count)))
    sizes = np.array(draw(st.lists(st.integers(0, 10**9), min_size=count, max_size=count)))
    device = np.array(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    return start_s, start_s + length_s, sizes, device, draw(st.integers(0, count))


def same_bits(first: RadioEnergy, second: RadioEnergy) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


@given(fleets(), st.integers(1, 7))
def test_chunks_change_no_bit_of_the_result(fleet, chunk: int) -> None:
    start_s, end_s, sizes, device, _ = fleet
    whole = radio_energy(LTE, Transfers(start_s, end_s, sizes, device), None, 200.0, devices=4)
    meter = RadioMeter(LTE, 4)
    for at in range(0, start_s.size, chunk):
        part = slice(at, at + chunk)
        meter.add(Transfers(start_s[part], end_s[part], sizes[part], device[part]))
    assert same_bits(meter.finish(200.0), whole)


@given(fleets())
def test_a_fleet_is_its_devices_one_by_one(fleet) -> None:
    start_s, end_s, sizes, device, cut = fleet
    sent, received = slice(None, cut), slice(cut, None)
    both = [Transfers(start_s[s], end_s[s], sizes[s], device[s]) for s in (sent, received)]
    together = radio_energy(LTE, *both, 200.0, devices=4)
    for index in range(4):
        alone = []
        for s in (sent, received):
            own = device[s] == index
            alone.append(Transfers(start_s[s][own], end_s[s][own], sizes[s][own]))
        energy = radio_energy(LTE, *alone, 200.0)
        for part in PARTS:
            assert getattr(energy, part)[0] == getattr(together, part)[index]


def test_the_tail_is_charged_once_per_burst_not_per_transfer() -> None:
    burst = transfers(*((0.1 * i, 0.1 * i + 0.05, 1000) for i in range(10)))
    energy = radio_energy(LTE, burst, None, 100.0)
    # Nine gaps of 0.05 s and one whole tail.
    assert energy.tail_s == pytest.approx(9 * 0.05 + 11.6)
    assert energy.tail_j == pytest.approx(1.060 * (9 * 0.05 + 11.6))


def test_a_radio_that_sends_and_receives_at_once_is_on_once() -> None:
    energy = radio_energy(LTE, transfers((1, 3, 10)), transfers((2, 4, 10)), 4.0)
    assert energy.active_s == pytest.approx(3.0)


def test_a_radio_that_was_never_used_has_no_tail() -> None:
    energy = radio_energy(RADIO, None, None, 8.0, devices=2)
    assert energy.idle_s.tolist() == [8.0, 8.0]
    assert energy.total_j.tolist() == [1.0, 1.0]


def test_a_tail_is_cut_where_the_run_ends_and_a_later_start_of_the_run_counts_less() -> None:
    energy = radio_energy(LTE, transfers((10, 11, 0)), None, 13.0, start_s=9.0)
    assert (energy.active_s[0], energy.tail_s[0], energy.idle_s[0]) == (1.0, 2.0, 1.0)


def test_mistake_7_a_radio_that_carries_anything_costs_energy_unless_it_is_none() -> None:
    for name, radio in list_radios().items():
        total_j = radio_energy(radio, transfers((0, 1, 1)), transfers((1, 2, 1)), 3.0).total_j[0]
        assert (total_j == 0) == (name == "none")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (transfers((2, 1, 1)), "ends before it starts"),
        (transfers((0, np.inf, 1)), "must be finite"),
        (transfers((np.nan, 1, 1)), "must be finite"),
        (transfers((0, 1, -1)), "less than nothing"),
        (transfers((0, 1, 1), device=[1]), "device must be from 0 to 0"),
        (transfers((0, 1, 1), device=[-1]), "device must be from 0 to 0"),
        (transfers((0, 1, 1), device=[0, 0]), "differ in shape"),
        (transfers((-1, 1, 1)), "starts before one that was added earlier"),
    ],
)
def test_impossible_transfers_are_refused(wrong: Transfers, match: str) -> None:
    with pytest.raises(ValueError, match=f"receive: .*{match}"):
        radio_energy(LTE, None, wrong, 10.0)


def test_chunks_out_of_order_and_a_run_that_ends_too_early_are_refused() -> None:
    meter = RadioMeter(LTE)
    meter.add(transfers((5, 6, 1)))
    with pytest.raises(ValueError, match="starts before one that was added earlier"):
        meter.add(transfers((4, 7, 1)))
    with pytest.raises(ValueError, match=r"the run ends at 5\.5 s, and a transfer at 6\.0 s"):
        meter.finish(5.5)


def test_a_refused_chunk_leaves_no_trace() -> None:
    meter = RadioMeter(LTE)
    with pytest.raises(ValueError, match="receive"):
        meter.add(transfers((0, 1, 1000)), transfers((2, 1, 1)))
    assert meter.finish(10.0).total_j[0] == 0


@given(fleets())
def test_fleets_of_more_devices_than_16_bits_number_are_ordered_the_same(fleet) -> None:
    start_s, end_s, sizes, device, _ = fleet
    few = radio_energy(LTE, Transfers(start_s, end_s, sizes, device), None, 200.0, devices=4)
    far = device + 70_000
    many = radio_energy(LTE, Transfers(start_s, end_s, sizes, far), None, 200.0, devices=70_004)
    assert np.array_equal(many.total_j[70_000:], few.total_j)
