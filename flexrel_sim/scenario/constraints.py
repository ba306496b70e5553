"""Bounds that a chosen operating point must keep: what they may say, in which units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, model_serializer
from pydantic_core import PydanticCustomError

from flexrel_sim.metrics import METRICS, Metric
from flexrel_sim.scenario.section import Section
from flexrel_sim.units import parse_in_unit

__all__ = ["Constraint", "Constraints"]

N = TypeVar("N")

_CONSTRAINT: Final = re.compile(
    r"\s*(?P<relation><=|>=)\s*(?:(?P<dense>dense)\s*(?:(?P<sign>[+-])\s*(?P<margin>.+))?"
    r"|(?P<bound>.+))"
)

_OF_DENSE: Final = ("accuracy",)
"""Figures that are known of the dense network on the same samples."""

_EXAMPLES: Final = {
    "": "'>= 0.9' or '<= 5'",
    "s": "'<= 150 ms', or a number in s",
    "B": "'<= 20 kB', or a number in B",
    "J": "'<= 5 mJ', or a number in J",
    "h": "'>= 12 h'",
    "1/s": "'>= 20 /s'",
}

_SHARES: Final = "'>= 0.95' or '>= 95 %'"


class Constraint(Section):
    """A bound that a chosen operating point must keep."""

    relation: Literal["<=", ">="]
    """Whether it is the greatest or the least value."""
    bound: float
    """In the metric's own unit; of a bound by the dense network, what is added to its figure."""
    of_dense: bool = False
    """Whether the dense network's figure is added: the network unpruned, in one piece."""

    @classmethod
    def parse(cls, value: object, metric: str = "") -> Constraint:
        """Read a bound.

        Parameters
        ----------
        value
            Such as ``">= 0.95"``, ``"<= 150 ms"``, ``">= 95 %"`` or ``">= dense - 0.01"``.
        metric
            What it bounds; a number without unit of whatever it is when empty.

        Returns
        -------
        Constraint
            The bound.

        Raises
        ------
        PydanticCustomError
            If it is no finite bound, not in a unit of the metric, beyond what the metric can be,
            or relative to the dense network where that has no such figure.
        """
        if isinstance(value, Constraint):
            return value
        known = METRICS.get(metric, Metric(metric, metric, "", "min"))
        match = _CONSTRAINT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise _refused("must be a bound with a finite number", f"write {_example(known)}")
        if match["dense"]:
            return cls._relative(match, known)
        bound = _number(match["bound"], known)
        if metric and known.is_share and not 0 <= bound <= 1:
            remedy = f"write {_SHARES}"
            if 1 < bound <= 100:
                remedy = f"write '{match['relation']} {bound:g} %' for a share of {bound / 100:g}"
            raise _refused("must be a bound from 0 to 1", remedy)
        return cls(relation=_relation(match), bound=bound)

    @classmethod
    def _relative(cls, match: re.Match[str], metric: Metric) -> Constraint:
        if metric.name not in _OF_DENSE:
            rule = f"must be an absolute bound: {metric.name} is not measured of the dense network"
            raise _refused(rule, f"write {_example(metric)}")
        if match["relation"] != ">=":
            raise _refused("must be a least value where it is the dense network's", "write '>='")
        margin = _number(match["margin"], metric) if match["margin"] else 0.0
        if not 0 <= margin < 1:
            remedy = "write '>= dense - 0.01' or '>= dense - 1 %'"
            raise _refused("must differ from the dense network's by less than 1", remedy)
        bound = -margin if match["sign"] == "-" and margin else margin
        return cls(relation=">=", bound=bound, of_dense=True)

    @model_serializer
    def _as_text(self) -> str:
        if not self.of_dense:
            return f"{self.relation} {self.bound!r}"
        sign = "-" if self.bound < 0 else "+"
        return f"{self.relation} dense" + (f" {sign} {abs(self.bound)!r}" if self.bound else "")

    def slack(self, value: float) -> float:
        """Give how far a value, or its difference from the dense one's, is within the bound."""
        return self.bound - value if self.relation == "<=" else value - self.bound

    def __str__(self) -> str:
        """Give it as it is written."""
        return self._as_text()


def _relation(match: re.Match[str]) -> Literal["<=", ">="]:
    return "<=" if match["relation"] == "<=" else ">="


def _number(text: str, metric: Metric) -> float:
    try:
        number = parse_in_unit(text, metric.unit)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        rule = "must be a bound with a finite number"
        rule += f" in {metric.unit}, or a unit like it" if metric.unit else ""
        raise _refused(rule, f"write {_example(metric)}")
    return number


def _example(metric: Metric) -> str:
    if not metric.name:
        return "'<= 150 ms', '>= 0.95' or '>= dense - 0.01'"
    return _SHARES if metric.is_share else _EXAMPLES[metric.unit]


def _refused(rule: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("constraint", "{rule}", {"rule": rule, "remedy": remedy})


class _Bound(str):
    """A bound as it is written, and what it bounds."""

    __slots__ = ("metric",)

    metric: str


def _named(value: Any) -> Any:
    """Tell each bound which metric it is of: pydantic reads a value without its key."""
    if not isinstance(value, Mapping):
        return value
    named: dict[Any, Any] = {}
    for name, bound in value.items():
        named[name] = bound
        if isinstance(bound, str):
            named[name] = _Bound(bound)
            named[name].metric = str(name)
    return named


def _parsed(value: object) -> Constraint:
    return Constraint.parse(value, getattr(value, "metric", ""))


Constraints = Annotated[
    dict[N, Annotated[Constraint, BeforeValidator(_parsed)]], BeforeValidator(_named)
]
"""Metrics to their bounds."""
