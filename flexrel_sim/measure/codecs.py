"""The codecs of an operating point, and what they learn from calibration samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flexrel_sim.codec import AnyCodec, ChannelCodec, codec_of
from flexrel_sim.partition import EDGE, CutPoint, Graph, split_graph
from flexrel_sim.scenario.data_sections import CodecSection

__all__ = ["fitted_codecs", "most_relevant_channels"]


def fitted_codecs(
    section: CodecSection, graph: Graph, cut: CutPoint, images: Tensor, labels: Tensor
) -> tuple[AnyCodec, ...]:
    """Make the codecs of a cut.

    Parameters
    ----------
    section
        What the scenario says.
    graph, cut
        The network, and where it is cut.
    images, labels
        Calibration samples, which choose the channels that are sent where not all are.

    Returns
    -------
    tuple of AnyCodec
        One for each tensor that crosses, in their order; none at ``edge``.
    """
    if cut.name == EDGE:
        return ()
    codec = codec_of(section)
    if section.channels == 1:
        return (codec,) * len(cut.values)
    halves = split_graph(graph, cut)
    chosen = most_relevant_channels(*halves, images, labels, section.channels)
    return tuple(ChannelCodec(codec, sent, fill) for sent, fill in chosen)


def most_relevant_channels(
    head: nn.Module, tail: nn.Module, images: Tensor, labels: Tensor, share: float
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Choose the channels at a cut whose absence the answers would notice most.

    Parameters
    ----------
    head, tail
        The halves of the network; the head gives one tensor, or a tuple of them.
    images, labels
        Calibration samples ``(batch, channels, height, width)`` and ``(batch,)``.
    share
        How many of the channels of each tensor are chosen, rounded up.

    Returns
    -------
    list of (tuple of int, tuple of float)
        For each tensor what is chosen, rising, and every channel's mean over samples and places,
        to be put in its place.

    References
    ----------
    Relevance is what the label's logit loses, to first order, when a channel is replaced by its
    mean, taken absolute and averaged over samples: Molchanov et al., *Pruning convolutional neural
    networks for resource efficient inference*, ICLR 2017, equation 8, about the mean instead of 0.
    """
    with torch.no_grad():
        found = head(images)
    tensors = found if isinstance(found, tuple) else (found,)
    boundary = [tensor.detach().requires_grad_() for tensor in tensors]
    logits = tail(*boundary).gather(1, labels[:, None]).sum()
    gradients = torch.autograd.grad(logits, boundary)
    return [_chosen(*pair, share) for pair in zip(boundary, gradients, strict=True)]


def _chosen(
    tensor: Tensor, gradient: Tensor, share: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    tensor = tensor.detach()
    values = tensor.flatten(2) if tensor.ndim > 2 else tensor[..., None]
    means = values.mean((0, 2))
    change = (values - means[:, None]) * gradient.reshape(values.shape)
    relevance = change.sum(2).abs().mean(0)
    count = math.ceil(share * len(relevance))
    chosen = torch.argsort(relevance, descending=True, stable=True)[:count]
    return tuple(sorted(chosen.tolist())), tuple(means.tolist())
