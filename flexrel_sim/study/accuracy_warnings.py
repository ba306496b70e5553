"""Warnings about answers that are worth no more than a constant one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from flexrel_sim.accuracy import Recalls
from flexrel_sim.errors import Fault
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import Scenario, ScenarioFile
from flexrel_sim.study.result import PointResult

__all__ = ["accuracy_warnings", "own_worth_warnings", "worth_warnings"]

_PRUNE_LESS = "prune less, or encode more finely"


def accuracy_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> list[Fault]:
    """Tell of accuracies that always answering the most frequent class would reach.

    Parameters
    ----------
    scenario_file
        What was run.
    points
        What came of it.

    Returns
    -------
    list of Fault
        One for each network that is no better before it is pruned, cut and encoded: something is
        wrong with its data. One for all points that are no better, while their network is.
    """
    dense: dict[str, Fault] = {}
    lost: list[tuple[int, Profile]] = []
    for place, result in enumerate(points):
        for profile in result.options or (result.profile,):
            before = profile.dense_recalls
            if not before.is_informed:
                tell = partial(scenario_file.fault, scenario_file.points[place])
                path = _path(result, "data")
                dense.setdefault(before.worth, _dense_warning(before, tell, path))
            elif not profile.recalls.is_informed:
                lost.append((place, profile))
    warnings = list(dense.values())
    if lost:
        place, profile = lost[0]
        count = len({place for place, _ in lost})
        several = f"{count} of {len(points)} points are worth no more than a constant answer; "
        rule = f"{several if len(points) > 1 else ''}the {profile.recalls.worth}"
        path = _path(points[place], "pruning")
        point = scenario_file.points[place]
        warnings.append(scenario_file.fault(point, path, rule, None, _PRUNE_LESS))
    return warnings


def _path(result: PointResult, section: str) -> str:
    # A stored profile is simulated without the sections that it was measured from.
    return section if isinstance(result.scenario, Scenario) else "objectives"


def worth_warnings(dense: Recalls, own: Recalls, tell: Tell) -> list[Fault]:
    """Tell the same of one network, before and after it was pruned.

    Parameters
    ----------
    dense, own
        Right answers before and after.
    tell
        Makes a fault at a key.

    Returns
    -------
    list of Fault
        One at most: what is no better before need not be told of after.
    """
    if not dense.is_informed:
        return [_dense_warning(dense, tell)]
    return [] if own.is_informed else [tell("pruning", f"the {own.worth}", None, _PRUNE_LESS)]


def own_worth_warnings(own: Recalls, tell: Tell) -> list[Fault]:
    """Tell the same of one network of which nothing is known before it was pruned."""
    remedy = "'flexrel-sim run' tells whether its data, or pruning and codec, are to blame"
    return [] if own.is_informed else [tell("pruning", f"the {own.worth}", None, remedy)]


def _dense_warning(recalls: Recalls, tell: Tell, path: str = "data") -> Fault:
    remedy = (
        "compare labels, order of classes and pixels with what the network was trained on; where"
        " one class is nearly all, use more test samples, and judge by balanced_accuracy"
    )
    return tell(path, f"before it is pruned, the {recalls.worth}", None, remedy)
