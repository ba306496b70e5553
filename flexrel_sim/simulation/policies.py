"""How a device chooses among operating points, from what it saw of its own transmissions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

__all__ = [
    "NOT_OBSERVING",
    "Control",
    "Edgent",
    "LastThroughput",
    "LeastLatency",
    "OptionCost",
    "PageHinkley",
    "Policy",
    "RunningMean",
    "Static",
    "Threshold",
    "make_policy",
]

PolicyName = Literal["static", "threshold", "ema", "change-point", "edgent", "oracle"]

NOT_OBSERVING: Final = ("static", "oracle")
"""Policies that what a transmission got is nothing to."""


@dataclass(frozen=True)
class OptionCost:
    """What a device knows of an operating point beforehand.

    Parameters
    ----------
    edge_s
        Mean time on the edge.
    uplink_bytes
        Mean bytes that a request puts on the uplink.
    rest_s
        Everything else that a lone request takes: propagation, server, downlink.
    crosses_link
        Whether it needs the link at all.
    accuracy
        On the validation samples.
    uplink_least_s
        Least time that its bytes take on the device's own connection, however fast the wire.
    """

    edge_s: float
    uplink_bytes: float
    rest_s: float
    crosses_link: bool
    accuracy: float
    uplink_least_s: float = 0.0

    def latency_s(self, bit_per_s: float) -> float:
        """Estimate what a lone request takes at a throughput, as Neurosurgeon does.

        References
        ----------
        Kang et al., "Neurosurgeon", ASPLOS 2017, sec. 4: device, transfer and server added up.
        """
        if not self.crosses_link:
            return self.edge_s
        sending_s = max(8 * self.uplink_bytes / bit_per_s, self.uplink_least_s)
        return self.edge_s + sending_s + self.rest_s


@dataclass(frozen=True)
class Control:
    """The rules of a run-time controller; keys of the scenario's section, resolved.

    Parameters
    ----------
    policy
        Which rule.
    costs
        What is known of every option.
    start, every_s, switch_s
        First option, time between choices, and cost of another one.
    patience_s
        A transmission that takes longer means an outage; None without a fallback.
    thresholds_bit_per_s
        Of `Threshold`.
    weight
        Of `RunningMean`.
    drift, limit
        Of `PageHinkley`.
    deadline_s
        Of `Edgent`.
    probe_s
        A device that has sent nothing for this long sends its next request; None for never.
    """

    policy: PolicyName
    costs: tuple[OptionCost, ...]
    start: int = 0
    every_s: float = 0.0
    switch_s: float = 0.0
    patience_s: float | None = None
    thresholds_bit_per_s: tuple[float, ...] = ()
    weight: float = 0.3
    drift: float = 0.05
    limit: float = 1.0
    deadline_s: float = math.inf
    probe_s: float | None = None

    @property
    def probe_option(self) -> int:
        """The option of the fewest bytes among those that cross the link; -1 if none does."""
        sent = [index for index, cost in enumerate(self.costs) if cost.crosses_link]
        return min(sent, key=lambda index: self.costs[index].uplink_bytes, default=-1)

    @property
    def edge_option(self) -> int:
        """The most accurate option that needs no link; -1 if none does."""
        alone = [index for index, cost in enumerate(self.costs) if not cost.crosses_link]
        return max(alone, key=lambda index: self.costs[index].accuracy, default=-1)


class Estimator(Protocol):
    """From observed throughputs to the one that is expected next."""

    def observe(self, bit_per_s: float) -> None:
        """Take in what a transmission got."""

    @property
    def bit_per_s(self) -> float | None:
        """The estimate; None before the first observation."""


class LastThroughput:
    """What the last transmission got."""

    def __init__(self) -> None:
        self.bit_per_s: float | None = None

    def observe(self, bit_per_s: float) -> None:
        """Take in what a transmission got."""
        self.bit_per_s = bit_per_s


class RunningMean:
    """An exponentially weighted mean.

    Parameters
    ----------
    weight
        Of the newest observation.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.bit_per_s: float | None = None

    def observe(self, bit_per_s: float) -> None:
        """Take in what a transmission got."""
        before = bit_per_s if self.bit_per_s is None else self.bit_per_s
        self.bit_per_s = before + self.weight * (bit_per_s - before)


class PageHinkley:
    """The geometric mean since the last change, found by a two-sided Page-Hinkley test.

    Parameters
    ----------
    drift
        Changes of the logarithm that are let pass at each observation.
    limit
        Accumulated change, up or down, at which the mean starts over.

    References
    ----------
    Page, "Continuous inspection schemes", Biometrika 41, 1954; Hinkley, "Inference about the
    change-point from cumulative sum tests", Biometrika 58, 1971.
    """

    def __init__(self, drift: float, limit: float) -> None:
        self.drift, self.limit = drift, limit
        self._start_over()

    def _start_over(self) -> None:
        self.count, self.mean, self.up, self.down = 0, 0.0, 0.0, 0.0

    @property
    def bit_per_s(self) -> float | None:
        """The estimate; None before the first observation."""
        return math.exp(self.mean) if self.count else None

    def observe(self, bit_per_s: float) -> None:
        """Take in what a transmission got."""
        value = math.log(bit_per_s)
        if self.count:
            # Sums that may not fall below zero are the distance from their lowest point so far.
            self.up = max(0.0, self.up + value - self.mean - self.drift)
            self.down = max(0.0, self.down + self.mean - value - self.drift)
            if max(self.up, self.down) > self.limit:
                self._start_over()
        self.count += 1
        self.mean += (value - self.mean) / self.count


class Policy(Protocol):
    """Chooses for one device."""

    def observe(self, bit_per_s: float) -> None:
        """Take in what a transmission got."""

    def choose(self) -> int:
        """Give the option of the next request."""


class Static:
    """The same option for ever."""

    def __init__(self, start: int) -> None:
        self.start = start

    def observe(self, bit_per_s: float) -> None:
        """Nothing to learn."""

    def choose(self) -> int:
        """Give the option of the next request."""
        return self.start


class Threshold:
    """A table: option k from the k-th threshold of the last throughput on."""

    def __init__(self, start: int, thresholds_bit_per_s: Sequence[float]) -> None:
        self.start, self.thresholds_bit_per_s = start, thresholds_bit_per_s
        self.estimator = LastThroughput()
        self.observe = self.estimator.observe

    def choose(self) -> int:
        """Give the option of the next request."""
        seen = self.estimator.bit_per_s
        if seen is None:
            return self.start
        return sum(seen >= threshold for threshold in self.thresholds_bit_per_s)


class LeastLatency:
    """The option of least estimated latency; of equal ones the first."""

    def __init__(self, start: int, costs: Sequence[OptionCost], estimator: Estimator) -> None:
        self.start, self.costs, self.estimator = start, costs, estimator
        self.observe = estimator.observe

    def choose(self) -> int:
        """Give the option of the next request."""
        seen = self.estimator.bit_per_s
        if seen is None:
            return self.start
        latencies_s = [cost.latency_s(seen) for cost in self.costs]
        return latencies_s.index(min(latencies_s))


class Edgent:
    """The most accurate option whose estimated latency meets the deadline; else the fastest.

    References
    ----------
    Li, Zhou and Chen, "Edge Intelligence: On-Demand Deep Learning Model Co-Inference with
    Device-Edge Synergy", MECOMM 2018, algorithm 1; its early exits are the options here.
    """

    def __init__(self, start: int, costs: Sequence[OptionCost], deadline_s: float) -> None:
        self.costs, self.deadline_s = costs, deadline_s
        self.fastest = LeastLatency(start, costs, LastThroughput())
        self.observe = self.fastest.observe

    def choose(self) -> int:
        """Give the option of the next request."""
        seen = self.fastest.estimator.bit_per_s
        if seen is None:
            return self.fastest.start
        within = [
            (-cost.accuracy, cost.latency_s(seen), index)
            for index, cost in enumerate(self.costs)
            if cost.latency_s(seen) <= self.deadline_s
        ]
        return min(within)[-1] if within else self.fastest.choose()


def make_policy(control: Control) -> Policy:
    """Make one device's policy.

    Parameters
    ----------
    control
        The rules; of the oracle, which observes nothing, the first option.

    Returns
    -------
    Policy
        One that has observed nothing yet.
    """
    start, costs = control.start, control.costs
    if control.policy == "threshold":
        return Threshold(start, control.thresholds_bit_per_s)
    if control.policy == "ema":
        return LeastLatency(start, costs, RunningMean(control.weight))
    if control.policy == "change-point":
        return LeastLatency(start, costs, PageHinkley(control.drift, control.limit))
    if control.policy == "edgent":
        return Edgent(start, costs, control.deadline_s)
    return Static(start)
