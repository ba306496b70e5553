"""What can't be known of a network whose factory is not called. No torch, and nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flexrel_sim.errors import Fault
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.measure.spec import BEST
from flexrel_sim.networks import CONSENT_VARIABLE, CardFile, consent_to
from flexrel_sim.scenario import Scenario

__all__ = ["NETWORK_UNSEEN", "unseen_network", "unseen_warning"]

NETWORK_UNSEEN: Final = "that it gives a network for these images and classes"


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
    rule, factory, remedy = unseen_network(card_file, folder, _not_checked(scenario), "a run")
    return tell("model.network", rule, factory, remedy)


def unseen_network(
    card_file: CardFile, folder: Path, not_checked: Sequence[str], who: str
) -> tuple[str, str, str]:
    """Give the rule, the value and the remedy of such a warning.

    Parameters
    ----------
    card_file
        As in `unseen_warning`.
    folder
        Of the file that names the card.
    not_checked
        What hangs on the network.
    who
        Checks it, and needs consent for that.
    """
    factory = getattr(card_file.card.architecture, "factory", "")
    module = factory.partition(":")[0]
    rule = (
        "has a factory, which is code and is not run to check it; not checked:"
        f" {', '.join(not_checked)}"
    )
    consent = consent_to().beside(folder).beside(card_file.file.parent)
    remedy = f"{who} checks it before it measures"
    if not consent.finds(module):
        places = ", ".join(map(str, consent.places))
        remedy = f"its module is not found in {places}, nor on Python's path: {who} will refuse it"
    elif not consent.covers(module):
        remedy = f"{who} needs --allow-factory {module}, or {CONSENT_VARIABLE}, and checks it then"
    return rule, factory, remedy


def _not_checked(scenario: Scenario) -> list[str]:
    """List what hangs on the network's layers and operations."""
    pruning, split = scenario.pruning, scenario.split
    found = [f"{NETWORK_UNSEEN}, which its checkpoint fits"]
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
