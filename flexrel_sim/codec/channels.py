"""Channels that are not sent: the receiver knows what to put in their place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.codec.payload import AnyCodec

__all__ = ["ChannelCodec"]


@dataclass(frozen=True)
class ChannelCodec:
    """Some channels, by another codec; the same ones of every sample.

    Parameters
    ----------
    inner
        What encodes those that are sent.
    sent
        Their places in the first axis, rising.
    fill
        What each channel is taken for where it is not sent, one number for every channel of the
        tensor: both sides hold it, and it is sent with the network.
    """

    inner: AnyCodec
    sent: tuple[int, ...]
    fill: tuple[float, ...]

    @cached_property
    def name(self) -> str:
        """What it does, in one word."""
        return f"{self.inner.name}+{len(self.sent)}-of-{len(self.fill)}-channels"

    def encode(self, tensor: NDArray[np.float32]) -> bytes:
        """Encode one sample's channels that are sent, ``(channels, ...)``."""
        self._demand(tensor.shape)
        return self.inner.encode(tensor[list(self.sent)])

    def decode(self, payload: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Decode one sample's payload; raise PayloadError if it is none."""
        self._demand(shape)
        tensor = self._filled(shape)
        tensor[list(self.sent)] = self.inner.decode(payload, (len(self.sent), *shape[1:]))
        return tensor

    def bound(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the greatest error of each value; of a channel not sent, how far the fill is."""
        away = np.abs(tensor.astype(np.float64) - self._filled(tensor.shape))
        away[list(self.sent)] = self.inner.bound(tensor[list(self.sent)])
        return away

    def _filled(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        fill = np.array(self.fill, np.float32).reshape(-1, *[1] * (len(shape) - 1))
        return np.broadcast_to(fill, shape).copy()

    def _demand(self, shape: tuple[int, ...]) -> None:
        if not shape or shape[0] != len(self.fill):
            raise ValueError(f"a tensor must have {len(self.fill)} channels, got shape {shape}")
