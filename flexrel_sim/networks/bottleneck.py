"""A learned bottleneck: an encoder that narrows the boundary, and a decoder that restores it."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from flexrel_sim.bounds import too_large
from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.bottleneck_card import BottleneckFile
from flexrel_sim.networks.weights import fill, read_tensors
from flexrel_sim.partition import split_network
from flexrel_sim.reading import reading

__all__ = ["BOTTLENECK_CUT", "build_bottleneck", "load_bottleneck", "with_bottleneck"]

BOTTLENECK_CUT = "encoder"
"""The cut of a network with a bottleneck in it: behind the module of this name."""

_MAP_AXES = 3

_BYTES_PER_WEIGHT = 4


def build_bottleneck(boundary: tuple[int, ...], channels: int, stride: int) -> nn.ModuleDict:
    """Make an encoder and a decoder with new weights.

    Parameters
    ----------
    boundary
        Shape at the cut, without the batch: ``(channels, height, width)`` or ``(numbers,)``.
    channels
        How many of them cross the link.
    stride
        Height and width are divided by it.

    Returns
    -------
    torch.nn.ModuleDict
        ``encoder`` and ``decoder``.

    Raises
    ------
    ValueError
        If the boundary is of another kind, or the stride doesn't divide height and width.

    References
    ----------
    Eshratifar, Esmaili, Pedram, *BottleNet: a deep learning architecture for intelligent mobile
    cloud computing services*, ISLPED 2019, section 3: a convolution that reduces channels and
    space, and its counterpart. Ours restores space by pixel shuffling.
    """
    if len(boundary) == 1 and stride == 1:
        encoder: list[nn.Module] = [nn.Linear(boundary[0], channels), nn.ReLU()]
        decoder: list[nn.Module] = [nn.Linear(channels, boundary[0])]
    elif len(boundary) == _MAP_AXES and not (boundary[1] % stride or boundary[2] % stride):
        encoder = [nn.Conv2d(boundary[0], channels, 3, stride, padding=1), nn.ReLU()]
        decoder = [nn.Conv2d(channels, boundary[0] * stride**2, 3, padding=1)]
        decoder += [nn.PixelShuffle(stride)] if stride > 1 else []
    else:
        raise ValueError(
            f"a bottleneck of stride {stride} needs a boundary (channels, height, width) whose"
            f" height and width it divides, or with stride 1 a vector; got {boundary}"
        )
    return nn.ModuleDict({"encoder": nn.Sequential(*encoder), "decoder": nn.Sequential(*decoder)})


def load_bottleneck(found: BottleneckFile) -> nn.ModuleDict:
    """Build a bottleneck and fill in its weights; in evaluation mode.

    Parameters
    ----------
    found
        Its card.

    Returns
    -------
    torch.nn.ModuleDict
        As `build_bottleneck` gives it.

    Raises
    ------
    CheckpointError
        If it would unfold to more than an input may, or its weights can't be read or don't fit.
    """
    card = found.card
    # The decoder of a map has the most: 9 weights for every channel in and every value out.
    weights = 9 * card.boundary[0] * card.channels * card.stride**2
    if rule := too_large(_BYTES_PER_WEIGHT * weights):
        raise CheckpointError(f"{found.file}: {rule}")
    bottleneck = build_bottleneck(tuple(card.boundary), card.channels, card.stride)
    remedy = "train it again with 'flexrel-sim train-bottleneck'"
    with reading(found.checkpoint, remedy, CheckpointError):
        fill(bottleneck, read_tensors(found.checkpoint))
    return bottleneck.eval().requires_grad_(False)


def with_bottleneck(network: nn.Module, cut: str, bottleneck: nn.ModuleDict) -> nn.Sequential:
    """Put a bottleneck into a network, so that its layers count as all others do.

    Parameters
    ----------
    network
        Any network; its weights are shared.
    cut
        Where.
    bottleneck
        What `build_bottleneck` gave.

    Returns
    -------
    torch.nn.Sequential
        Head, encoder, decoder and tail, to be cut at `BOTTLENECK_CUT`.
    """
    head, tail = split_network(network, cut)
    encoder, decoder = bottleneck["encoder"], bottleneck["decoder"]
    parts = [("head", head), (BOTTLENECK_CUT, encoder), ("decoder", decoder), ("tail", tail)]
    return nn.Sequential(OrderedDict(parts))
