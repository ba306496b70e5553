"""What a direction of the link may be given: losses, jitter, a buffer, outages, chains, buckets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.scenario.section import SEED_MAX, Section
from flexrel_sim.units import (
    BitRatePerSecond,
    BitRatePerSecondOrZero,
    Bytes,
    PositiveBytes,
    PositiveSeconds,
    Seconds,
)

__all__ = [
    "BufferSection",
    "GilbertElliottSection",
    "JitterSection",
    "LossSection",
    "MarkovSection",
    "OutageSection",
    "TokenBucketSection",
    "exactly_one",
    "link_refusal",
]


class BufferSection(Section):
    """What may wait for the direction; the message under way does not count."""

    size: Bytes | None = None
    """Wire bytes that may wait; a message that finds less room is dropped."""
    messages: int | None = Field(None, ge=0)
    """Messages that may wait."""


class GilbertElliottSection(Section):
    """Losses in bursts: a good and a bad state, with a step of the chain at every packet."""

    enter_bad: float = Field(gt=0, le=1)
    """Probability that a packet finds the channel turned bad, from good."""
    leave_bad: float = Field(gt=0, le=1)
    """Probability that a packet finds it turned good, from bad."""
    loss_good: float = Field(0.0, ge=0, lt=1)
    """Probability that a packet is lost in the good state."""
    loss_bad: float = Field(1.0, ge=0, le=1)
    """Probability that a packet is lost in the bad state."""


class LossSection(Section):
    """Which packets are lost on the way: one of the two."""

    bernoulli: float | None = Field(None, ge=0, lt=1)
    """Probability of every packet, independent of the others."""
    gilbert_elliott: GilbertElliottSection | None = None
    """In bursts."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        exactly_one(self, ("bernoulli", "gilbert_elliott"))
        return self


class JitterSection(Section):
    """What a message is delayed beyond the propagation delay; never negative."""

    distribution: Literal["uniform", "normal", "exponential"] = "uniform"
    """Uniform from 0 to twice the mean, normal truncated to the same range, or exponential."""
    mean: Seconds
    """Its mean."""
    std: PositiveSeconds | None = None
    """Standard deviation of the normal before it is truncated; half of the mean when absent."""
    in_order: bool = True
    """Whether a message waits for those before it."""


class OutageSection(Section):
    """When the direction carries nothing: given windows, or random ones."""

    windows: list[Annotated[tuple[Seconds, PositiveSeconds], Field(strict=False)]] | None = None
    """Start and end of each."""
    mean_up: PositiveSeconds | None = None
    """Mean of the exponential times between random outages."""
    mean_down: PositiveSeconds | None = None
    """Mean of their exponential lengths."""
    duration: PositiveSeconds = 3600.0
    """How much is drawn; it repeats."""
    seed: int | None = Field(None, ge=0, le=SEED_MAX)
    """Fixes the draw; each replication has its own when absent."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        random = (self.mean_up, self.mean_down)
        if (self.windows is not None) == any(value is not None for value in random):
            raise link_refusal(
                "must have either windows or mean_up and mean_down",
                "write 'windows: [[10 s, 12 s]]' or 'mean_up: 60 s, mean_down: 2 s'",
            )
        if self.windows is not None and {"duration", "seed"} & self.model_fields_set:
            raise link_refusal("duration and seed have no effect on given windows", "remove them")
        if self.windows is None and None in random:
            raise link_refusal("must have both mean_up and mean_down", "add the other")
        edges = [edge for window in self.windows or () for edge in window]
        if edges != sorted(set(edges)):
            raise link_refusal(
                "must have windows that end after they start, in order, and apart",
                "write 'windows: [[10 s, 12 s], [40 s, 41 s]]'",
            )
        return self

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is absent, so that it reads back."""
        options = {"duration"} - self.model_fields_set
        return {
            key: value
            for key, value in handler(self).items()
            if value is not None and key not in options
        }


class MarkovSection(Section):
    """A rate that jumps between states: a continuous-time Markov chain, drawn up front."""

    rates: list[BitRatePerSecondOrZero] = Field(min_length=2, max_length=1000)
    """Rate of each state."""
    dwell: list[PositiveSeconds]
    """Mean of the exponential time in each state."""
    transitions: list[list[float]] | None = None
    """Probability of the next state, a row per state, zero on the diagonal; the neighbours in the
    list with equal probability when absent."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        states = len(self.rates)
        if len(self.dwell) != states:
            raise link_refusal("must have one dwell time per rate", f"give {states} dwell times")
        if not any(self.rates):
            raise link_refusal("must not be zero for ever", "give a state a rate above zero")
        rows = self.transitions
        if rows is None:
            return self
        sound = len(rows) == states and all(
            len(row) == states and min(row) >= 0 and row[index] == 0 and abs(sum(row) - 1) < 1e-9
            for index, row in enumerate(rows)
        )
        if not sound:
            raise link_refusal(
                f"must have {states} rows of {states} transitions that sum to 1,"
                " none to the state itself",
                "write [[0, 1], [1, 0]] for two states",
            )
        return self


class TokenBucketSection(Section):
    """A shaper: bursts at the peak rate while tokens last, then the token rate."""

    rate: BitRatePerSecond
    """Rate of the tokens."""
    burst: PositiveBytes
    """How many the bucket holds; it is full at the start."""
    peak: BitRatePerSecond | None = None
    """Rate while there are tokens; unlimited when absent."""

    @model_validator(mode="after")
    def _peak_is_above(self) -> Self:
        if self.peak is not None and self.peak <= self.rate:
            raise link_refusal("must have a peak above its rate", "raise the peak or leave it out")
        return self


def exactly_one(section: Section, names: tuple[str, ...]) -> str:
    """Give the one key of these that a section has.

    Parameters
    ----------
    section
        The section.
    names
        Keys that exclude each other.

    Returns
    -------
    str
        The one that is given.

    Raises
    ------
    PydanticCustomError
        If none or several are given.
    """
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) != 1:
        raise link_refusal(
            f"must have exactly one of {', '.join(names)}, and has {' and '.join(given) or 'none'}",
            "keep one" if given else "add one",
        )
    return given[0]


def link_refusal(rule: str, remedy: str) -> PydanticCustomError:
    """Make the error by which a validator refuses a section.

    Parameters
    ----------
    rule
        What must hold.
    remedy
        What to write instead.

    Returns
    -------
    PydanticCustomError
        To be raised.
    """
    return PydanticCustomError("link", "{rule}", {"rule": rule, "remedy": remedy})
