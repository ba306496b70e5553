"""Networks: cards that describe them (no torch), and `networks.build`, which builds them."""

from flexrel_sim.networks.card import (
    FAMILIES,
    Card,
    CardFile,
    CheckpointRecord,
    checkpoint_file,
    load_card,
    sha256_of,
    write_checkpoint_record,
)
from flexrel_sim.networks.vgg import LayerPlan, vgg_plan

__all__ = [
    "FAMILIES",
    "Card",
    "CardFile",
    "CheckpointRecord",
    "LayerPlan",
    "checkpoint_file",
    "load_card",
    "sha256_of",
    "vgg_plan",
    "write_checkpoint_record",
]
