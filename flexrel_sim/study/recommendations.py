"""What to take where: the choices of all environments, joined where they are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

from flexrel_sim.scenario.file_keys import value_text
from flexrel_sim.scenario.schema import MODEL_SECTIONS
from flexrel_sim.study.environments import ENVIRONMENT, Environment, flattened, words
from flexrel_sim.study.result import PointResult, StudyResult
from flexrel_sim.units import leading_number

__all__ = ["Range", "Recommendation", "design_names", "recommend"]

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
    """

    where: str
    axis: str
    ranges: tuple[Range, ...]

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
        if not between:
            return line
        return f"{line} (simulated from {least} to {greatest}; the switch lies {between})"


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
    """
    axis = _axis(result.environments)
    names = design_names(result)
    groups: dict[tuple[tuple[str, str], ...], list[Environment]] = {}
    for environment in result.environments:
        rest = {path: value for path, value in environment.settings.items() if path != axis}
        group = tuple((path, value_text(path, value)) for path, value in rest.items())
        if axis not in environment.settings:
            group = (*group, ("", environment.name))
        groups.setdefault(group, []).append(environment)
    found = []
    for environments in groups.values():
        first = environments[0]
        if axis is None or axis not in first.settings:
            name = first.name if len(result.environments) > 1 else ""
            own = Range("", "", names[first.chosen], _is_unsure(result, first))
            found.append(Recommendation(name, "", (own,)))
            continue
        where = words({path: v for path, v in first.settings.items() if path != axis})
        ranges = tuple(_ranges(result, environments, axis, names))
        found.append(Recommendation(where, axis.partition(".")[2].replace(".", " "), ranges))
    return tuple(found)


def design_names(result: StudyResult) -> dict[int | None, str]:
    """Name the chosen points by what tells their designs apart.

    Parameters
    ----------
    result
        The study.

    Returns
    -------
    dict
        From a chosen point's index to its name, such as ``edge`` where only the cut differs, or
        ``cut edge, ratio 0.5``; from None to what is said where nothing is chosen.
    """
    chosen = [
        result.points[environment.chosen]
        for environment in result.environments
        if environment.chosen is not None
    ]
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
    """Give what a designer chose: the operating point, and the rest of the system."""
    others = {*MODEL_SECTIONS, *ENVIRONMENT, "name", "sweep", "objectives", "constraints"}
    system = point.scenario.model_dump(mode="json", exclude=others)
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
    result: StudyResult,
    environments: Sequence[Environment],
    axis: str,
    names: dict[int | None, str],
) -> Iterator[Range]:
    ordered = sorted(environments, key=lambda own: leading_number(own.settings[axis]))
    for design, run in groupby(ordered, key=lambda own: names[own.chosen]):
        own = list(run)
        first, last = (value_text(axis, end.settings[axis]) for end in (own[0], own[-1]))
        yield Range(first, last, design, any(_is_unsure(result, place) for place in own))


def _is_unsure(result: StudyResult, environment: Environment) -> bool:
    return any(result.points[index].tied for index in environment.indices)


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
