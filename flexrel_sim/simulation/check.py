"""What a scenario's system must hold beyond its own keys, found before anything is simulated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from flexrel_sim.scenario import SystemScenario
from flexrel_sim.scenario.schema import FailureSection, WorkloadSection

__all__ = ["Finding", "system_findings"]

Finding = tuple[str, str, object, str]
"""Path, rule, value and remedy of a fault."""

_OWN_KEYS: Final = {
    "bursts": ("bursty",),
    "diurnal": ("diurnal",),
    "clients": ("closed",),
    "think_time": ("closed",),
    "file": ("replay",),
    "rate": ("poisson", "periodic", "bursty", "diurnal"),
    "phases": ("periodic",),
    "jitter": ("periodic",),
}
"""Keys that some kinds of arrivals have and others don't."""

_OPTIONAL: Final = frozenset({"phases", "jitter"})

_PERIODIC_MAX: Final = 50_000_000
"""Periodic requests are sorted all at once."""


_CLOSED_MAX: Final = 20_000_000
"""Requests that closed clients could come to are all drawn, and told one by one."""


def system_findings(scenario: SystemScenario) -> Iterator[Finding]:
    """Find what does not fit together.

    Parameters
    ----------
    scenario
        One point.

    Yields
    ------
    Finding
        Every fault, for the caller to place on its line.
    """
    yield from _workload(scenario.workload)
    yield from _closed(scenario)
    for name in ("edge", "server"):
        failures = getattr(scenario, name).failures
        if failures is not None:
            yield from _failures(f"{name}.failures", failures)
    batch = scenario.server.batch
    if batch is not None and batch.answer_within is not None and batch.timeout > 0:
        rule = "takes the place of timeout"
        yield "server.batch.answer_within", rule, batch.answer_within, "keep one of them"
    if scenario.workload.arrivals == "periodic" and scenario.expected_requests > _PERIODIC_MAX:
        yield (
            "workload.rate",
            f"periodic requests must be at most {_PERIODIC_MAX:,} in a replication",
            f"{scenario.expected_requests:.3g}",
            "shorten the run, or use arrivals: poisson, which comes in parts",
        )


def _workload(workload: WorkloadSection) -> Iterator[Finding]:
    kind = workload.arrivals
    for key, kinds in _OWN_KEYS.items():
        value = getattr(workload, key)
        given = value != type(workload).model_fields[key].default
        if kind in kinds and value is None and key not in _OPTIONAL:
            yield f"workload.{key}", f"is needed by arrivals: {kind}", None, "add it"
        if kind not in kinds and given:
            rule = f"has no effect with arrivals: {kind}"
            yield f"workload.{key}", rule, value, f"remove it, or use {' or '.join(kinds)}"
    if kind == "closed" and workload.think_time == 0:
        # A request that is dropped at once would be followed by the next at the same instant.
        yield "workload.think_time", "must be above zero", 0, "write a short one, such as 1 ms"
    if workload.late == "drop" and workload.deadline is None:
        yield "workload.late", "needs a deadline", "drop", "add workload.deadline"


def _closed(scenario: SystemScenario) -> Iterator[Finding]:
    clients, think_s = scenario.workload.clients, scenario.workload.think_time
    if not clients or not think_s:
        return
    most = clients * scenario.edge.count * scenario.workload.duration / think_s
    if most > _CLOSED_MAX:
        yield (
            "workload.think_time",
            f"clients x devices x duration / think_time must be at most {_CLOSED_MAX:,} requests",
            f"{most:.3g}",
            "think longer, shorten the run, or take fewer clients",
        )


def _failures(path: str, failures: FailureSection) -> Iterator[Finding]:
    by_chance = (failures.mean_up, failures.mean_down)
    if bool(failures.windows) == any(value is not None for value in by_chance):
        remedy = "write 'windows: [[20 s, 30 s]]', or 'mean_up: 10 min' with 'mean_down: 20 s'"
        yield path, "needs either windows, or mean_up and mean_down", None, remedy
    elif not failures.windows and None in by_chance:
        yield path, "needs both mean_up and mean_down", None, "add the other"
    ends = [end for window in failures.windows for end in window]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        rule = "must end after they start, in order and apart"
        yield f"{path}.windows", rule, failures.windows, "sort them, and join those that touch"
