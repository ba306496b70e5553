"""Sending a boundary: every tensor through the codec and back, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from flexrel_sim.codec import Codec
from flexrel_sim.scenario.schema import CodecSection

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sent", "make_codec", "send"]


class Sent:
    """What crossed the link, and what came of it.

    Parameters
    ----------
    payload_bytes
        Encoded bytes of every sample, those of all tensors together.
    received
        The tensors as decoded, ``(batch, …)`` each.
    exact
        Whether they are, bit for bit, what was sent.
    """

    def __init__(
        self,
        payload_bytes: NDArray[np.int64],
        received: tuple[NDArray[np.float32], ...],
        *,
        exact: bool,
    ) -> None:
        self.payload_bytes = payload_bytes
        self.received = received
        self.exact = exact


def make_codec(section: CodecSection) -> Codec:
    """Build the codec that a scenario asks for."""
    return Codec(section.dtype, section.compress, section.level)


def send(codec: Codec, boundary: Sequence[Tensor]) -> Sent:
    """Encode and decode the tensors of a boundary, each on its own.

    Parameters
    ----------
    codec
        What encodes one sample's tensor, and decodes it.
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
    for tensor in boundary:
        sent = tensor.numpy()
        if sent.dtype != np.float32 or len(sent) != len(total):
            raise ValueError(
                f"a boundary tensor must be float32 with one entry per sample to be encoded, got"
                f" {sent.dtype} of shape {sent.shape} for {len(total)} samples"
            )
        payloads = [codec.encode(sample) for sample in sent]
        got = np.stack([codec.decode(payload, sent.shape[1:]) for payload in payloads])
        total += [len(payload) for payload in payloads]
        # Bits, not values: -0.0 equals 0.0 and divides otherwise.
        exact = exact and np.array_equal(
            np.ascontiguousarray(sent).view(np.uint32), got.view(np.uint32)
        )
        received.append(got)
    return Sent(total, tuple(received), exact=exact)
