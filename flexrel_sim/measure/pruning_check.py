"""What can be wrong with a pruning section, found before any work. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from flexrel_sim.errors import Fault
from flexrel_sim.networks import CardFile, Outline
from flexrel_sim.pruning import CRITERIA, Criterion
from flexrel_sim.pruning.settings import least_kept
from flexrel_sim.scenario import did_you_mean
from flexrel_sim.scenario.pruning_sections import PruningSection

__all__ = [
    "Tell",
    "aim_warnings",
    "network_faults",
    "pattern_warnings",
    "pruning_faults",
    "pruning_warnings",
]


class Tell(Protocol):
    """Makes a fault at a key of the scenario."""

    def __call__(self, path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        """Place a fault."""


def pruning_faults(pruning: PruningSection, cut: str, tell: Tell) -> Iterator[Fault]:
    """Find what is wrong with a pruning section whatever the network.

    Parameters
    ----------
    pruning
        The section.
    cut
        Where the network is split.
    tell
        Makes a fault at a key.

    Yields
    ------
    Fault
        Every fault.
    """
    criterion = CRITERIA.get(pruning.criterion)
    if criterion is None:
        remedy = did_you_mean(pruning.criterion, CRITERIA)
        yield tell("pruning.criterion", "unknown criterion", pruning.criterion, remedy)
    elif criterion.level == "filters" and pruning.granularity == "weights" and pruning.prunes:
        rule = "tells filters apart, not weights"
        remedy = "set pruning.granularity to filters, or use another criterion"
        yield tell("pruning.criterion", rule, pruning.criterion, remedy)
    yield from _count_faults(pruning, tell)
    yield from _pattern_faults(pruning, tell)
    if pruning.cut_ratio and cut in ("server", "edge"):
        rule = f"has no channels to remove: none cross the link at the cut {cut!r}"
        yield tell("pruning.cut_ratio", rule, pruning.cut_ratio, "set 0, or cut elsewhere")
    if pruning.auto.aim == "accuracy" and pruning.auto.accuracy is None:
        remedy = "give the validation accuracy to keep, such as 0.9"
        yield tell("pruning.auto.accuracy", "is required by the aim 'accuracy'", None, remedy)


def network_faults(
    pruning: PruningSection, cut: str, card_file: CardFile, parts: Outline | None, tell: Tell
) -> Iterator[Fault]:
    """Find what is wrong with a pruning section for its network.

    Parameters
    ----------
    pruning, cut
        As in `pruning_faults`.
    card_file, parts
        The network, and what can be pruned of it; None where that is not known.
    tell
        Makes a fault at a key.

    Yields
    ------
    Fault
        Every fault.
    """
    if parts is not None:
        yield from _layer_faults(pruning, card_file, parts, tell)
        yield from _ratio_faults(pruning, parts, tell)
        yield from _cut_ratio_faults(pruning, cut, parts, tell)
        yield from _fit_faults(pruning, card_file, parts, tell)
    shape = pruning.granularity == "filters" or pruning.cut_ratio > 0
    if pruning.prunes and shape and card_file.card.architecture.family == "vit":
        rule = "can't be 'filters' for a vision transformer: all its blocks and heads share them"
        yield tell("pruning.granularity", rule, pruning.granularity, "use weights, or ratio 0")
    if pruning.schedule.fine_tuning.epochs and card_file.card.training is None:
        rule = f"needs a training recipe on the card of {card_file.card.name!r}"
        path = "pruning.schedule.fine_tuning.epochs"
        yield tell(path, rule, pruning.schedule.fine_tuning.epochs, "add one, or set 0")


def _fit_faults(
    pruning: PruningSection, card_file: CardFile, parts: Outline, tell: Tell
) -> Iterator[Fault]:
    inputs, size = _patterned(pruning, parts)
    if inputs and all(count < size for count in inputs.values()):
        rule = f"fits no layer of {card_file.card.name!r}: none has {size} inputs"
        yield tell("pruning.pattern", rule, pruning.pattern, "remove it, or give a ratio")


def pruning_warnings(pruning: PruningSection, tell: Tell) -> Iterator[Fault]:
    """Find settings that have no effect.

    Parameters
    ----------
    pruning, tell
        As in `pruning_faults`.

    Yields
    ------
    Fault
        Every such setting.
    """
    criterion = CRITERIA.get(pruning.criterion)
    if criterion is None:
        return
    rule = f"has no effect on criterion {criterion.name!r}"
    if not criterion.uses_delta:
        for name in ("delta", "combine"):
            if getattr(pruning, name) is not None:
                remedy = "remove it, or use 'flexrel-paper'"
                yield tell(f"pruning.{name}", rule, getattr(pruning, name), remedy)
    if criterion.signals == ("random",) and pruning.normalise is not None:
        yield tell("pruning.normalise", rule, pruning.normalise, "remove it")
    if criterion.form is None and pruning.relevance.form is not None:
        yield tell("pruning.relevance.form", rule, pruning.relevance.form, "remove it")
    if _rule_is_idle(criterion, pruning):
        yield tell("pruning.relevance.rule", rule, pruning.relevance.rule, "remove it")


def pattern_warnings(pruning: PruningSection, parts: Outline, tell: Tell) -> Iterator[Fault]:
    """Find layers that a pattern leaves alone, as a whole or in part.

    Parameters
    ----------
    pruning, tell
        As in `pruning_faults`.
    parts
        What can be pruned of the network.

    Yields
    ------
    Fault
        One that lists them all.
    """
    whole, size = _patterned(pruning, parts)
    told = []
    for name, inputs in whole.items():
        if left := inputs % size:
            kept = "which stay" if left == inputs else f"the last {left} stay"
            told.append(f"{name} ({inputs} input{'s' * (inputs > 1)}, {kept})")
    if told:
        rule = f"does not fit {', '.join(told)}: inputs must be a multiple of {size}"
        remedy = "list these layers in pruning.exclude, or expect fewer zeros than half"
        yield tell("pruning.pattern", rule, pruning.pattern, remedy)


def aim_warnings(pruning: PruningSection, choice: Mapping[str, Any], tell: Tell) -> Iterator[Fault]:
    """Tell that `delta: auto` could not keep the accuracy that it aims at.

    Parameters
    ----------
    pruning, tell
        As in `pruning_faults`.
    choice
        What was tried and chosen; empty where δ was given.

    Yields
    ------
    Fault
        The best accuracy of all tries.
    """
    if choice and not choice["reached"]:
        best = max(max(tried["accuracies"]) for tried in choice["tried"])
        rule = (
            f"was not kept by anything tried, {best:.4f} at best on validation samples; delta"
            f" {choice['delta']:g} was chosen by its mean accuracy"
        )
        remedy = "lower it, or try smaller pruning.auto.ratios"
        yield tell("pruning.auto.accuracy", rule, pruning.auto.accuracy, remedy)


def _patterned(pruning: PruningSection, parts: Outline) -> tuple[dict[str, int], int]:
    """Give the inputs of all layers that a pattern is asked of, and how many it counts by."""
    if pruning.pattern == "none":
        return {}, 1
    inputs = {name: n for name, n in parts.inputs.items() if name not in pruning.exclude}
    return inputs, int(pruning.pattern.partition(":")[2])


def _rule_is_idle(criterion: Criterion, pruning: PruningSection) -> bool:
    return "propagation" not in criterion.needs and pruning.relevance.rule != "gradient"


def _layer_faults(
    pruning: PruningSection, card_file: CardFile, parts: Outline, tell: Tell
) -> Iterator[Fault]:
    named = [("pruning.exclude", name) for name in pruning.exclude]
    if isinstance(pruning.min_kept, Mapping):
        named += [("pruning.min_kept", name) for name in pruning.min_kept if name != "default"]
    for path, name in named:
        if name not in parts.weights:
            rule = f"must name layers of {card_file.card.name!r} that have weights"
            yield tell(path, rule, name, did_you_mean(name, parts.weights))
    if set(_units(pruning, parts)) <= set(pruning.exclude):
        yield tell("pruning.exclude", "must leave a layer to prune", None, "list fewer")


def _count_faults(pruning: PruningSection, tell: Tell) -> Iterator[Fault]:
    if pruning.granularity == "weights" and pruning.ratio_of == "filters":
        rule = "can't count filters where single weights are removed"
        yield tell("pruning.ratio_of", rule, pruning.ratio_of, "count weights or macs")
    if (
        pruning.granularity == "filters"
        and pruning.ratio_of in ("weights", "macs")
        and pruning.scope != "global"
    ):
        rule = f"can count {pruning.ratio_of} of filters over the whole network only"
        remedy = "set pruning.scope to global, or count filters"
        yield tell("pruning.ratio_of", rule, pruning.ratio_of, remedy)


def _pattern_faults(pruning: PruningSection, tell: Tell) -> Iterator[Fault]:
    if pruning.pattern == "none":
        return
    if pruning.granularity != "weights":
        rule = "removes single weights"
        remedy = "set pruning.granularity to weights"
        yield tell("pruning.pattern", rule, pruning.pattern, remedy)
    if pruning.ratio not in (0, 0.5):
        rule = f"is 0.5 by the pattern {pruning.pattern}"
        yield tell("pruning.ratio", rule, pruning.ratio, "remove it, or the pattern")
    shares = {"": pruning.min_kept} if isinstance(pruning.min_kept, float) else pruning.min_kept
    for name, share in shares.items():
        if share > 0.5 and name not in pruning.exclude:
            rule = f"must be at most 0.5, what the pattern {pruning.pattern} keeps"
            path = f"pruning.min_kept.{name}" if name else "pruning.min_kept"
            yield tell(path, rule, share, "lower it, remove the pattern, or exclude layers")
    if pruning.ratio_of == "macs":
        yield tell("pruning.ratio_of", "is of weights in a pattern", "macs", "remove it")
    if pruning.schedule.steps > 1:
        rule = "must be 1 for a pattern, which is there or not"
        yield tell("pruning.schedule.steps", rule, pruning.schedule.steps, "set 1")


def _ratio_faults(pruning: PruningSection, parts: Outline, tell: Tell) -> Iterator[Fault]:
    """Refuse a ratio that what each layer keeps makes out of reach: it would be reported."""
    if pruning.ratio_of not in (None, pruning.granularity) or pruning.pattern != "none":
        return
    units = _units(pruning, parts)
    counts = {name: count for name, count in units.items() if name not in pruning.exclude}
    kept = sum(least_kept(pruning.min_kept, name, count) for name, count in counts.items())
    total = sum(counts.values())
    if total == 0 or round(pruning.ratio * total) <= total - kept:
        return
    reachable = math.floor(1000 * (total - kept) / total) / 1000
    rule = f"must be at most {reachable:g}: every layer keeps pruning.min_kept, and a unit at least"
    yield tell("pruning.ratio", rule, pruning.ratio, "lower it, or pruning.min_kept")


def _cut_ratio_faults(
    pruning: PruningSection, cut: str, parts: Outline, tell: Tell
) -> Iterator[Fault]:
    """Refuse channels at the cut that nothing makes, that are the answers, or that must stay."""
    cut = parts.blocks.get(cut, cut)
    if not pruning.cut_ratio or cut not in parts.boundaries:
        return
    head = parts.boundaries[: parts.boundaries.index(cut) + 1]
    made = [name for name in parts.weights if any(_inside(name, stage) for stage in head)]
    path, value = "pruning.cut_ratio", pruning.cut_ratio
    if not made:
        rule = f"has no channels to remove: no layer with filters is before the cut {cut!r}"
        yield tell(path, rule, value, "set 0, or cut further down")
    elif made[-1] not in parts.filters:
        rule = f"has no channels to remove: the answers cross the link at the cut {cut!r}"
        yield tell(path, rule, value, "set 0, or cut further up")
    elif made[-1] in pruning.exclude:
        rule = f"removes filters of {made[-1]!r}, which pruning.exclude keeps"
        yield tell(path, rule, value, "set 0, or take the layer out of pruning.exclude")


def _inside(layer: str, stage: str) -> bool:
    return layer == stage or layer.startswith(f"{stage}.")


def _units(pruning: PruningSection, parts: Outline) -> dict[str, int]:
    return parts.filters if pruning.granularity == "filters" else parts.weights
