"""A system with several operating points to choose from while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.profile import Profile
from flexrel_sim.scenario import SystemScenario
from flexrel_sim.simulation.deliveries import Updates
from flexrel_sim.simulation.policies import NOT_OBSERVING, Control, OptionCost
from flexrel_sim.simulation.rows import Rows
from flexrel_sim.simulation.system import System

__all__ = ["Choices", "chosen_rows", "controlled_system", "make_control", "shipped_bytes"]

_SAME_WEIGHTS = ("model", "data", "pruning", "weights")


@dataclass(frozen=True)
class Choices:
    """Operating points of one replication.

    Parameters
    ----------
    control
        Who chooses, and how.
    systems
        The system with each of them.
    rows
        The requests as each of them would make them; the same ones in the same order.
    """

    control: Control
    systems: tuple[System, ...]
    rows: tuple[Rows, ...]

    @property
    def batch_s(self) -> list[tuple[float, ...]]:
        """Times of a server batch by its size, for each of them."""
        return [system.pool.batch_s for system in self.systems]


def make_control(
    scenario: SystemScenario, profiles: Sequence[Profile], systems: Sequence[System]
) -> Control:
    """Resolve a scenario's controller.

    Parameters
    ----------
    scenario
        One with a controller.
    profiles, systems
        Every option, measured, and in its system.

    Returns
    -------
    Control
        The rules.

    Raises
    ------
    ValueError
        If there is not one profile per option, their test samples differ in number, or no option
        stays on the edge although a fallback is asked for.
    """
    section = scenario.controller
    if section is None:
        raise ValueError("a controller is needed to choose among operating points")
    if len(profiles) != len(section.options):
        told = f"{len(section.options)} options need as many profiles, and there are"
        raise ValueError(f"the controller's {told} {len(profiles)}")
    if len({profile.correct.size for profile in profiles}) > 1:
        raise ValueError("the controller's options must be measured on the same test samples")
    deadline_s = scenario.workload.deadline
    control = Control(
        policy=section.policy,
        costs=tuple(_cost(*pair) for pair in zip(profiles, systems, strict=True)),
        start=section.start,
        every_s=section.every,
        switch_s=0.0 if section.policy == "oracle" else section.switch_time,
        patience_s=section.patience if section.fallback else None,
        thresholds_bit_per_s=tuple(section.thresholds),
        deadline_s=math.inf if deadline_s is None else deadline_s,
        probe_s=None if section.policy in NOT_OBSERVING else section.probe,
    )
    given = {
        name: value
        for name in ("weight", "drift", "limit")
        if (value := getattr(section, name)) is not None
    }
    if section.fallback and control.edge_option < 0:
        raise ValueError("the controller's fallback needs an option that stays on the edge")
    return replace(control, **given)


def _cost(profile: Profile, system: System) -> OptionCost:
    payload_bytes = float(profile.payload_bytes.mean())
    answer_s = system.downlink.mean_transmission_s(profile.answer_bytes)
    answer_s += system.downlink.pacing_s(profile.answer_bytes)
    delays_s = system.uplink.delay_s + system.downlink.delay_s
    uplink_bytes, own = system.uplink.mean_wire_bytes(payload_bytes), system.uplink.connection
    return OptionCost(
        edge_s=system.edge_s,
        uplink_bytes=uplink_bytes,
        uplink_least_s=0.0 if own is None else own.least_s(uplink_bytes),
        rest_s=system.server_s + answer_s + delays_s,
        crosses_link=system.crosses_link,
        accuracy=profile.validation_accuracy.value,
    )


def controlled_system(
    scenario: SystemScenario, profiles: Sequence[Profile], systems: Sequence[System], start: int
) -> System:
    """Give the one system that all options share: the first option's, with whatever any needs."""
    updates = None
    if scenario.updates is not None:
        shipped = shipped_bytes(profiles, "head")
        updates = Updates.of(scenario.updates, shipped, scenario.workload.duration)
    return replace(
        systems[start],
        crosses_link=any(system.crosses_link for system in systems),
        labels={name: label for system in systems for name, label in system.labels.items()},
        updates=updates,
    )


def shipped_bytes(profiles: Sequence[Profile], half: Literal["head", "tail"]) -> int:
    """Give the bytes of all weights that one side must hold to choose among operating points.

    Cuts of one pruned network share weights: the largest half holds the others.

    Parameters
    ----------
    profiles
        The operating points.
    half
        ``head`` for the edge, ``tail`` for the server.

    Returns
    -------
    int
        Bytes, in the smallest shipping format.
    """
    largest: dict[str, int] = {}
    for profile in profiles:
        sections = {name: profile.operating_point.get(name) for name in _SAME_WEIGHTS}
        network = f"{profile.network} {sections!r}"
        largest[network] = max(largest.get(network, 0), getattr(profile, f"{half}_weight_bytes"))
    return sum(largest.values())


def chosen_rows(choices: Choices, rows: NDArray[np.int64], option: NDArray[np.int64]) -> Rows:
    """Give requests as the options that they used made them.

    Parameters
    ----------
    choices
        All options.
    rows
        Row of each request, shape ``(requests,)``.
    option
        Which option it used, of the same shape.

    Returns
    -------
    Rows
        One row per request.
    """
    taken = choices.rows[0].taken(rows)
    for index, other in enumerate(choices.rows[1:], start=1):
        used = option == index
        for name in taken:
            taken[name][used] = other[name][rows[used]]
    taken["option"] = option
    return taken
