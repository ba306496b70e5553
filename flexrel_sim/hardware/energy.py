"""Energy of a device's computing, and how long a battery lasts.

Every account is split into parts that add up to its total: nothing is in two parts, and an unknown
part is NaN, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexrel_sim.hardware.devices import Device

__all__ = ["ComputeEnergy", "battery_life_h", "compute_energy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComputeEnergy:
    """Energy of devices by what they did, in joules, one entry per device.

    Parameters
    ----------
    active_j
        While computing.
    idle_j
        While waiting; NaN where the device's idle power is unknown.
    """

    active_j: Floats
    idle_j: Floats

    @property
    def total_j(self) -> Floats:
        """Sum of the parts; NaN where one is unknown."""
        return self.active_j + self.idle_j


def compute_energy(device: Device, busy_s: ArrayLike, run_s: ArrayLike) -> ComputeEnergy:
    """Give the energy of computing and of waiting to compute.

    Parameters
    ----------
    device
        Its powers are the whole device's, so active time draws no idle power besides.
    busy_s
        Time that each device, or each worker that is a device of its own, computed.
    run_s
        Time that it was on, of the same shape or a scalar.

    Returns
    -------
    ComputeEnergy
        ``active power * busy`` and ``idle power * (run - busy)``.

    Raises
    ------
    ValueError
        If a device was busy for less than no time, or longer than it was on.
    """
    busy = np.atleast_1d(np.asarray(busy_s, dtype=np.float64))
    waiting = np.asarray(run_s, dtype=np.float64) - busy
    # Sums of a run's service times round; a device may be busy until its very end.
    waiting = np.where(np.abs(waiting) <= 1e-9 * np.abs(busy), 0.0, waiting)
    if not (np.all(busy >= 0) and np.all(waiting >= 0)):
        raise ValueError("busy_s must be at least 0 and at most run_s")
    idle_power_w = np.nan if device.idle_power_w is None else device.idle_power_w
    return ComputeEnergy(device.active_power_w * busy, idle_power_w * waiting)


def battery_life_h(battery_j: float, mean_power_w: ArrayLike) -> Floats:
    """Give how long a battery lasts at a mean power: ``capacity / power``.

    Parameters
    ----------
    battery_j
        What the battery holds.
    mean_power_w
        Mean power of everything that it feeds, idle, computing and radio together.

    Returns
    -------
    ndarray
        Hours, of the power's shape; NaN where the power is unknown, infinite where it is 0.

    Raises
    ------
    ValueError
        If the capacity or a power is negative.
    """
    power_w = np.asarray(mean_power_w, dtype=np.float64)
    if battery_j < 0 or np.any(power_w < 0):
        raise ValueError("a battery's capacity and its load must be at least 0")
    with np.errstate(divide="ignore"):
        return np.asarray(battery_j / power_w / 3600.0)
