"""What a network's numbers come from, as hashes. No torch."""

from __future__ import annotations

import hashlib

from flexrel_sim.networks.card import CardFile
from flexrel_sim.networks.packaged import PACKAGED

__all__ = ["network_digests"]


def network_digests(card_file: CardFile) -> dict[str, str]:
    """Hash what a network is made of, and its weights.

    Parameters
    ----------
    card_file
        The card; one with a factory has been through `called`.

    Returns
    -------
    dict
        ``architecture_sha256``, ``checkpoint_sha256`` (of the recorded file, or of a package's
        weights; empty before training), and of what a factory gave ``network_sha256`` and
        ``answers_sha256``: operations, settings, code, weights and what they answer. A file's hash
        would not do: a factory imports others, and may load its weights itself.

    Raises
    ------
    ValueError
        If the factory was not called: nobody knows what it gives.
    """
    card = card_file.card
    architecture = hashlib.sha256(card.architecture.model_dump_json().encode()).hexdigest()
    checkpoint = card.checkpoint.sha256 if card.checkpoint else ""
    if card.needs_package:
        checkpoint = PACKAGED[card.architecture.family].sha256
    digests = {"architecture_sha256": architecture, "checkpoint_sha256": checkpoint}
    if card_file.is_code:
        if card_file.built is None:
            raise ValueError(f"{card_file.file}: the factory was not called")
        digests |= card_file.built.digests
    return digests
