"""Networks: cards that describe them (no torch), and `networks.build`, which builds them."""

from flexrel_sim.networks.architectures import FAMILIES, Architecture
from flexrel_sim.networks.card import (
    Card,
    CardFile,
    CheckpointRecord,
    Training,
    checkpoint_file,
    load_card,
    sha256_of,
    training_dataset,
    training_faults,
)
from flexrel_sim.networks.card_edit import (
    checkpoint_to_write,
    with_record,
    write_checkpoint_record,
)
from flexrel_sim.networks.digest import network_digests
from flexrel_sim.networks.outline import Outline, outline
from flexrel_sim.networks.vgg import LayerPlan, vgg_plan

__all__ = [
    "FAMILIES",
    "Architecture",
    "Card",
    "CardFile",
    "CheckpointRecord",
    "LayerPlan",
    "Outline",
    "Training",
    "checkpoint_file",
    "checkpoint_to_write",
    "load_card",
    "network_digests",
    "outline",
    "sha256_of",
    "training_dataset",
    "training_faults",
    "vgg_plan",
    "with_record",
    "write_checkpoint_record",
]
