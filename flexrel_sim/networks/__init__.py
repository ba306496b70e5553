"""Networks: cards that describe them (no torch), and `networks.build`, which builds them."""

from flexrel_sim.networks.architectures import FAMILIES, Architecture
from flexrel_sim.networks.card import (
    Card,
    CardFile,
    CheckpointRecord,
    Training,
    checkpoint_file,
    load_card,
    training_dataset,
    training_faults,
)
from flexrel_sim.networks.card_edit import (
    checkpoint_to_write,
    with_record,
    write_checkpoint_record,
)
from flexrel_sim.networks.consent import CONSENT_VARIABLE, Consent, consent_to
from flexrel_sim.networks.digest import network_digests
from flexrel_sim.networks.outline import Outline, called, outline
from flexrel_sim.networks.vgg import LayerPlan, vgg_plan

__all__ = [
    "CONSENT_VARIABLE",
    "FAMILIES",
    "Architecture",
    "Card",
    "CardFile",
    "CheckpointRecord",
    "Consent",
    "LayerPlan",
    "Outline",
    "Training",
    "called",
    "checkpoint_file",
    "checkpoint_to_write",
    "consent_to",
    "load_card",
    "network_digests",
    "outline",
    "training_dataset",
    "training_faults",
    "vgg_plan",
    "with_record",
    "write_checkpoint_record",
]
