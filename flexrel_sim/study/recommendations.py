"""What to take where: the choices of all environments, joined where they are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

from flexrel_sim.scenario.file_keys import value_text
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.study.environments import ENVIRONMENT, Environment, flattened, words
from flexrel_sim.study.pareto import best_of, costs_of
from flexrel_sim.study.result import PointResult, StudyResult
from flexrel_sim.study.sureness import tied_with
from flexrel_sim.units import leading_number

__all__ = ["Range", "Recommendation", "design_names", "recommend"]

_NO_DESIGN: Final = {*ENVIRONMENT, "name", "sweep", "objectives", "constraints"}
"""Sections that are no part of a design."""

NONE: Final = "nothing keeps the constraints"
"""What is recommended where no point is feasible."""


@dataclass(frozen=True)
class Range:
    """Neighbouring values of an axis at which one design is the choice.

    Parameters
    ----------
    first, last
        The least and the greatest of them, as written.
    design
        What to take.
    unsure
        Whether at some of them other points can't be told from it.
    """

    first: str
    last: str
    design: str
    unsure: bool


@dataclass(frozen=True)
class Recommendation:
    """The choice along an axis of environments, or in one that lies on none.

    Parameters
    ----------
    where
        What is the same for all of them, in words; empty if nothing else varies.
    axis
        What varies, such as ``uplink``; empty where nothing does that has an order.
    ranges
        The axis from its least value to its greatest.
    compared, others
        How many designs were run at all of its values, among which it chooses, and how many at some
        of them only.
    """

    where: str
    axis: str
    ranges: tuple[Range, ...]
    compared: int = 0
    others: int = 0

    @property
    def switches(self) -> tuple[tuple[str, str], ...]:
        """The neighbouring values of the axis between which the choice changes."""
        return tuple((one.last, other.first) for one, other in pairwise(self.ranges))

    def __str__(self) -> str:
        """Say it in a line; nothing beyond the values that were simulated.

        ``(≈)`` after a design: at some of the values other points can't be told from it.
        """
        where = f"{self.where}: " if self.where else ""
        if not self.axis:
            return where + _said(self.ranges[0])
        least, greatest = self.ranges[0].first, self.ranges[-1].last
        parts = [f"{_span(own, least, greatest)}: {_said(own)}" for own in self.ranges]
        line = f"{where}{self.axis} {'; '.join(parts)}"
        between = ", ".join(f"between {one} and {other}" for one, other in self.switches)
        notes = []
        if between:
            notes.append(f"simulated from {least} to {greatest}; the switch lies {between}")
        if self.others and self.compared:
            notes.append(f"of the {self.compared} designs run at all of these values")
            notes.append(f"{self.others:,} more were run at some of them only")
        elif self.others:
            notes.append(f"all {self.others:,} designs were run at some of these values only")
        return f"{line} ({'; '.join(notes)})" if notes else line


def recommend(result: StudyResult) -> tuple[Recommendation, ...]:
    """Say what to take in each environment of a study.

    Parameters
    ----------
    result
        The study.

    Returns
    -------
    tuple of Recommendation
        One for each combination of the other settings, along the numeric setting that takes the
        most values; where there is none, one for each environment.

    Notes
    -----
    Along an axis only designs that were run at all of its values are compared: another may be the
    choice where it was run for no better reason than that it was.
    """
    axis = _axis(result.environments)
    groups: dict[tuple[tuple[str, str], ...], list[Environment]] = {}
    for environment in result.environments:
        rest = {path: value for path, value in environment.settings.items() if path != axis}
        group = tuple((path, value_text(path, value)) for path, value in rest.items())
        if axis not in environment.settings:
            group = (*group, ("", environment.name))
        groups.setdefault(group, []).append(environment)
    compared = [_compare(result, environments) for environments in groups.values()]
    best = [choice.point for own in compared for choice in own.choices]
    names = design_names([result.points[index] for index in best if index is not None])
    found = []
    for environments, own in zip(groups.values(), compared, strict=True):
        first = environments[0]
        if axis is None or axis not in first.settings:
            name = first.name if len(result.environments) > 1 else ""
            (choice,) = own.choices
            only = Range("", "", names[choice.point], choice.unsure)
            found.append(Recommendation(name, "", (only,)))
            continue
        where = words({path: v for path, v in first.settings.items() if path != axis})
        ranges = tuple(_ranges(environments, own.choices, axis, names))
        label = axis.partition(".")[2].replace(".", " ")
        found.append(Recommendation(where, label, ranges, own.designs, own.others))
    return tuple(found)


@dataclass(frozen=True)
class _Choice:
    """A point's index, or None, and whether other designs can't be told from it."""

    point: int | None
    unsure: bool


@dataclass(frozen=True)
class _Compared:
    """The choice in each of some environments, among the designs that were run in all of them."""

    choices: tuple[_Choice, ...]
    designs: int
    others: int


def _compare(result: StudyResult, environments: Sequence[Environment]) -> _Compared:
    keys = {
        index: result.points[index].scenario.model_dump_json(exclude=_NO_DESIGN)
        for environment in environments
        for index in environment.indices
    }
    run = [{keys[index] for index in environment.indices} for environment in environments]
    common = set.intersection(*run)
    compared = common or set.union(*run)
    objectives = result.scenario_file.scenario.objectives
    choices = []
    for environment in environments:
        points = [
            result.points[index]
            for index in environment.indices
            if keys[index] in compared and result.points[index].feasible
        ]
        best = best_of(costs_of([point.selection_metrics() for point in points], objectives))
        if best is None:
            choices.append(_Choice(None, False))
            continue
        tied = tied_with(points, best, objectives)
        own = keys[points[best].index]
        rivals = {keys[point.index] for point, is_tied in zip(points, tied, strict=True) if is_tied}
        choices.append(_Choice(points[best].index, bool(rivals - {own})))
    return _Compared(tuple(choices), len(common), len(set.union(*run) - common))


def design_names(chosen: Sequence[PointResult]) -> dict[int | None, str]:
    """Name chosen points by what tells their designs apart.

    Parameters
    ----------
    chosen
        The points.

    Returns
    -------
    dict
        From a chosen point's index to its name, such as ``edge`` where only the cut differs, or
        ``cut edge, ratio 0.5``; from None to what is said where nothing is chosen.
    """
    designs = {point.index: _design(point) for point in chosen}
    paths = dict.fromkeys(path for own in designs.values() for path in own)
    # What a design lacks altogether, such as a codec on the edge, follows from something else.
    telling = [
        path
        for path in paths
        if len({str(own[path]) for own in designs.values() if path in own}) > 1
    ] or ["split.cut"]
    if telling == ["split.cut"]:
        names = {index: str(own.get("split.cut")) for index, own in designs.items()}
    else:
        names = {
            index: words({path: own[path] for path in telling if path in own})
            for index, own in designs.items()
        }
    said: dict[int | None, str] = {None: NONE}
    return said | names


def _design(point: PointResult) -> dict[str, Any]:
    """Return what a designer chose: the operating point, and the rest of the system."""
    system = point.scenario.model_dump(mode="json", exclude={*MODEL_SECTIONS, *_NO_DESIGN})
    return flattened(point.profile.operating_point) | flattened(system)


def _axis(environments: Sequence[Environment]) -> str | None:
    """Choose the numeric setting that takes the most values; the earlier of two."""
    values: dict[str, set[str]] = {}
    for environment in environments:
        for path, value in environment.settings.items():
            if not math.isnan(leading_number(value)):
                values.setdefault(path, set()).add(str(value))
    several = [path for path, found in values.items() if len(found) > 1]
    return max(several, key=lambda path: len(values[path]), default=None)


def _ranges(
    environments: Sequence[Environment],
    choices: Sequence[_Choice],
    axis: str,
    names: Mapping[int | None, str],
) -> Iterator[Range]:
    pairs = [
        (environment.settings[axis], choice)
        for environment, choice in zip(environments, choices, strict=True)
    ]
    ordered = sorted(pairs, key=lambda pair: leading_number(pair[0]))
    for design, run in groupby(ordered, key=lambda pair: names[pair[1].point]):
        own = list(run)
        first, last = (value_text(axis, end[0]) for end in (own[0], own[-1]))
        yield Range(first, last, design, any(choice.unsure for _, choice in own))


def _said(own: Range) -> str:
    return f"{own.design} (≈)" if own.unsure else own.design


def _span(own: Range, least: str, greatest: str) -> str:
    if least == greatest:
        return least
    if (own.first, own.last) == (least, greatest):
        return f"{least} to {greatest}"
    if own.first == least:
        return f"up to {own.last}"
    if own.last == greatest:
        return f"from {own.first}"
    return own.first if own.first == own.last else f"{own.first} to {own.last}"
