"""What a scenario may say of choosing operating points while it runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from flexrel_sim.scenario.section import Section
from flexrel_sim.units import BitRatePerSecond, PositiveSeconds, Seconds

__all__ = ["ControllerSection"]


class ControllerSection(Section):
    """Every edge device chooses an operating point for each new request."""

    policy: Literal["static", "threshold", "ema", "change-point", "edgent", "oracle"]
    """How it chooses: never again; by bandwidth thresholds; the least estimated latency, with a
    running mean of throughput or one that starts over at a change; the most accurate option within
    the deadline; or knowing what the link will do, to compare with."""
    options: list[dict[str, Any]] = Field(min_length=1, max_length=64)
    """Operating points: each maps dotted paths of model sections to values, as one point of a
    sweep does; `{}` is the scenario's own."""
    start: int = Field(0, ge=0)
    """Index of the option before anything was observed."""
    every: Seconds = 0.0
    """A device chooses again at its first request this long after its last choice."""
    switch_time: Seconds = 0.0
    """What the first request of another option than the last one takes longer on the edge; the
    oracle switches for nothing."""
    fallback: bool = False
    """Whether requests stay on the edge while a transmission does not come to its end."""
    patience: PositiveSeconds | None = None
    """For `fallback`: how long a transmission may take before the link counts as out."""
    thresholds: list[BitRatePerSecond] = Field(default_factory=list, max_length=63)
    """For `threshold`: ascending; the next option is taken from each of them on."""
    weight: float | None = Field(None, gt=0, le=1)
    """For `ema`: weight of the newest throughput."""
    probe: PositiveSeconds | None = 10.0
    """With a policy that observes: a device that has sent nothing for this long sends its next
    request over the link, by the option of the fewest bytes; null for never."""
    drift: float | None = Field(None, ge=0, le=10)
    """For `change-point`: changes of the logarithm of throughput that are let pass."""
    limit: float | None = Field(None, gt=0, le=1000)
    """For `change-point`: accumulated change at which the mean starts over."""

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a `probe` that nobody gave: policies that never ask refuse one."""
        data: dict[str, Any] = handler(self)
        if "probe" not in self.model_fields_set:
            del data["probe"]
        return data
