"""Named generators: all randomness of a replication comes from one of them."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["STREAMS", "Streams", "generator"]

STREAMS: Final = (
    "arrivals",
    "samples",
    "edge service",
    "server service",
    "devices",
    "bursts",
    "phases",
    "jitter",
    "tiers",
    "uplink",
    "downlink",
    "edge failures",
    "server failures",
    "background",
    "background service",
    "think",
    "link rates",
    "updates",
)
"""Names of all streams. New ones go to the end, or old seeds would give other draws."""


def generator(seed: int, replication: int, stream: str) -> np.random.Generator:
    """Make the generator of a named stream, independent of all others.

    Parameters
    ----------
    seed
        Seed of the study.
    replication
        Index of the replication.
    stream
        One of `STREAMS`.

    Returns
    -------
    numpy.random.Generator
        A child of the seed, as `numpy.random.SeedSequence.spawn` would give.

    Raises
    ------
    ValueError
        If there is no such stream.
    """
    key = (replication, STREAMS.index(stream))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class Streams(dict[str, np.random.Generator]):
    """The generators of one replication, each made when first asked for.

    Parameters
    ----------
    seed
        Seed of the study.
    replication
        Index of the replication.
    """

    def __init__(self, seed: int, replication: int) -> None:
        super().__init__()
        self.seed, self.replication = seed, replication

    def __missing__(self, stream: str) -> np.random.Generator:
        """Make a stream's generator."""
        self[stream] = generator(self.seed, self.replication, stream)
        return self[stream]
