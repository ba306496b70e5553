"""What a scenario may say: one class per section, one field per key."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from flexrel_sim.metrics import METRICS
from flexrel_sim.scenario.data_sections import (
    CodecSection,
    CorruptionSection,
    DataSection,
    DeploymentSection,
    ModelSection,
    SplitSection,
)
from flexrel_sim.scenario.pruning_sections import (
    AutoDeltaSection,
    FineTuningSection,
    PruningSection,
    RelevanceSection,
    ScheduleSection,
)
from flexrel_sim.scenario.section import SEED_MAX, Section
from flexrel_sim.scenario.suggest import did_you_mean
from flexrel_sim.units import (
    BitRatePerSecond,
    EnergyJoules,
    EventRatePerSecond,
    PositiveSeconds,
    Seconds,
)

__all__ = [
    "MODEL_SECTIONS",
    "AutoDeltaSection",
    "CalibrationSection",
    "CodecSection",
    "ComputeSection",
    "Constraint",
    "CorruptionSection",
    "DataSection",
    "DeploymentSection",
    "EdgeSection",
    "FineTuningSection",
    "Grid",
    "LinkSection",
    "ModelSection",
    "PruningSection",
    "Range",
    "RelevanceSection",
    "Scenario",
    "ScheduleSection",
    "Section",
    "ServerSection",
    "SimulationSection",
    "SplitSection",
    "SystemScenario",
    "WorkloadSection",
]

MODEL_SECTIONS: Final = ("model", "data", "pruning", "split", "codec")
"""Sections that a profile replaces: they say what the model half measures."""

# Fewer requests say nothing of a tail, and a replication might count none at all.
_COUNTED_REQUESTS_MIN = 30

# All requests of a point are in memory at once: a slip in a unit should not ask for terabytes.
_REQUESTS_MAX = 50_000_000

_CONSTRAINT = re.compile(r"\s*(<=|>=)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


class ComputeSection(Section):
    """A device, and how long it serves a request."""

    device: str
    """Name of a preset (`flexrel-sim devices` lists them), or path of a device file."""
    service_time: PositiveSeconds | None = None
    """Measured time of the device's half of the network; estimated by roofline when absent."""
    service: Literal["deterministic", "exponential"] = "deterministic"
    """Distribution of the service time around its mean."""


class EdgeSection(ComputeSection):
    """The edge device: one request at a time, first come first served."""

    radio: str = "none"
    """Name of a radio preset (`flexrel-sim devices` lists them), or path of a radio file; `none`
    leaves the radio out of the energy account."""
    battery: EnergyJoules | None = None
    """What its battery holds; without one, no battery life is reported."""


class ServerSection(ComputeSection):
    """The server: one queue, first come first served, for all its workers."""

    workers: int = Field(1, ge=1, le=100_000)
    """How many requests it serves at a time."""


class LinkSection(Section):
    """The link: two independent directions, first come first served."""

    uplink: BitRatePerSecond
    """Rate from the edge to the server."""
    downlink: BitRatePerSecond
    """Rate from the server to the edge."""
    delay: Seconds = 0.0
    """Propagation delay of each direction; it delays, and never occupies, the link."""


class WorkloadSection(Section):
    """When requests arrive."""

    arrivals: Literal["poisson", "periodic"] = "poisson"
    """Memoryless, or evenly spaced."""
    rate: EventRatePerSecond
    """Requests per second."""
    duration: PositiveSeconds = 60.0
    """Requests arrive until this time; the simulation ends when all are answered."""


class CalibrationSection(Section):
    """Who computes what calibration samples say, and when requests wait for it."""

    where: Literal["offline", "edge", "server"] = "offline"
    """`offline`: before the run, elsewhere; `edge` or `server`: there, from time zero on, and
    requests queue behind it."""


class SimulationSection(Section):
    """How long and how often to look."""

    replications: int = Field(10, ge=2, le=10_000)
    """Independent repetitions, for the intervals."""
    warmup: Seconds = 0.0
    """Requests created before this time are simulated and not counted."""
    seed: int = Field(0, ge=0, le=SEED_MAX)
    """Seed of all draws."""


class Range(Section):
    """Evenly spaced values of a swept key."""

    from_: float | str = Field(alias="from")
    """First value."""
    to: float | str
    """Last value."""
    steps: int = Field(ge=2, le=10_000)
    """How many values, both ends included."""
    scale: Literal["linear", "log"] = "linear"
    """Equal differences, or equal ratios."""


class Constraint(Section):
    """A bound that a chosen operating point must keep."""

    relation: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, value: object) -> Constraint:
        """Read ``">= 0.95"``; raise ValueError if it is no finite bound."""
        if isinstance(value, Constraint):
            return value
        match = _CONSTRAINT.fullmatch(value) if isinstance(value, str) else None
        if match is None or not math.isfinite(float(match[2])):
            raise ValueError("must be a bound with a finite number")
        return cls(relation="<=" if match[1] == "<=" else ">=", bound=float(match[2]))

    @model_serializer
    def _as_text(self) -> str:
        return f"{self.relation} {self.bound!r}"

    def holds(self, value: float) -> bool:
        """Tell whether a value keeps the bound."""
        return value <= self.bound if self.relation == "<=" else value >= self.bound


def _known_metric(name: str) -> str:
    if name not in METRICS:
        context = {"rule": "unknown metric", "remedy": did_you_mean(name, METRICS)}
        raise PydanticCustomError("metric", "{rule}", context)
    return name


def _bound(value: object) -> Constraint:
    try:
        return Constraint.parse(value)
    except ValueError as error:
        remedy = "write '<= 0.2' or '>= 0.95', the number in the metric's own unit"
        context = {"rule": str(error), "remedy": remedy}
        raise PydanticCustomError("constraint", "{rule}", context) from None


MetricName = Annotated[str, AfterValidator(_known_metric)]

Bound = Annotated[Constraint, BeforeValidator(_bound)]

Grid = dict[str, list[Any] | Range]
"""Dotted paths to the values they take; every combination is a point."""


class SystemScenario(Section):
    """The half of a scenario that a stored profile leaves open."""

    name: str = Field("scenario", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    """Names the result folder."""
    edge: EdgeSection
    link: LinkSection
    server: ServerSection
    workload: WorkloadSection
    calibration: CalibrationSection = CalibrationSection()
    simulation: SimulationSection = SimulationSection()
    sweep: Grid | list[Grid] = Field(default_factory=dict)
    """Keys to vary: dotted path to a list or a range; a list of such grids is their union."""
    objectives: dict[MetricName, Literal["min", "max"]] = Field(
        default={"latency_p95_s": "min", "uplink_bytes": "min", "accuracy": "max"},
        min_length=1,
    )
    """What the Pareto front trades, most important first."""
    constraints: dict[MetricName, Bound] = Field(default_factory=dict)
    """What the chosen operating point must keep."""

    @model_validator(mode="after")
    def _requests_are_enough_and_not_too_many(self) -> Self:
        counted_s = self.workload.duration - self.simulation.warmup
        requests = self.workload.duration * self.workload.rate * self.simulation.replications
        if requests > _REQUESTS_MAX:
            raise PydanticCustomError(
                "requests",
                "{rule}",
                {
                    "path": ("workload", "rate"),
                    "rule": f"rate x duration x replications must be at most {_REQUESTS_MAX:,}"
                    f" requests, and is {requests:.3g}",
                    "remedy": "lower one of them",
                },
            )
        if counted_s * self.workload.rate < _COUNTED_REQUESTS_MIN:
            expected = max(0.0, counted_s * self.workload.rate)
            raise PydanticCustomError(
                "counted_requests",
                "{rule}",
                {
                    "path": ("workload", "duration"),
                    "rule": f"must leave at least {_COUNTED_REQUESTS_MIN} requests after the"
                    f" warm-up, and leaves {expected:.3g} at this rate",
                    "remedy": "lengthen the run, raise the rate or shorten simulation.warmup",
                },
            )
        return self


class Scenario(SystemScenario):
    """A network, what is done to it, and the system it runs in."""

    model: ModelSection
    data: DataSection = DataSection()
    pruning: PruningSection = PruningSection()
    split: SplitSection
    codec: CodecSection = CodecSection()
