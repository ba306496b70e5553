"""Run-time controllers in SimPy: what devices observe, what they choose, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flexrel_sim.links.connections import Connections
from flexrel_sim.simulation.asked import LINES, Asked
from flexrel_sim.simulation.clock import Clock
from flexrel_sim.simulation.lines import FifoMedium, SharedMedium
from flexrel_sim.simulation.options import Choices
from flexrel_sim.simulation.policies import make_policy
from flexrel_sim.simulation.stages import DeviceStage

__all__ = ["Controller", "Oracle"]


class Controller:
    """All devices' choices; each device knows its own transmissions only.

    Parameters
    ----------
    clock
        The environment.
    choices
        Options and rules.
    drawn
        What every request asks with each option.
    devices
        The edge devices.
    """

    def __init__(
        self,
        clock: Clock,
        choices: Choices,
        drawn: Sequence[Asked],
        devices: Sequence[DeviceStage],
    ) -> None:
        self.clock, self.control, self.drawn = clock, choices.control, drawn
        self.devices = devices
        self.policies = [make_policy(self.control) for _ in devices]
        self.current = [self.control.start] * len(devices)
        self.chosen_s = [float("-inf")] * len(devices)
        self.under_way: list[dict[int, float]] = [{} for _ in devices]
        # When a device last sent something, or heard what became of it.
        self.heard_s = [0.0] * len(devices)
        self.probe_option = self.control.probe_option
        self.option: list[int] = []
        loaded = [self.control.start] * len(devices)
        for number, device in enumerate(devices):
            device.prepare_s = lambda place, number=number: self._switch_s(loaded, number, place)

    def _switch_s(self, loaded: list[int], device: int, place: int) -> float:
        """Give what a request takes longer because the edge has another option at hand."""
        if loaded[device] == self.option[place]:
            return 0.0
        loaded[device] = self.option[place]
        return self.control.switch_s

    def choose(self, device: int, row: int) -> int:
        """Choose the option of a request that is created now, in order of creation."""
        now = self.clock.now
        if now - self.chosen_s[device] >= self.control.every_s:
            self.current[device] = self._best(device, row)
            self.chosen_s[device] = now
        taken = self.control.edge_option if self._is_out(device) else self.current[device]
        if self._is_deaf(device, taken):
            taken = self.probe_option
        if self.control.costs[taken].crosses_link:
            self.heard_s[device] = now
        self.option.append(taken)
        return taken

    def _best(self, device: int, row: int) -> int:
        del row
        return self.policies[device].choose()

    def _is_out(self, device: int) -> bool:
        patience_s = self.control.patience_s
        started_s = self.under_way[device].values()
        return patience_s is not None and self.clock.now - min(started_s, default=float("inf")) > (
            patience_s
        )

    def _is_deaf(self, device: int, taken: int) -> bool:
        """Tell whether a device that would stay on the edge must ask what became of the link.

        Nothing that stays there tells it that a bad link is good again.
        """
        probe_s = self.control.probe_s
        if probe_s is None or self.probe_option < 0 or self.under_way[device]:
            return False
        silent_s = self.clock.now - self.heard_s[device]
        return not self.control.costs[taken].crosses_link and silent_s >= probe_s

    def started(self, device: int, place: int) -> None:
        """Hear that a device's transmission started, now."""
        self.under_way[device][place] = self.clock.now

    def ended(self, device: int, place: int, sent_bytes: float) -> None:
        """Hear that it ended, now, and what it carried."""
        lasted_s = self.clock.now - self.under_way[device].pop(place)
        self.heard_s[device] = self.clock.now
        if lasted_s > 0 and sent_bytes > 0:
            self.policies[device].observe(8 * sent_bytes / lasted_s)


class Oracle(Controller):
    """Greedy and clairvoyant: the option that ends the request first, as far as known now.

    It knows the link's capacity for all time, the losses, and every queue of its own device and of
    the link; it knows of no request that is yet to come, nor of those on other devices, and takes a
    server worker to be free. It switches for nothing, so that what is best for one request does not
    bind the next. It is no lower bound where requests queue: what is best for one may delay others.

    Parameters
    ----------
    clock, choices, drawn, devices
        As in `Controller`.
    link
        Media and connections by direction; none where no option crosses it.
    """

    def __init__(
        self,
        clock: Clock,
        choices: Choices,
        drawn: Sequence[Asked],
        devices: Sequence[DeviceStage],
        link: tuple[Mapping[str, FifoMedium | SharedMedium], Mapping[str, Connections]],
    ) -> None:
        super().__init__(clock, choices, drawn, devices)
        self.media, self.connections = link
        self.batch_s = [system.pool.batch_s[1] for system in choices.systems]

    def _best(self, device: int, row: int) -> int:
        ends_s = [self._ends_s(device, row, option) for option in range(len(self.drawn))]
        return ends_s.index(min(ends_s))

    def _is_out(self, device: int) -> bool:
        # It need not guess.
        del device
        return False

    def _is_deaf(self, device: int, taken: int) -> bool:
        # Nor ask.
        del device, taken
        return False

    def _ends_s(self, device: int, row: int, option: int) -> float:
        asked = self.drawn[option]
        time_s = self.devices[device].idle_from_s() + asked.edge_s[row]
        if not asked.crosses_link[row]:
            return time_s
        for name in LINES:
            if asked.lost[name][row]:
                return float("inf")
            size, after_s = asked.wire_bytes[name][row], asked.after_s[name][row]
            end_s = self.media[name].would_finish_s(name, time_s, size)
            time_s = self.connections[name].would_be_out_s(device, time_s, end_s, size, after_s)
            if name == "uplink":
                time_s += self.batch_s[option] * asked.server_factor[row]
        return time_s
