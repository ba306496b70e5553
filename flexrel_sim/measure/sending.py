"""Sending a boundary: every tensor through the codec and back, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flexrel_sim.codec import AnyCodec

__all__ = ["Sent", "send"]


@dataclass(frozen=True)
class Sent:
    """What crossed the link, and what came of it.

    Parameters
    ----------
    payload_bytes
        Encoded bytes of every sample, those of all tensors together.
    received
        The tensors as decoded, ``(batch, …)`` each; None if they are, bit for bit, what was sent.
    """

    payload_bytes: NDArray[np.int64]
    received: tuple[NDArray[np.float32], ...] | None


def send(codecs: Sequence[AnyCodec], boundary: Sequence[Tensor]) -> Sent:
    """Encode and decode the tensors of a boundary, each on its own.

    Parameters
    ----------
    codecs
        What encodes and decodes one sample's tensor, for each tensor.
    boundary
        Tensors ``(batch, …)`` of float32.

    Returns
    -------
    Sent
        Payloads, and what the other side has.

    Raises
    ------
    ValueError
        If a tensor is not of float32, or can't be encoded.
    """
    total = np.zeros(len(boundary[0]), np.int64)
    received: list[NDArray[np.float32]] = []
    exact = True
    for codec, tensor in zip(codecs, boundary, strict=True):
        sent = tensor.contiguous().numpy()
        if sent.dtype != np.float32 or len(sent) != len(total):
            raise ValueError(
                f"a boundary tensor must be float32 with one entry per sample to be encoded, got"
                f" {sent.dtype} of shape {sent.shape} for {len(total)} samples"
            )
        payloads = [codec.encode(sample) for sample in sent]
        total += [len(payload) for payload in payloads]
        received.append(np.stack([codec.decode(payload, sent.shape[1:]) for payload in payloads]))
        exact = exact and _same_bits(sent, received[-1])
    return Sent(total, None if exact else tuple(received))


def _same_bits(sent: NDArray[np.float32], got: NDArray[np.float32]) -> bool:
    # Bits, not values: -0.0 equals 0.0 and divides otherwise.
    return np.array_equal(sent.view(np.uint32), got.view(np.uint32))
