"""What can't be known of a network whose factory is not called. No torch, and nothing is run."""

from __future__ import annotations

from pathlib import Path

from flexrel_sim.errors import Fault
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.measure.spec import BEST
from flexrel_sim.networks import CONSENT_VARIABLE, CardFile, consent_to
from flexrel_sim.scenario import Scenario

__all__ = ["unseen_warning"]


def unseen_warning(scenario: Scenario, card_file: CardFile, folder: Path, tell: Tell) -> Fault:
    """Say what was not checked, and what a run will ask for.

    Parameters
    ----------
    scenario
        One point.
    card_file
        Its network's card, with a factory.
    folder
        The scenario's.
    tell
        Makes a fault at a key.

    Returns
    -------
    Fault
        A warning.
    """
    factory = getattr(card_file.card.architecture, "factory", "")
    module = factory.partition(":")[0]
    not_checked = ", ".join(_not_checked(scenario))
    rule = f"has a factory, which is code and is not run to check it; not checked: {not_checked}"
    consent = consent_to().beside(folder).beside(card_file.file.parent)
    remedy = "a run checks it before it measures"
    if not consent.finds(module):
        places = ", ".join(map(str, consent.places))
        remedy = f"its module is not found in {places}, nor on Python's path: a run will refuse it"
    elif not consent.covers(module):
        remedy = f"a run needs --allow-factory {module}, or {CONSENT_VARIABLE}, and checks it then"
    return tell("model.network", rule, factory, remedy)


def _not_checked(scenario: Scenario) -> list[str]:
    """List what hangs on the network's layers and operations."""
    pruning, split = scenario.pruning, scenario.split
    found = ["that it gives a network for these images and classes, which its checkpoint fits"]
    if split.cut not in ("server", "edge", BEST):
        found.append(f"split.cut {split.cut!r}")
    if split.bottleneck is not None:
        found.append("split.bottleneck")
    if pruning.prunes:
        named = pruning.exclude or not isinstance(pruning.min_kept, float)
        found += ["the layers that pruning names"] if named else []
        found.append(
            "that pruning reaches its ratio" if pruning.pattern == "none" else "its pattern"
        )
    return found
