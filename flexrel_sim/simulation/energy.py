"""Energy of the edge devices over a run: computing, idle, and the radio."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.hardware import RadioMeter, Transfers, battery_life_h, transfer_energy_j
from flexrel_sim.simulation.deliveries import ALL_DEVICES
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import Trace

__all__ = ["EnergyAccount", "request_energy_j"]


_DIRECTIONS: Final[tuple[tuple[str, Literal["transmit", "receive"]], ...]] = (
    ("uplink", "transmit"),
    ("downlink", "receive"),
)


class EnergyAccount:
    """What the devices of one replication draw from time zero to its end.

    Parameters
    ----------
    system
        Powers, radio and battery.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.requests = 0
        self.compute_s = self.end_s = 0.0
        self.radio = RadioMeter(system.radio, system.devices)

    def add(self, trace: Trace, until_s: float = np.nan) -> None:
        """Add a part of the trace.

        Parameters
        ----------
        trace
            On the radio no part may begin before the one before it.
        until_s
            When the run was stopped: what computes then has computed until then. A transfer that
            is under way is left out, for nobody knows how much of it was sent.
        """
        self.requests += trace.created_s.size
        start_s, end_s = trace.occupied_s("edge", until_s)
        self.compute_s += float(np.nansum(end_s - start_s))
        if trace.created_s.size:
            self.end_s = max(self.end_s, trace.created_s[-1], np.nanmax(trace.ended_s, initial=0))
        if trace.deliveries is not None:
            self.end_s = max(self.end_s, np.nanmax(trace.deliveries.end_s, initial=0))
        uses_link = self.system.crosses_link or trace.deliveries is not None
        if uses_link and not self.system.radio.is_silent:
            self.radio.add(transmit=_transfers(trace, "uplink"), receive=self._received(trace))

    def _received(self, trace: Trace) -> Transfers:
        """Give answers and weights; every device hears a broadcast."""
        answers, sent = _transfers(trace, "downlink"), trace.deliveries
        if sent is None or answers.device is None:
            return answers
        known = ~np.isnan(sent.start_s) & ~np.isnan(sent.end_s)
        devices = np.arange(self.system.devices)
        place, device = np.nonzero(
            known[:, None]
            & ((sent.device[:, None] == devices) | (sent.device[:, None] == ALL_DEVICES))
        )
        return Transfers(
            np.concatenate([answers.start_s, sent.start_s[place]]),
            np.concatenate([answers.end_s, sent.end_s[place]]),
            np.concatenate([answers.payload_bytes, sent.wire_bytes[place]]),
            np.concatenate([answers.device, device]),
        )

    def values(self, run_s: float) -> dict[str, float]:
        """Give energies per request, and how long a battery lasts.

        Parameters
        ----------
        run_s
            The run lasts at least this long.

        Returns
        -------
        dict
            Joules; what a device file does not tell, or no battery is there for, is absent.
        """
        system, end_s = self.system, max(run_s, self.end_s)
        waiting_s = system.devices * end_s - self.compute_s
        radio_j = float(np.sum(self.radio.finish(end_s).total_j))
        compute_j = system.edge_power_w * self.compute_s
        energies = {"edge_compute_energy_j": compute_j, "edge_radio_energy_j": radio_j}
        if system.edge_idle_power_w is not None:
            idle_j = system.edge_idle_power_w * waiting_s
            energies |= {
                "edge_idle_energy_j": idle_j,
                "edge_energy_j": compute_j + idle_j + radio_j,
            }
        values = {name: energy_j / self.requests for name, energy_j in energies.items()}
        if system.battery_j is not None and "edge_energy_j" in energies:
            mean_power_w = energies["edge_energy_j"] / (end_s * system.devices)
            values["battery_life_h"] = float(battery_life_h(system.battery_j, mean_power_w))
        return values


def _transfers(trace: Trace, name: str) -> Transfers:
    """Give the times at which a direction carried something, of requests that came so far."""
    start_s, end_s = trace.occupied_s(name)
    known: NDArray[np.bool_] = ~np.isnan(start_s) & ~np.isnan(end_s)
    sizes = getattr(trace, f"{name}_bytes")
    return Transfers(
        start_s[known], end_s[known], sizes[known], trace.device[known].astype(np.int64)
    )


def request_energy_j(system: System, trace: Trace, until_s: float) -> NDArray[np.float64]:
    """Give what each request itself cost its device: computing, sending, and receiving the answer.

    Parameters
    ----------
    system
        Powers and radio.
    trace
        The requests.
    until_s
        When the run was stopped.

    Returns
    -------
    ndarray
        Joules, shape ``(requests,)``. Idle time and the radio's tail are nobody's, and a radio that
        carries several requests at once is on once: `EnergyAccount` adds those up.
    """
    start_s, end_s = trace.occupied_s("edge", until_s)
    energy_j = system.edge_power_w * np.nan_to_num(end_s - start_s)
    if not system.crosses_link or system.radio.is_silent:
        return energy_j
    for name, direction in _DIRECTIONS:
        start_s, end_s = trace.occupied_s(name)
        sizes, known = getattr(trace, f"{name}_bytes"), ~np.isnan(end_s - start_s)
        on_air_j = transfer_energy_j(system.radio, sizes, end_s - start_s, direction)
        energy_j += np.where(known, on_air_j, 0.0)
    return energy_j
