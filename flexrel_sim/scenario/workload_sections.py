"""What a scenario may say of when requests arrive."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.scenario.section import Section
from flexrel_sim.units import EventRatePerSecond, PositiveSeconds, Seconds

__all__ = ["BurstSection", "DiurnalSection", "WorkloadSection"]


class BurstSection(Section):
    """A two-state Markov-modulated Poisson process."""

    factor: float = Field(gt=1, le=1e6)
    """Rate within bursts over the rate between them; the mean stays the workload's."""
    mean_on: PositiveSeconds
    """Mean length of a burst, exponential."""
    mean_off: PositiveSeconds
    """Mean time between bursts, exponential."""


class DiurnalSection(Section):
    """A Poisson process whose rate follows the day: ``rate x (1 + amplitude x sin)``."""

    amplitude: float = Field(gt=0, le=1)
    """How far the rate swings around its mean."""
    period: PositiveSeconds = 86_400.0
    """Length of the day."""
    peak: Seconds | None = None
    """When the rate is highest; a quarter into the period when absent."""


class WorkloadSection(Section):
    """When requests arrive, and how long they may take."""

    arrivals: Literal["poisson", "periodic", "bursty", "diurnal", "closed", "replay"] = "poisson"
    """Memoryless; evenly spaced as a camera's frames; in bursts; by the time of day; a new one
    some time after each answer; as recorded in a file."""
    rate: EventRatePerSecond | None = None
    """Requests per second of every edge device; `closed` and `replay` have none."""
    duration: PositiveSeconds = 60.0
    """Requests arrive until this time; with `simulation.drain` the run goes on until all have
    ended."""
    phases: Literal["aligned", "random"] = "aligned"
    """Whether all periodic devices start at time zero, or each somewhere in its first period."""
    jitter: Seconds = 0.0
    """Periodic requests come up to this much later, uniformly."""
    bursts: BurstSection | None = None
    """For `bursty`: all devices burst together."""
    diurnal: DiurnalSection | None = None
    """For `diurnal`."""
    clients: int | None = Field(None, ge=1, le=100_000)
    """For `closed`: how many clients each device has."""
    think_time: Seconds | None = None
    """For `closed`: mean of the exponential time from an answer to the client's next request."""
    file: str | None = None
    """For `replay`: a CSV file with a column `created_s`, and perhaps `device` and `sample`."""
    deadline: PositiveSeconds | None = None
    """Answers later than this after creation are late."""
    late: Literal["serve", "drop"] = "serve"
    """Whether the server still starts a request whose deadline is past."""
    urgent_share: float = Field(0.0, ge=0, le=1)
    """Share of requests, at random, that the server serves before all others (tier 0)."""

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        if self.rate is None and self.arrivals not in ("closed", "replay"):
            context = {
                "path": ("workload", "rate"),
                "rule": "is required",
                "remedy": f"add it: {type(self).model_fields['rate'].description}",
            }
            raise PydanticCustomError("rate", "{rule}", context)
        return self
