"""Cards to torch networks, and their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError
from torch import nn

from flexrel_sim.errors import CheckpointError, one_line
from flexrel_sim.networks.architectures import (
    Architecture,
    EfficientNetLite0,
    Factory,
    Inputs,
    MobileNet,
    Preprocessing,
    ResNet,
    SqueezeNet,
    TorchvisionVgg,
    Vgg,
    VisionTransformer,
    refuse_too_large,
)
from flexrel_sim.networks.card import CardFile, checkpoint_file, retrain_remedy
from flexrel_sim.networks.consent import Consent
from flexrel_sim.networks.efficientnet import build_efficientnet_lite0
from flexrel_sim.networks.factory import build_by_factory
from flexrel_sim.networks.fingerprint import network_sha256
from flexrel_sim.networks.mobilenet import build_mobilenet
from flexrel_sim.networks.modules import Preprocess, chain
from flexrel_sim.networks.resnet import build_resnet
from flexrel_sim.networks.shrunk import shrink
from flexrel_sim.networks.squeezenet import build_squeezenet
from flexrel_sim.networks.vgg_layers import build_torchvision_vgg, build_vgg
from flexrel_sim.networks.vit import build_vit
from flexrel_sim.networks.weights import NotFiniteError, fill, read_tensors

__all__ = ["NETWORK", "build_network", "built_network", "load_network", "weights_of"]

NETWORK: Final = "network_sha256"
"""The digest by which a factory's network is known again."""

_PREPROCESS = "preprocess"
_WRAPPED = "network"

_BUILDERS: Final[dict[type[Inputs], Callable[[Any], nn.Module]]] = {
    Vgg: build_vgg,
    TorchvisionVgg: build_torchvision_vgg,
    ResNet: build_resnet,
    MobileNet: build_mobilenet,
    EfficientNetLite0: build_efficientnet_lite0,
    SqueezeNet: build_squeezenet,
    VisionTransformer: build_vit,
}


_ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def build_network(architecture: Architecture, consent: Consent | None = None) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture
        What it is made of.
    consent
        Which factories may be called; None for none.

    Returns
    -------
    torch.nn.Module
        From images ``(batch, channels, height, width)`` in 0..1 to logits ``(batch, classes)``. A
        chain of named layers, but for a transformer, and a factory's network, which is what the
        factory gives.

    Raises
    ------
    CheckpointError
        If a factory may not be called, or can't give a network; or any other network takes more
        memory than an input may.
    """
    if isinstance(architecture, Factory):
        network = build_by_factory(architecture, consent)
    else:
        _refuse_too_large(architecture)
        network = _BUILDERS[type(architecture)](architecture)
    return _preprocessed(network, architecture.preprocess)


def _refuse_too_large(architecture: Architecture) -> None:
    try:
        refuse_too_large(*_extent(architecture.model_dump_json()))
    except PydanticCustomError as error:
        told = error.context or {}
        raise CheckpointError(f"architecture: {told['rule']}; {told['remedy']}") from None


@cache
def _extent(architecture_json: str) -> tuple[int, int]:
    """Count weights, and the most values that a layer gives for an image; nothing is allocated."""
    architecture: Architecture = _ARCHITECTURE.validate_json(architecture_json)
    values = [0]

    def note(_module: nn.Module, _given: object, gave: object) -> None:
        values.append(gave.numel() if isinstance(gave, torch.Tensor) else 0)

    with torch.device("meta"), torch.inference_mode():
        network = _BUILDERS[type(architecture)](architecture).eval()
        for module in network.modules():
            module.register_forward_hook(note)
        # Images that don't fit the network are told of by who runs it.
        with suppress(RuntimeError, ValueError):
            network(torch.zeros(1, *architecture.input_shape))
    return sum(parameter.numel() for parameter in network.parameters()), max(values)


def load_network(card_file: CardFile) -> nn.Module:
    """Build a network and load its checkpoint, if it has one.

    Parameters
    ----------
    card_file
        The network's card.

    Returns
    -------
    torch.nn.Module
        The trained network in evaluation mode.

    Raises
    ------
    CheckpointError
        If the checkpoint is missing, truncated, not the recorded one, or does not fit; or a
        factory may not be called, or gives another network than when it was checked.
    """
    file = checkpoint_file(card_file)
    network = built_network(card_file)
    if file is not None:
        _fill(network, card_file, file)
    if card_file.is_code:
        _check_logits(network, card_file)
    if card_file.built is not None and card_file.built.digests[NETWORK] != network_sha256(network):
        raise CheckpointError(
            f"{card_file.file}: architecture.factory: gave another network than when it was"
            " checked; let it give the same one every time, and run again"
        )
    return network


def built_network(card_file: CardFile) -> nn.Module:
    """Build the network on a card, in evaluation mode; its checkpoint is not read.

    Parameters
    ----------
    card_file
        The network's card.

    Raises
    ------
    CheckpointError
        With the card's name, if a factory may not be called, or can't give a network.
    """
    try:
        if not card_file.is_code:
            return build_network(card_file.card.architecture).eval()
        # What a factory draws and no checkpoint holds is the same in every process.
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_network(card_file.card.architecture, card_file.consent).eval()
    except CheckpointError as error:
        raise CheckpointError(f"{card_file.file}: {error}") from None


def _fill(network: nn.Module, card_file: CardFile, file: Path) -> None:
    again = retrain_remedy(card_file)
    try:
        tensors = read_tensors(file)
    except ValueError as error:
        remedy = again or f"record a file of tensors on {card_file.file}"
        raise CheckpointError(f"{file}: checkpoint: {error}; {remedy}") from None
    remedy = again or "correct the card's architecture, or record the file that fits it"
    try:
        if card_file.card.pruned:
            shrink(weights_of(network), tensors)
        fill(weights_of(network), tensors)
    except NotFiniteError as error:
        remedy = again or "train again, or mend them"
        raise CheckpointError(f"{file}: checkpoint: {error}; {remedy}") from None
    except ValueError as error:
        raise CheckpointError(
            f"{file}: checkpoint: does not fit the architecture on {card_file.file} ({error});"
            f" {remedy}"
        ) from None


def weights_of(network: nn.Module) -> nn.Module:
    """Give the module whose state dict is the checkpoint: a network without its preprocessing."""
    children = dict(network.named_children())
    return children[_WRAPPED] if list(children) == [_PREPROCESS, _WRAPPED] else network


def _preprocessed(network: nn.Module, preprocess: Preprocessing | None) -> nn.Module:
    if preprocess is None:
        return network
    first = Preprocess(preprocess.mean, preprocess.std, preprocess.channel_order)
    if type(network) is nn.Sequential:
        # One chain: the names of its layers are those on scenarios and in checkpoints.
        children = {name: layer for name, layer in network._modules.items() if layer is not None}
        return chain(**{_PREPROCESS: first, **children})
    return chain(**{_PREPROCESS: first, _WRAPPED: network})


def _check_logits(network: nn.Module, card_file: CardFile) -> None:
    architecture = card_file.card.architecture
    wanted = (1, architecture.classes)
    try:
        with torch.inference_mode():
            logits = network(torch.zeros(1, *architecture.input_shape))
        is_tensor = isinstance(logits, torch.Tensor)
        got = str(tuple(logits.shape)) if is_tensor else type(logits).__name__
    except Exception as error:  # noqa: BLE001 - a user's forward may raise anything
        got = one_line(f"{type(error).__name__}: {error}")
    if got != str(wanted):
        raise CheckpointError(
            f"{card_file.file}: architecture.classes: the network must give logits {wanted} for an"
            f" image {architecture.input_shape}, got {got}; correct the card or the factory"
        )
