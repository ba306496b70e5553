"""What a network's numbers come from, as hashes. No torch, and no code of the user's is run."""

from __future__ import annotations

import hashlib
from importlib.machinery import PathFinder
from pathlib import Path

from flexrel_sim.networks.architectures import Factory
from flexrel_sim.networks.card import CardFile, sha256_of
from flexrel_sim.networks.packaged import PACKAGED

__all__ = ["network_digests"]


def network_digests(card_file: CardFile) -> dict[str, str]:
    """Hash what a network is made of, and its weights.

    Parameters
    ----------
    card_file
        The card.

    Returns
    -------
    dict
        ``architecture_sha256``, ``checkpoint_sha256`` (of the recorded file, or of a package's
        weights; empty before training), and for a factory ``factory_sha256``, of the file that
        holds the function (empty if it is not found).
    """
    card = card_file.card
    architecture = hashlib.sha256(card.architecture.model_dump_json().encode()).hexdigest()
    checkpoint = card.checkpoint.sha256 if card.checkpoint else ""
    if card.needs_package:
        checkpoint = PACKAGED[card.architecture.family].sha256
    digests = {"architecture_sha256": architecture, "checkpoint_sha256": checkpoint}
    if isinstance(card.architecture, Factory):
        digests["factory_sha256"] = _source_sha256(card.architecture.factory.partition(":")[0])
    return digests


def _source_sha256(module: str) -> str:
    # Step by step from the top: `importlib.util.find_spec` would import the packages above.
    path, origin = None, ""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:length]), path)
        if spec is None:
            return ""
        path, origin = spec.submodule_search_locations, spec.origin or ""
    return sha256_of(Path(origin)) if Path(origin).is_file() else ""
