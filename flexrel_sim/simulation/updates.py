"""Weights on their way to the edge, in SimPy: on the downlink, and being put in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flexrel_sim.simulation.clock import ARRIVAL, Clock
from flexrel_sim.simulation.deliveries import ALL_DEVICES, Deliveries
from flexrel_sim.simulation.lines import FifoMedium, SharedMedium
from flexrel_sim.simulation.stages import DeviceStage

__all__ = ["DeliveryTraffic"]


class DeliveryTraffic:
    """Deliveries at run time: messages on the downlink behind those of the requests.

    Parameters
    ----------
    clock
        The environment.
    plan
        What is sent.
    first
        Number of the first message; those before it are answers.
    swap_s
        How long putting an update in place takes.
    """

    def __init__(self, clock: Clock, plan: Deliveries, first: int, swap_s: float) -> None:
        self.clock, self.plan, self.first, self.swap_s = clock, plan, first, swap_s
        self.start_s = [float("nan")] * plan.sent_s.size
        self.end_s = [float("nan")] * plan.sent_s.size
        self.downtimes: list[tuple[int, float, float]] = []

    def start(self, medium: FifoMedium | SharedMedium, devices: list[DeviceStage]) -> None:
        """Plan all deliveries; devices that wait for weights serve nothing."""
        self.devices = devices
        if self.plan.initial.any():
            for device in devices:
                device.ready = False
        for place, sent_s in enumerate(self.plan.sent_s.tolist()):
            message = self.first + place
            arrive: Callable[..., None] = medium.arrive
            self.clock.at(sent_s, ARRIVAL, message, arrive, "downlink", message, False)

    def started(self, message: int, now: float) -> None:
        """Note that a delivery is on the line."""
        self.start_s[message - self.first] = now

    def sent_s(self, message: int) -> float:
        """Give when a delivery comes to the downlink."""
        return float(self.plan.sent_s[message - self.first])

    def flow(self, message: int) -> int:
        """Give the connection of a delivery among those of weights: a device's, or a broadcast's.

        Weights have connections of their own: they hold up answers on the wire, and not beyond.
        """
        owner = int(self.plan.device[message - self.first])
        return len(self.devices) if owner == ALL_DEVICES else owner

    def ended(self, message: int, now: float) -> float:
        """Note that a delivery has left, and give how long it takes after propagation."""
        self.end_s[message - self.first] = now
        return float(self.plan.extra_delay_s[message - self.first])

    def arrived(self, message: int) -> None:
        """Put weights in place."""
        place = message - self.first
        owner = int(self.plan.device[place])
        now = self.clock.now
        for number, device in enumerate(self.devices):
            if owner not in (ALL_DEVICES, number):
                continue
            if self.plan.initial[place]:
                self.downtimes.append((number, 0.0, now))
                device.make_ready()
            else:
                device.hold(self.swap_s, self._swapped(number))

    def _swapped(self, number: int) -> Callable[[float, float], None]:
        return lambda start_s, end_s: self.downtimes.append((number, start_s, end_s))

    def finished(self, until_s: float) -> Deliveries:
        """Give the deliveries with what became of them by a time."""
        for number, device in enumerate(self.devices):
            if not device.ready:
                self.downtimes.append((number, 0.0, float("inf")))
        down = np.array(self.downtimes, dtype=np.float64).reshape(-1, 3)
        start_s, end_s = np.array(self.start_s), np.array(self.end_s)
        return self.plan._replace(
            start_s=np.where(start_s > until_s, np.nan, start_s),
            end_s=np.where(end_s > until_s, np.nan, end_s),
            down_device=down[:, 0].astype(np.int64),
            down_start_s=down[:, 1].copy(),
            down_end_s=down[:, 2].copy(),
        )
