"""Which entry meets which track and pair, and by which settings it then prunes. No torch."""

from __future__ import annotations

from flexrel_sim.comparison.schema import Entry, Pair, Track
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario.schema import PruningSection

__all__ = ["merged", "takes_part", "theirs"]


def takes_part(entry: Entry, track: Track, pair: Pair) -> bool:
    """Tell whether an entry prunes the networks of a pair along a track."""
    if track.pairs is not None and pair.label not in track.pairs:
        return False
    if entry.pairs is not None and pair.label not in entry.pairs:
        return False
    if track.entries is not None and entry.label not in track.entries:
        return False
    criterion = CRITERIA.get(entry.pruning.criterion)
    # One that there is not is refused where it is named.
    filters_only = criterion is not None and criterion.level == "filters"
    return track.pruning.granularity == "filters" or not filters_only


def theirs(track: Track) -> frozenset[str]:
    """Name the settings that a track makes for all entries; the criterion is the entry's."""
    return frozenset(track.pruning.model_fields_set - {"criterion"})


def merged(entry: Entry, track: Track) -> PruningSection:
    """Give the settings by which an entry prunes along a track, the ratio left to the points."""
    # Not by model_copy of the whole: a section's defaults must not hide what the entry says.
    made = {name: getattr(track.pruning, name) for name in theirs(track)}
    return entry.pruning.model_copy(update=made)
