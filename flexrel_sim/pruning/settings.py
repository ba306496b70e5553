"""What a pruning section means, where it takes more than reading. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flexrel_sim.scenario.pruning_sections import PruningSection

__all__ = ["least_kept", "same_floors", "tried_ratios"]


def least_kept(min_kept: Mapping[str, float] | float, layer: str, units: int) -> int:
    """Give how many of a layer's units ``min_kept`` keeps, whatever their scores: one at least."""
    share = min_kept
    if isinstance(share, Mapping):
        share = share.get(layer, share.get("default", 0.0))
    # Rounded first: 0.07 x 100 is a little more than 7 in floating point, and means 7.
    return max(1, math.ceil(round(share * units, 9)))


def same_floors(
    min_kept: Mapping[str, float] | float, before: Mapping[str, int], now: Mapping[str, int]
) -> dict[str, float]:
    """Give fractions of smaller layers that are what ``min_kept`` is of the layers before.

    Parameters
    ----------
    min_kept
        As in a pruning section.
    before, now
        Layer name to its units, before anything was removed and now.

    Returns
    -------
    dict
        Layer name to a fraction; 1 where less is left than ``min_kept`` would keep.
    """
    return {
        name: min(1.0, least_kept(min_kept, name, before[name]) / units)
        for name, units in now.items()
    }


def tried_ratios(pruning: PruningSection) -> tuple[float, ...]:
    """Give the ratios that `delta: auto` tries: where only channels at the cut go, none but 0."""
    only_cut = pruning.cut_ratio > 0 and pruning.ratio == 0 and pruning.pattern == "none"
    return (0.0,) if only_cut else tuple(pruning.auto.ratios)
