"""Energy of radios: on the air, tail and idle as a fold over transfers.

The parts add up to the total, and the times in each state to the run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.hardware.radio import Radio

__all__ = ["RadioEnergy", "RadioMeter", "Transfers", "radio_energy"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Transfers:
    """Transfers of one direction, in any order; arrays of one shape.

    Parameters
    ----------
    start_s, end_s
        When each is on the air.
    payload_bytes
        How much it carries.
    device
        Index of its device; absent where there is one device only.
    """

    start_s: Floats
    end_s: Floats
    payload_bytes: Integers
    device: Integers | None = None


@dataclass(frozen=True)
class RadioEnergy:
    """Energy of radios by part, and the times that it follows from, one entry per device.

    Parameters
    ----------
    transmit_j, receive_j
        For the bits that were sent and received.
    active_j
        For being on the air, whatever the rate.
    tail_j
        For staying awake after bursts.
    idle_j
        For the rest of the run.
    active_s, tail_s, idle_s
        Time in each state; they add up to the run.
    """

    transmit_j: Floats
    receive_j: Floats
    active_j: Floats
    tail_j: Floats
    idle_j: Floats
    active_s: Floats
    tail_s: Floats
    idle_s: Floats

    @property
    def total_j(self) -> Floats:
        """Sum of the parts."""
        return self.transmit_j + self.receive_j + self.active_j + self.tail_j + self.idle_j


class RadioMeter:
    """Radio states of a fleet, chunk by chunk, in memory that grows with devices only.

    Chunks come in order of time: no transfer may start before one of the same device in an earlier
    chunk. How a run is cut into chunks changes no bit of the result, unless it parts transfers that
    start at the same instant, which then may round differently.

    Parameters
    ----------
    radio
        What every device has.
    devices
        How many there are.
    start_s
        When the run starts, with idle radios.
    """

    def __init__(self, radio: Radio, devices: int = 1, start_s: float = 0.0) -> None:
        self._radio = radio
        self._latest_start_s = np.full(devices, start_s)
        self._on_air_until_s = np.full(devices, start_s)
        self._used = np.zeros(devices, dtype=np.bool_)
        self._bytes = {name: np.zeros(devices, dtype=np.int64) for name in ("transmit", "receive")}
        self._active_s, self._tail_s, self._idle_s = (np.zeros(devices) for _ in range(3))

    def add(self, transmit: Transfers | None = None, receive: Transfers | None = None) -> None:
        """Account for the next chunk of transfers.

        Parameters
        ----------
        transmit, receive
            Transfers of each direction; both may be on the air at once, and the radio is then on
            once.

        Raises
        ------
        ValueError
            If a time is not finite, a transfer ends before it starts or carries less than nothing,
            or it starts before one of an earlier chunk.
        """
        given = {
            name: (transfers, self._checked_devices(name, transfers))
            for name, transfers in (("transmit", transmit), ("receive", receive))
            if transfers is not None and transfers.start_s.size
        }
        if not given:
            return
        for name, (transfers, device) in given.items():
            np.add.at(self._bytes[name], device, transfers.payload_bytes)
        self._advance(
            np.concatenate([device for _, device in given.values()]),
            np.concatenate([transfers.start_s for transfers, _ in given.values()]),
            np.concatenate([transfers.end_s for transfers, _ in given.values()]),
        )

    def finish(self, end_s: float) -> RadioEnergy:
        """Close the run and give its energy; the meter itself can still go on.

        Parameters
        ----------
        end_s
            When the run ends; a tail that has not ended by then is counted up to it.

        Returns
        -------
        RadioEnergy
            By part and device.

        Raises
        ------
        ValueError
            If a transfer ends after the run.
        """
        gap_s = end_s - self._on_air_until_s
        if not np.all(gap_s >= 0):
            last_s = float(self._on_air_until_s.max())
            raise ValueError(f"the run ends at {end_s} s, and a transfer at {last_s} s")
        last_tail_s = np.where(self._used, np.minimum(gap_s, self._radio.tail_s), 0.0)
        tail_s = self._tail_s + last_tail_s
        idle_s = self._idle_s + (gap_s - last_tail_s)
        radio = self._radio
        return RadioEnergy(
            transmit_j=radio.transmit_j_per_bit * _bits(self._bytes["transmit"]),
            receive_j=radio.receive_j_per_bit * _bits(self._bytes["receive"]),
            active_j=radio.active_power_w * self._active_s,
            tail_j=radio.tail_power_w * tail_s,
            idle_j=radio.idle_power_w * idle_s,
            active_s=self._active_s.copy(),
            tail_s=tail_s,
            idle_s=idle_s,
        )

    def _checked_devices(self, name: str, transfers: Transfers) -> Integers:
        start_s, end_s = transfers.start_s, transfers.end_s
        device = transfers.device
        if device is None:
            device = np.zeros(start_s.size, dtype=np.int64)
        if not (start_s.shape == end_s.shape == device.shape == transfers.payload_bytes.shape):
            raise ValueError(f"{name}: start_s, end_s, payload_bytes and device differ in shape")
        if device.min() < 0 or device.max() >= self._used.size:
            raise ValueError(f"{name}: device must be from 0 to {self._used.size - 1}")
        if not (np.isfinite(start_s).all() and np.isfinite(end_s).all()):
            raise ValueError(f"{name}: times must be finite")
        if np.any(end_s < start_s):
            raise ValueError(f"{name}: a transfer ends before it starts")
        if np.any(transfers.payload_bytes < 0):
            raise ValueError(f"{name}: a transfer carries less than nothing")
        if np.any(start_s < self._latest_start_s[device]):
            raise ValueError(f"{name}: a transfer starts before one that was added earlier")
        return device

    def _advance(self, device: Integers, start_s: Floats, end_s: Floats) -> None:
        order = _by_device_and_start(device, start_s)
        device, start_s, end_s = device[order], start_s[order], end_s[order]
        until_s = np.maximum(_running_max_before(device, end_s), self._on_air_until_s[device])
        first = np.r_[True, device[1:] != device[:-1]]
        had_burst = ~first | self._used[device]
        gap_s = np.maximum(start_s - until_s, 0.0)
        tail_s = np.where(had_burst, np.minimum(gap_s, self._radio.tail_s), 0.0)
        # `add.at` adds one by one in order, so that the rounding does not depend on the chunks.
        np.add.at(self._tail_s, device, tail_s)
        np.add.at(self._idle_s, device, gap_s - tail_s)
        np.add.at(self._active_s, device, np.maximum(end_s - np.maximum(start_s, until_s), 0.0))
        last = np.r_[first[1:], True]
        self._on_air_until_s[device[last]] = np.maximum(until_s, end_s)[last]
        self._latest_start_s[device[last]] = start_s[last]
        self._used[device[last]] = True


def radio_energy(
    radio: Radio,
    transmit: Transfers | None,
    receive: Transfers | None,
    end_s: float,
    *,
    start_s: float = 0.0,
    devices: int = 1,
) -> RadioEnergy:
    """Give the radio energy of a whole run, as `RadioMeter` does of one in chunks.

    Parameters
    ----------
    radio
        What every device has.
    transmit, receive
        Transfers of each direction; absent where there are none.
    end_s, start_s
        The run.
    devices
        How many there are.

    Returns
    -------
    RadioEnergy
        By part and device.

    Raises
    ------
    ValueError
        As `RadioMeter.add` and `RadioMeter.finish` do.
    """
    meter = RadioMeter(radio, devices, start_s)
    meter.add(transmit, receive)
    return meter.finish(end_s)


def _bits(payload_bytes: Integers) -> Floats:
    return 8 * payload_bytes.astype(np.float64)


def _by_device_and_start(device: Integers, start_s: Floats) -> Integers:
    """Order as `lexsort` does, faster where starts come in order and devices fit 16 bits."""
    order = np.argsort(start_s, kind="stable")
    narrow = np.uint16 if device.max() <= np.iinfo(np.uint16).max else np.int64
    return order[np.argsort(device[order].astype(narrow), kind="stable")]


def _running_max_before(group: Integers, value: Floats) -> Floats:
    """Give, within each run of one group, the largest value before each entry."""
    same = group[1:] == group[:-1]
    before = np.full(value.size, -np.inf)
    if np.all(value[1:][same] >= value[:-1][same]):
        before[1:][same] = value[:-1][same]
        return before
    # Ranks are integers, so lifting each group above the last loses no digit of the values.
    order = np.argsort(value, kind="stable")
    rank = np.empty(value.size, dtype=np.int64)
    rank[order] = np.arange(value.size)
    number = np.cumsum(np.r_[False, group[1:] != group[:-1]])
    largest = np.maximum.accumulate(rank + number * value.size) - number * value.size
    before[1:][same] = value[order[largest[:-1][same]]]
    return before
