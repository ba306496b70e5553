"""The codec of an operating point, and what it learns from calibration samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flexrel_sim.codec import AnyCodec, ChannelCodec, codec_of
from flexrel_sim.scenario.data_sections import CodecSection

__all__ = ["fitted_codec", "most_relevant_channels"]


def fitted_codec(
    section: CodecSection, head: nn.Module, tail: nn.Module, images: Tensor, labels: Tensor
) -> AnyCodec:
    """Make a codec for a cut.

    Parameters
    ----------
    section
        What the scenario says.
    head, tail
        The halves that it connects.
    images, labels
        Calibration samples, which choose the channels that are sent where not all are.

    Returns
    -------
    AnyCodec
        The codec.
    """
    codec = codec_of(section)
    if section.channels == 1:
        return codec
    sent, fill = most_relevant_channels(head, tail, images, labels, section.channels)
    return ChannelCodec(codec, sent, fill)


def most_relevant_channels(
    head: nn.Module, tail: nn.Module, images: Tensor, labels: Tensor, share: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Choose the channels at a cut whose absence the answers would notice most.

    Parameters
    ----------
    head, tail
        The halves of the network.
    images, labels
        Calibration samples ``(batch, channels, height, width)`` and ``(batch,)``.
    share
        How many of the channels are chosen, rounded up.

    Returns
    -------
    chosen : tuple of int
        Rising.
    means : tuple of float
        Every channel's mean over samples and places, to be put in its place.

    References
    ----------
    Relevance is what the label's logit loses, to first order, when a channel is replaced by its
    mean, taken absolute and averaged over samples: Molchanov et al., *Pruning convolutional neural
    networks for resource efficient inference*, ICLR 2017, equation 8, about the mean instead of 0.
    """
    with torch.no_grad():
        boundary = head(images)
    boundary = boundary.detach().requires_grad_()
    logits = tail(boundary).gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(logits, boundary)
    values = boundary.detach().flatten(2) if boundary.ndim > 2 else boundary.detach()[..., None]
    means = values.mean((0, 2))
    change = (values - means[:, None]) * gradient.reshape(values.shape)
    relevance = change.sum(2).abs().mean(0)
    count = math.ceil(share * len(relevance))
    chosen = torch.argsort(relevance, descending=True, stable=True)[:count]
    return tuple(sorted(chosen.tolist())), tuple(means.tolist())
