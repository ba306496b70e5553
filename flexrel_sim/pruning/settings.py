"""What a pruning section means, where it takes more than reading. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from flexrel_sim.scenario.pruning_sections import PruningSection

__all__ = ["share_kept", "tried_ratios"]


def share_kept(min_kept: Mapping[str, float] | float, layer: str) -> float:
    """Give the fraction of a layer that ``min_kept`` keeps, whatever its scores."""
    if isinstance(min_kept, Mapping):
        return min_kept.get(layer, min_kept.get("default", 0.0))
    return min_kept


def tried_ratios(pruning: PruningSection) -> tuple[float, ...]:
    """Give the ratios that `delta: auto` tries: where only channels at the cut go, none but 0."""
    only_cut = pruning.cut_ratio > 0 and pruning.ratio == 0 and pruning.pattern == "none"
    return (0.0,) if only_cut else tuple(pruning.auto.ratios)
