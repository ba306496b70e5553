"""What a scenario's system must hold beyond its own keys, found before anything is simulated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from flexrel_sim.metrics import OPTIONAL_METRICS
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.scenario.controller_section import ControllerSection
from flexrel_sim.scenario.schema import MODEL_SECTIONS, FailureSection, WorkloadSection
from flexrel_sim.scenario.update_section import UpdateSection
from flexrel_sim.simulation.policies import NOT_OBSERVING

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


_POLICY_KEYS: Final = {
    "thresholds": "threshold",
    "weight": "ema",
    "drift": "change-point",
    "limit": "change-point",
}
"""Keys that only one policy has."""

_DELIVERIES_MAX: Final = 1_000_000
"""Messages with weights are all planned before the run."""

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
    yield from _precisions(scenario)
    if scenario.controller is not None:
        yield from _controller(scenario.controller, scenario)
    if scenario.updates is not None:
        yield from _updates(scenario.updates, scenario)
    batch = scenario.server.batch
    if batch is not None and batch.answer_within is not None and batch.timeout > 0:
        rule = "takes the place of timeout"
        yield "server.batch.answer_within", rule, batch.answer_within, "keep one of them"
    yield from _unknown_figures(scenario)
    yield from _engine(scenario)
    if scenario.server.failures is None and scenario.server.on_failure != "retry":
        yield "server.on_failure", "has no effect without failures", "drop", "remove it"
    if scenario.workload.arrivals == "periodic" and scenario.expected_requests > _PERIODIC_MAX:
        yield (
            "workload.rate",
            f"periodic requests must be at most {_PERIODIC_MAX:,} in a replication",
            f"{scenario.expected_requests:.3g}",
            "shorten the run, or use arrivals: poisson, which comes in parts",
        )


def _precisions(scenario: SystemScenario) -> Iterator[Finding]:
    # A batch's time keeps the roofline's shape in that format, stretched to the measured one.
    unshaped = scenario.server.batch is None
    for name, section in (("edge", scenario.edge), ("server", scenario.server)):
        alone = section.service_time is not None and (name == "edge" or unshaped)
        if alone and section.precision != "float32":
            rule = f"has no effect beside {name}.service_time, which is of one format"
            yield f"{name}.precision", rule, section.precision, "remove one of them"


def _engine(scenario: SystemScenario) -> Iterator[Finding]:
    feedback = {
        "link.medium: half-duplex": scenario.link.medium == "half-duplex",
        "workload.arrivals: closed": scenario.workload.arrivals == "closed",
        "updates": scenario.updates is not None,
        "controller": scenario.controller is not None,
    }
    found = [name for name, there in feedback.items() if there]
    if scenario.simulation.engine == "compiled" and found:
        rule = f"is not exact with {' and '.join(found)}"
        yield "simulation.engine", rule, "compiled", "write auto, or simpy"


def _unknown_figures(scenario: SystemScenario) -> Iterator[Finding]:
    absent = {
        "battery_life_h": scenario.edge.battery is None,
        "update_bytes": scenario.updates is None,
        "update_downtime_s": scenario.updates is None,
        "regret_s": scenario.controller is None,
    }
    for section in ("objectives", "constraints"):
        for name in getattr(scenario, section):
            if absent.get(name):
                rule = f"is a figure that needs {OPTIONAL_METRICS[name]}"
                yield f"{section}.{name}", rule, None, "add it, or take another figure"


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


def _controller(controller: ControllerSection, scenario: SystemScenario) -> Iterator[Finding]:
    count = len(controller.options)
    for number, option in enumerate(controller.options):
        for path in option:
            if str(path).partition(".")[0] not in MODEL_SECTIONS:
                known = ", ".join(MODEL_SECTIONS)
                rule = "must be a key of the model half"
                yield f"controller.options.{number}", rule, path, f"one in {known}"
    if controller.start >= count:
        rule = f"must be the index of one of the {count} options, from 0"
        yield "controller.start", rule, controller.start, "lower it, or add options"
    yield from _policy(controller, count)
    if controller.policy == "edgent" and scenario.workload.deadline is None:
        yield "controller.policy", "needs a deadline", "edgent", "add workload.deadline"
    if controller.fallback != (controller.patience is not None):
        rule = "fallback and patience need each other"
        yield "controller.fallback", rule, controller.fallback, "add the other, or remove both"


def _policy(controller: ControllerSection, count: int) -> Iterator[Finding]:
    for key, policy in _POLICY_KEYS.items():
        if getattr(controller, key) and controller.policy != policy:
            rule = f"has no effect with policy: {controller.policy}"
            yield f"controller.{key}", rule, getattr(controller, key), "remove it"
    if "probe" in controller.model_fields_set and controller.policy in NOT_OBSERVING:
        rule = f"has no effect with policy: {controller.policy}"
        yield "controller.probe", rule, controller.probe, "remove it"
    thresholds = controller.thresholds
    if controller.policy == "threshold" and len(thresholds) != count - 1:
        rule = f"must be {count - 1}, one between each option and the next"
        yield "controller.thresholds", rule, len(thresholds), "add or remove some"
    if any(later <= earlier for earlier, later in pairwise(thresholds)):
        yield "controller.thresholds", "must ascend", thresholds, "sort them, each once"


def _updates(updates: UpdateSection, scenario: SystemScenario) -> Iterator[Finding]:
    if updates.period is not None and updates.times:
        yield "updates.times", "takes the place of period", updates.times, "keep one of them"
    if any(later <= earlier for earlier, later in pairwise(updates.times)):
        yield "updates.times", "must ascend", updates.times, "sort them, each once"
    end = scenario.workload.duration
    for key, sent_s in (("period", updates.period), ("times", max(updates.times, default=None))):
        if sent_s is not None and sent_s >= end:
            rule = f"must be below workload.duration, {end:g} s: later ones are never sent"
            yield f"updates.{key}", rule, sent_s, "send it earlier, or run longer"
    yield from _idle_update_keys(updates)
    sent = len(updates.times)
    if updates.period is not None:
        sent = int(scenario.workload.duration / updates.period)
    copies = 1 if updates.broadcast else scenario.edge.count
    if sent * copies > _DELIVERIES_MAX:
        rule = f"must send at most {_DELIVERIES_MAX:,} messages, one per update and device"
        yield "updates.period", rule, sent * copies, "update less often, or broadcast: true"


def _idle_update_keys(updates: UpdateSection) -> Iterator[Finding]:
    never = updates.period is None and not updates.times
    for key in ("bytes", "swap"):
        if never and getattr(updates, key):
            rule = "has no effect without updates"
            yield f"updates.{key}", rule, getattr(updates, key), "add updates.period or times"
    if never and not updates.initial:
        yield "updates", "sends nothing", None, "add period or times, or initial: true"
    if updates.initial_bytes is not None and not updates.initial:
        rule = "has no effect with initial: false"
        yield "updates.initial_bytes", rule, updates.initial_bytes, "remove it"


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
