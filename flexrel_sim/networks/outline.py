"""Where a network can be cut and what can be pruned of it, known without its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.architectures import Architecture, Vgg
from flexrel_sim.networks.card import CardFile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Outline", "outline", "outline_of"]


@dataclass(frozen=True)
class Outline:
    """The parts of a network that a scenario can name.

    Parameters
    ----------
    boundaries
        Operations after which it can be cut, in order; `server` and `edge` are not among them.
    weights
        Prunable layer to its number of weights, biases not counted.
    filters
        Prunable layer to its number of filters or neurons; the last layer's are the answers, and
        not among them.
    last
        The last operation.
    blocks
        Other names of boundaries: a module, and the last operation in it.
    inputs
        Prunable layer to the inputs of each of its filters.
    """

    boundaries: tuple[str, ...]
    weights: dict[str, int]
    filters: dict[str, int]
    last: str
    blocks: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)


def outline(card_file: CardFile) -> Outline:
    """Outline the network on a card; a checkpoint is read only where filters were removed.

    Parameters
    ----------
    card_file
        The card. A ``vgg`` needs no torch, unless filters were removed from it.

    Returns
    -------
    Outline
        Its parts.

    Raises
    ------
    CheckpointError
        If a factory can't give a network, or its network has nothing to prune.
    """
    if card_file.card.pruned:
        # Only its checkpoint knows how many filters are left.
        from flexrel_sim.networks.build import load_network  # noqa: PLC0415 - it needs torch

        return outline_of(load_network(card_file))
    try:
        return _outline(card_file.card.architecture.model_dump_json())
    except CheckpointError as error:
        raise CheckpointError(f"{card_file.file}: {error}") from None


def outline_of(network: nn.Module) -> Outline:
    """Outline a network that is built.

    Parameters
    ----------
    network
        Any network with a convolution or linear layer.

    Returns
    -------
    Outline
        Its parts.
    """
    from torch import nn  # noqa: PLC0415 - most networks are outlined without torch

    from flexrel_sim.partition import EDGE, trace  # noqa: PLC0415 - it needs torch

    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    if not layers:
        raise CheckpointError(
            "architecture: must have a convolution or linear layer; name another network"
        )
    filters = {name: layer.weight.shape[0] for name, layer in layers.items()}
    filters.popitem()
    weights = {name: layer.weight.numel() for name, layer in layers.items()}
    graph = trace(network)
    return Outline(
        tuple(graph.cuts)[1:-1],
        weights,
        filters,
        graph.operations[-1].name,
        {block: cut for block, cut in graph.blocks.items() if cut != EDGE},
        {name: layer.weight.shape[1] for name, layer in layers.items()},
    )


@cache
def _outline(architecture_json: str) -> Outline:
    architecture: Architecture = _ARCHITECTURE.validate_json(architecture_json)
    return _planned(architecture) if isinstance(architecture, Vgg) else _built(architecture)


def _planned(architecture: Vgg) -> Outline:
    plan = architecture.plan()
    layers = [layer for layer in plan if layer.kind in ("conv2d", "linear")]
    names = (["preprocess"] if architecture.preprocess else []) + [layer.name for layer in plan]
    return Outline(
        tuple(names[:-1]),
        {layer.name: layer.weights for layer in layers},
        {layer.name: layer.outputs for layer in layers[:-1]},
        names[-1],
        inputs={layer.name: layer.inputs for layer in layers},
    )


def _built(architecture: Architecture) -> Outline:
    import torch  # noqa: PLC0415 - most networks are outlined without torch

    from flexrel_sim.networks.build import build_network  # noqa: PLC0415 - it needs torch

    try:
        # Without memory for the weights, whose values are of no interest.
        with torch.device("meta"):
            network = build_network(architecture)
    except CheckpointError:
        if architecture.family != "factory":
            raise
        # Some factories compute with numbers, which a tensor without memory does not have.
        network = build_network(architecture)
    return outline_of(network)


_ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)
