"""Where a network can be cut and what can be pruned of it, known without its weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.architectures import Architecture, Vgg
from flexrel_sim.networks.card import CardFile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Built", "Outline", "called", "outline", "outline_of"]


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


@dataclass(frozen=True)
class Built:
    """What a card's factory gave when it was called.

    Parameters
    ----------
    digests
        Hashes of the network and of what it answers.
    outline
        Its parts.
    """

    digests: dict[str, str]
    outline: Outline


def called(card_file: CardFile, *, fresh: bool = False) -> CardFile:
    """Call a card's factory once, and note what it gave.

    Parameters
    ----------
    card_file
        The card.
    fresh
        Whether the network is to be trained, and its checkpoint is not of interest.

    Returns
    -------
    CardFile
        With what was built; the card as it is, if it has no factory.

    Raises
    ------
    CheckpointError
        If the factory may not be called, or can't give a network, or its checkpoint doesn't fit.
    """
    if not card_file.is_code:
        return card_file
    from flexrel_sim.networks.build import (  # noqa: PLC0415 - it needs torch
        NETWORK,
        built_network,
        load_network,
    )
    from flexrel_sim.networks.fingerprint import (  # noqa: PLC0415 - it needs torch
        answers_sha256,
        network_sha256,
    )

    bare = replace(card_file, built=None)
    network = built_network(bare) if fresh else load_network(bare)
    try:
        parts = outline_of(network)
    except CheckpointError as error:
        raise CheckpointError(f"{card_file.file}: {error}") from None
    answers = answers_sha256(network, card_file.card.architecture.input_shape)
    digests = {NETWORK: network_sha256(network), "answers_sha256": answers}
    return replace(card_file, built=Built(digests, parts))


def outline(card_file: CardFile) -> Outline:
    """Outline the network on a card; a checkpoint is read only where filters were removed.

    Parameters
    ----------
    card_file
        The card. A ``vgg`` needs no torch, unless filters were removed from it; one with a factory
        has been through `called`.

    Returns
    -------
    Outline
        Its parts.

    Raises
    ------
    CheckpointError
        If it has a factory, which was not called; or its network has nothing to prune.
    """
    if card_file.is_code:
        if card_file.built is None:
            raise CheckpointError(
                f"{card_file.file}: architecture.factory: is code, which is not run to look at a"
                " network; 'flexrel-sim cuts' calls it"
            )
        return card_file.built.outline
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

    # Without memory for the weights, whose values are of no interest.
    with torch.device("meta"):
        network = build_network(architecture)
    return outline_of(network)


_ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)
