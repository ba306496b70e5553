"""What a scenario may say of a device besides its name."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.scenario.section import Section
from flexrel_sim.units import PositiveSeconds, Seconds

__all__ = ["BatchTimeSection", "Precision"]

Precision = Literal["float64", "float32", "float16", "int8"]
"""Number format of weights and activations while a network runs."""

_OWN_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "roofline": (),
    "linear": ("per_request", "per_batch"),
    "table": ("sizes", "times"),
}
"""Keys that only some models have."""


class BatchTimeSection(Section):
    """How long a batch takes, as a function of its size b."""

    model: Literal["roofline", "linear", "table"] = "roofline"
    """`roofline`: weights are read once per batch; `linear`: per_request * b + per_batch; `table`:
    measured times."""
    per_request: PositiveSeconds | None = None
    """Time that every request of a batch adds (α)."""
    per_batch: Seconds = 0.0
    """Time of a batch, whatever its size (β)."""
    sizes: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """Batch sizes of the table, increasing from 1."""
    times: list[PositiveSeconds] = Field(default_factory=list)
    """Time of a batch of each size, not decreasing."""

    @model_validator(mode="after")
    def _has_what_its_model_needs(self) -> Self:
        needed = {"roofline": (), "linear": ("per_request",), "table": ("sizes", "times")}
        given = self.model_fields_set - {"model"}
        broken = [
            *(f"needs {key!r}" for key in needed[self.model] if not getattr(self, key)),
            *(f"has no {key!r}" for key in sorted(given.difference(_OWN_KEYS[self.model]))),
        ]
        if self.model == "table" and not broken:
            broken = self._table_faults()
        if broken:
            context = {
                "rule": f"with model: {self.model}, it {', '.join(broken)}",
                "remedy": "write {model: linear, per_request: 2 ms, per_batch: 5 ms}, or"
                " {model: table, sizes: [1, 8], times: [7 ms, 20 ms]}",
            }
            raise PydanticCustomError("batch_time", "{rule}", context)
        return self

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the keys of other models, so that it reads back."""
        own = {"model", *_OWN_KEYS[self.model]}
        return {key: value for key, value in handler(self).items() if key in own}

    def _table_faults(self) -> list[str]:
        rules = {
            "must have as many times as sizes": len(self.sizes) == len(self.times),
            "must start at size 1": self.sizes[0] == 1,
            "must have increasing sizes": _all_pairs(self.sizes, strictly=True),
            "must have times that do not decrease": _all_pairs(self.times, strictly=False),
        }
        return [rule for rule, holds in rules.items() if not holds]


def _all_pairs(values: list[int] | list[float], *, strictly: bool) -> bool:
    pairs = pairwise(values)
    return all(a < b or (a == b and not strictly) for a, b in pairs)
