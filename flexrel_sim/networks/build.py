"""Cards to torch networks: a chain of named layers, and its checkpoint."""

from __future__ import annotations

from collections import OrderedDict

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.card import Architecture, CardFile, checkpoint_file
from flexrel_sim.networks.vgg import LayerPlan

__all__ = ["build_network", "load_network"]


def build_network(architecture: Architecture) -> nn.Sequential:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture
        What it is made of.

    Returns
    -------
    torch.nn.Sequential
        A chain of named layers from images ``(batch, channels, height, width)`` in 0..1 to logits
        ``(batch, classes)``.
    """
    return nn.Sequential(
        OrderedDict(
            (layer.name, _module(layer, architecture.dropout)) for layer in architecture.plan()
        )
    )


def load_network(card_file: CardFile) -> nn.Sequential:
    """Build a network and load its checkpoint.

    Parameters
    ----------
    card_file
        The network's card.

    Returns
    -------
    torch.nn.Sequential
        The trained network in evaluation mode.

    Raises
    ------
    CheckpointError
        If the checkpoint is missing, truncated, not the recorded one, or does not fit.
    """
    file = checkpoint_file(card_file)
    network = build_network(card_file.card.architecture)
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(
            f"{file}: checkpoint: does not fit the architecture on {card_file.file} ({detail});"
            f" train it with 'flexrel-sim train {card_file.file} --force'"
        ) from None
    return network.eval()


def _module(layer: LayerPlan, dropout: float) -> nn.Module:
    match layer.kind:
        case "conv2d":
            return nn.Conv2d(layer.inputs, layer.outputs, kernel_size=3, padding=1)
        case "relu":
            # Not in place: relevance reads activations after the layers that follow them.
            return nn.ReLU()
        case "maxpool2d":
            return nn.MaxPool2d(2)
        case "flatten":
            return nn.Flatten()
        case "linear":
            return nn.Linear(layer.inputs, layer.outputs)
        case _:
            return nn.Dropout(dropout)
