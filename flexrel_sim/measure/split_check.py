"""What a scenario's cut can't be, and what `cut: best` is chosen for. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.hardware import Device, find_device
from flexrel_sim.links.resolve import is_random, resolve
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.measure.spec import BEST, Target
from flexrel_sim.networks import Outline
from flexrel_sim.scenario import Scenario, did_you_mean

__all__ = ["cut_faults", "split_warnings", "target_of"]

_OF_ONE_CUT: Final[dict[str, tuple[str, str]]] = {
    "edge.service_time": (
        "it is the time of one cut's half",
        "the halves are compared by roofline",
    ),
    "server.service_time": (
        "it is the time of one cut's half",
        "the halves are compared by roofline",
    ),
    "edge.codec_time": ("it is the time of one cut's payload", "it is estimated at every cut"),
    "server.codec_time": ("it is the time of one cut's payload", "it is estimated at every cut"),
    "split.bottleneck": (
        "it is trained for one cut",
        "train it where the best cut turns out to be",
    ),
}
"""What may not be given where the cut is still to be chosen: why, and what is done instead."""


def cut_faults(scenario: Scenario, network: str, parts: Outline | None, tell: Tell) -> list[Fault]:
    """Find what is wrong with a cut.

    Parameters
    ----------
    scenario
        One point.
    network, parts
        Its network's name, and where that can be cut; None where that is not known.
    tell
        Places a fault.

    Returns
    -------
    list of Fault
        All of them.
    """
    cut = scenario.split.cut
    if cut == BEST:
        return _best_faults(scenario, tell)
    if parts is None:
        return []
    known = ("server", *parts.boundaries, "edge", BEST)
    if cut in known or cut in parts.blocks:
        return []
    remedy = did_you_mean(cut, known)
    if cut == parts.last:
        remedy = "it is the last layer: write 'edge' to keep the whole network there"
    return [tell("split.cut", f"must be a boundary of {network!r}", cut, remedy)]


def _best_faults(scenario: Scenario, tell: Tell) -> list[Fault]:
    """Find what can't be said together with a cut that is still to be chosen."""
    faults = []
    for path, (reason, instead) in _OF_ONE_CUT.items():
        section, key = path.split(".")
        given: Any = getattr(getattr(scenario, section), key)
        if given is not None:
            rule = f"must be absent where split.cut is 'best': {reason}"
            faults.append(tell(path, rule, given, f"remove it: {instead}; or name the cut"))
    if scenario.pruning.prunes and scenario.pruning.cut_ratio:
        rule = "must be 0 where split.cut is 'best': it prunes what crosses a cut that is known"
        value = scenario.pruning.cut_ratio
        faults.append(tell("pruning.cut_ratio", rule, value, "remove it, or name the cut"))
    if scenario.codec.channels < 1:
        rule = "must be 1 where split.cut is 'best': which channels count depends on the cut"
        value = scenario.codec.channels
        faults.append(tell("codec.channels", rule, value, "remove it, or name the cut"))
    if is_random(scenario.link):
        rule = "must have a seed where split.cut is 'best': every replication draws another link"
        faults.append(tell("link", rule, None, "give what is drawn a seed, or name the cut"))
    return faults


def split_warnings(scenario: Scenario, tell: Tell) -> list[Fault]:
    """Find what has no effect on the cut."""
    split, batch = scenario.split, scenario.server.batch
    if split.cut == BEST and batch is not None and batch.size > 1:
        rule = "has no effect on which cut is best: requests are taken to be served one by one"
        return [tell("server.batch.size", rule, batch.size, "compare with cuts that you name")]
    # A resolved scenario spells the default out.
    if split.cut == BEST or split.objective == "latency":
        return []
    rule = f"has no effect on cut {split.cut!r}"
    return [tell("split.objective", rule, split.objective, "remove it, or write 'cut: best'")]


def target_of(scenario: Scenario, folder: Path, tell: Tell, faults: list[Fault]) -> Target | None:
    """Find the devices and the link that a cut is chosen for.

    Parameters
    ----------
    scenario
        One point.
    folder
        Where paths start.
    tell
        Places a fault.
    faults
        Where what is wrong is added.

    Returns
    -------
    Target or None
        None if the point names a cut, or something is wrong.
    """
    if scenario.split.cut != BEST:
        return None
    edge = _device("edge.device", scenario.edge.device, folder, tell, faults)
    server = _device("server.device", scenario.server.device, folder, tell, faults)
    try:
        link = resolve(scenario.link, folder)
    except ScenarioError as error:
        faults += error.faults
        return None
    return Target(edge, server, link.uplink, link.downlink) if edge and server else None


def _device(path: str, name: str, folder: Path, tell: Tell, faults: list[Fault]) -> Device | None:
    try:
        return find_device(name, folder)
    except LookupError as error:
        faults.append(tell(path, "unknown device", name, str(error)))
    except ScenarioError as error:
        faults += error.faults
    return None
