"""One replication's figures, gathered from its trace part by part."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.deliveries import Deliveries
from flexrel_sim.simulation.energy import EnergyAccount
from flexrel_sim.simulation.quantiles import Quantiles
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import DROPPED, IN_FLIGHT, REASONS, Trace

__all__ = ["EDGE_SPANS", "SPANS", "STAGE_NAMES", "Figures", "Window"]

SPANS: Final[dict[str, tuple[str, str]]] = {
    "edge wait": ("created_s", "edge_start_s"),
    "edge compute": ("edge_start_s", "edge_end_s"),
    "uplink wait": ("edge_end_s", "uplink_start_s"),
    "uplink serialisation": ("uplink_start_s", "uplink_end_s"),
    "uplink propagation": ("uplink_end_s", "delivered_s"),
    "server wait": ("delivered_s", "server_start_s"),
    "server compute": ("server_start_s", "server_end_s"),
    "downlink wait": ("server_end_s", "downlink_start_s"),
    "downlink serialisation": ("downlink_start_s", "downlink_end_s"),
    "downlink propagation": ("downlink_end_s", "answered_s"),
}
"""What a sojourn time is made of: each part runs from one timestamp to the next."""

EDGE_SPANS: Final = ("edge wait", "edge compute")
"""The parts of a request that ends on the edge."""

STAGE_NAMES: Final = ("edge", "uplink", "server", "downlink")


@dataclass(frozen=True)
class Window:
    """The counted part of a run, in seconds of simulated time."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


class Figures:
    """Sums over the requests of one replication that were created in the window.

    Parameters
    ----------
    system
        Where they ran.
    window
        What is counted: requests created after its start; utilisation and throughput inside it.
    """

    def __init__(self, system: System, window: Window) -> None:
        self.system, self.window = system, window
        self.counted = self.answered = self.late = self.in_flight = 0
        self.dropped = np.zeros(len(REASONS), np.int64)
        self.sojourn_s = 0.0
        self.quantiles = Quantiles()
        names = SPANS if system.crosses_link else EDGE_SPANS
        self.span_s = dict.fromkeys(names, 0.0)
        self.busy_s = dict.fromkeys(STAGE_NAMES, 0.0)
        self.answers_in_window = 0
        self.energy = EnergyAccount(system)
        self.bytes = dict.fromkeys(("payload_bytes", "uplink_bytes", "downlink_bytes"), 0)
        self.retransmissions = 0
        self.options: Counter[int] = Counter()
        self.update_bytes, self.update_downtime_s = 0, 0.0

    def add(self, trace: Trace) -> None:
        """Add a part of the replication's trace; each request once, in any order."""
        self._add_window(trace)
        if trace.deliveries is not None:
            self._add_weights(trace.deliveries)
        self.energy.add(trace, self.window.end_s)
        counted = trace.created_s >= self.window.start_s
        if not counted.all():
            trace = trace.taken(counted)
        self.counted += trace.created_s.size
        self.retransmissions += int(trace.retransmissions.sum())
        self._add_bytes(trace)
        self.dropped += np.bincount(trace.reason, minlength=len(REASONS))
        self.in_flight += int((trace.outcome == IN_FLIGHT).sum())
        self.late += int((trace.outcome == 1).sum())
        if bool((trace.outcome >= DROPPED).any()):
            trace = trace.taken(trace.answered)
        self.answered += trace.created_s.size
        sojourn_s = trace.sojourn_time_s
        self.sojourn_s += float(sojourn_s.sum())
        self.quantiles.add(sojourn_s)
        if trace.option.any():
            self.options.update(trace.option.tolist())
        else:
            self.options[0] += trace.option.size
        self._add_spans(trace)

    def _add_spans(self, trace: Trace) -> None:
        columns = trace.columns()
        # With a controller some requests may be answered on the edge, and have no later span.
        sent = ~np.isnan(trace.uplink_start_s)
        for name in self.span_s:
            start, end = SPANS[name]
            lasted_s = columns[end] - columns[start]
            if name not in EDGE_SPANS and not sent.all():
                lasted_s = lasted_s[sent]
            self.span_s[name] += float(lasted_s.sum())

    def _add_window(self, trace: Trace) -> None:
        """Count what happens inside the window, whenever the request was created."""
        window = self.window
        inside = (trace.answered_s >= window.start_s) & (trace.answered_s < window.end_s)
        self.answers_in_window += int(inside.sum())
        uses_link = self.system.crosses_link or trace.deliveries is not None
        stages = STAGE_NAMES if uses_link else ("edge",)
        for stage in stages:
            start_s, end_s = trace.occupied_s(stage, window.end_s)
            start_s = np.clip(start_s, window.start_s, window.end_s)
            end_s = np.clip(end_s, window.start_s, window.end_s)
            if self.system.medium == "shared" and stage in ("uplink", "downlink"):
                if stage == "downlink" and trace.deliveries is not None:
                    sent = trace.deliveries
                    start_s, end_s = (
                        np.concatenate([own_s, np.clip(other_s, window.start_s, window.end_s)])
                        for own_s, other_s in ((start_s, sent.start_s), (end_s, sent.end_s))
                    )
                self.busy_s[stage] += _covered_s(start_s, end_s)
                continue
            lasted_s = end_s - start_s
            if stage == "server":
                # The requests of a batch share one worker's time.
                lasted_s = lasted_s / np.maximum(trace.batch, 1)
            self.busy_s[stage] += float(np.nansum(lasted_s))

    def _add_weights(self, sent: Deliveries) -> None:
        """Count weights over the whole run, and in the window what they kept busy or waiting."""
        window = self.window
        self.update_bytes += int(sent.wire_bytes[~np.isnan(sent.start_s)].sum())
        down_s = np.clip(sent.down_end_s, window.start_s, window.end_s)
        down_s -= np.clip(sent.down_start_s, window.start_s, window.end_s)
        self.update_downtime_s += float(down_s.sum()) / self.system.devices
        if self.system.medium != "shared":
            busy_s = np.clip(sent.end_s, window.start_s, window.end_s)
            busy_s -= np.clip(sent.start_s, window.start_s, window.end_s)
            self.busy_s["downlink"] += float(np.nansum(busy_s))

    def _add_bytes(self, trace: Trace) -> None:
        """Count what was really put on the wire."""
        sent = ~np.isnan(trace.uplink_start_s)
        answered = ~np.isnan(trace.downlink_start_s)
        self.bytes["payload_bytes"] += int(trace.payload_bytes[sent].sum())
        self.bytes["uplink_bytes"] += int(trace.uplink_bytes[sent].sum())
        self.bytes["downlink_bytes"] += int(trace.downlink_bytes[answered].sum())

    @property
    def latency_s(self) -> float:
        """Mean sojourn time of answered requests; NaN without any."""
        return self.sojourn_s / self.answered if self.answered else math.nan

    def values(self) -> dict[str, float]:
        """Give the replication's metrics by name.

        Returns
        -------
        dict
            The mean latency is over answered requests, and absent if there are none; energies over
            all requests of the run, all else over counted ones. Quantiles are no replication's own:
            `quantiles` of all of them together give one.

        Raises
        ------
        ValueError
            If no request was counted.
        """
        if not self.counted:
            raise ValueError("a replication counted no request")
        workers = dict.fromkeys(STAGE_NAMES, 1)
        workers |= {"edge": self.system.devices, "server": self.system.workers}
        length_s = self.window.length_s
        figures: dict[str, float] = {}
        if self.answered:
            figures["latency_mean_s"] = self.latency_s
        figures["throughput_per_s"] = self.answers_in_window / length_s
        figures["drop_share"] = int(self.dropped[1:].sum()) / self.counted
        missed = self.counted - self.answered + self.late
        figures["miss_share"] = missed / self.counted
        for stage, count in workers.items():
            figures[f"{stage}_utilisation"] = self.busy_s[stage] / (count * length_s)
        figures["uplink_bytes"] = self.bytes["payload_bytes"] / self.counted
        figures["uplink_wire_bytes"] = self.bytes["uplink_bytes"] / self.counted
        figures["downlink_wire_bytes"] = self.bytes["downlink_bytes"] / self.counted
        figures["retransmissions"] = self.retransmissions / self.counted
        if self.system.updates is not None:
            figures["update_bytes"] = self.update_bytes
            figures["update_downtime_s"] = self.update_downtime_s
        return figures | self.energy.values(self.window.end_s)


def _covered_s(start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> float:
    """Give the length of the union of intervals."""
    known = ~np.isnan(start_s) & ~np.isnan(end_s)
    order = np.argsort(start_s[known])
    start_s, end_s = start_s[known][order], end_s[known][order]
    if not start_s.size:
        return 0.0
    reached_s = np.maximum.accumulate(end_s)
    before_s = np.concatenate([[-np.inf], reached_s[:-1]])
    return float(np.maximum(end_s - np.maximum(start_s, before_s), 0.0).sum())
