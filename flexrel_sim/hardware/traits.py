"""What a device needs to know of a network besides its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from flexrel_sim.profile import Profile
from flexrel_sim.scenario.device_sections import Precision

__all__ = ["NUMBER_BYTES", "NetworkTraits", "Pattern", "Precision"]

Pattern = Literal["none", "2:4", "4:8"]
"""N non-zero weights at most in every M along a filter's inputs; `none` where zeros fall freely."""

NUMBER_BYTES: Final[dict[str, int]] = {"float64": 8, "float32": 4, "float16": 2, "int8": 1}
"""Bytes of one number of each format."""


@dataclass(frozen=True)
class NetworkTraits:
    """Which network runs, and in what numbers.

    Parameters
    ----------
    network, macs
        Its name and MACs, by which a table of measured layers is found to be its own; tables of
        layer names apply to no unnamed network.
    pattern
        N:M pattern that it was pruned to.
    precision
        Number format that it runs in.
    """

    network: str | None = None
    macs: int | None = None
    pattern: Pattern = "none"
    precision: Precision = "float32"

    @classmethod
    def of(cls, profile: Profile, precision: Precision = "float32") -> NetworkTraits:
        """Take the traits of a profile's network."""
        pattern = profile.operating_point.get("pruning", {}).get("pattern", "none")
        return cls(profile.network, profile.macs, pattern, precision)
