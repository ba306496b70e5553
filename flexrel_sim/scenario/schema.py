"""What a scenario may say: one class per section, one field per key."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from flexrel_sim.metrics import METRICS
from flexrel_sim.scenario.constraints import Constraint, Constraints
from flexrel_sim.scenario.controller_section import ControllerSection
from flexrel_sim.scenario.data_sections import (
    Balance,
    CodecSection,
    CorruptionSection,
    DataSection,
    DeploymentSection,
    ImageSection,
    ModelSection,
    SplitSection,
    WeightsSection,
)
from flexrel_sim.scenario.link_sections import DirectionSection, LinkSection
from flexrel_sim.scenario.pruning_sections import (
    AutoDeltaSection,
    FineTuningSection,
    PruningSection,
    RelevanceSection,
    ScheduleSection,
)
from flexrel_sim.scenario.section import SEED_MAX, Section
from flexrel_sim.scenario.suggest import did_you_mean
from flexrel_sim.scenario.system_sections import (
    BackgroundSection,
    BatchSection,
    EdgeSection,
    FailureSection,
    ServerSection,
)
from flexrel_sim.scenario.update_section import UpdateSection
from flexrel_sim.scenario.workload_sections import (
    BurstSection,
    DiurnalSection,
    WorkloadSection,
)
from flexrel_sim.units import Seconds

__all__ = [
    "MODEL_SECTIONS",
    "AutoDeltaSection",
    "BackgroundSection",
    "BatchSection",
    "BurstSection",
    "CalibrationSection",
    "CodecSection",
    "Constraint",
    "ControllerSection",
    "CorruptionSection",
    "DataSection",
    "DeploymentSection",
    "DirectionSection",
    "DiurnalSection",
    "EdgeSection",
    "FailureSection",
    "FineTuningSection",
    "Grid",
    "ImageSection",
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
    "UpdateSection",
    "WeightsSection",
    "WorkloadSection",
]

MODEL_SECTIONS: Final = ("model", "data", "pruning", "weights", "split", "codec")
"""Sections that a profile replaces: they say what the model half measures."""

# Fewer requests say nothing of a tail, and a replication might count none at all.
_COUNTED_REQUESTS_MIN = 30

# A slip in a unit should not ask for days: the compiled engine takes minutes for as many.
_REQUESTS_MAX = 2_000_000_000


class CalibrationSection(Section):
    """Which calibration samples there are, who computes what they say, and when requests wait."""

    balance: Balance = "natural"
    """`natural`: classes are as frequent as in the data; `classes`: all are equally frequent, as
    long as samples last. Validation and test are natural in both. A stored profile has its own."""
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
    engine: Literal["auto", "simpy", "compiled"] = "auto"
    """`simpy` is the reference; `compiled` gives the same trace, hundreds of times as fast, where
    the system has no feedback; `auto` takes it there."""
    drain: bool = True
    """Whether the run goes on until all requests have ended; stopped at the workload's end, some
    are in flight."""
    traces: bool = True
    """Whether every request is written to `traces/`."""


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


def _known_metric(name: str) -> str:
    if name not in METRICS:
        context = {"rule": "unknown metric", "remedy": did_you_mean(name, METRICS)}
        raise PydanticCustomError("metric", "{rule}", context)
    return name


MetricName = Annotated[str, AfterValidator(_known_metric)]

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
    updates: UpdateSection | None = None
    controller: ControllerSection | None = None
    calibration: CalibrationSection = CalibrationSection()
    simulation: SimulationSection = SimulationSection()
    sweep: Grid | list[Grid] = Field(default_factory=dict)
    """Keys to vary: dotted path to a list or a range; a list of such grids is their union."""
    objectives: dict[MetricName, Literal["min", "max"]] = Field(
        default={"latency_p95_s": "min", "uplink_bytes": "min", "accuracy": "max"},
        min_length=1,
    )
    """What the Pareto front trades, most important first."""
    constraints: Constraints[MetricName] = Field(default_factory=dict)
    """What the chosen operating point must keep."""

    @property
    def expected_requests(self) -> float:
        """Mean number of requests in a replication; NaN where the workload does not say."""
        rate = self.workload.rate
        if rate is None:
            return math.nan
        return self.workload.duration * rate * self.edge.count

    @model_validator(mode="after")
    def _requests_are_enough_and_not_too_many(self) -> Self:
        requests = self.expected_requests
        if requests * self.simulation.replications > _REQUESTS_MAX:
            raise PydanticCustomError(
                "requests",
                "{rule}",
                {
                    "path": ("workload", "rate"),
                    "rule": f"rate x duration x devices x replications must be at most"
                    f" {_REQUESTS_MAX:,} requests, and is"
                    f" {requests * self.simulation.replications:.3g}",
                    "remedy": "lower one of them",
                },
            )
        counted_s = self.workload.duration - self.simulation.warmup
        if math.isnan(requests) and counted_s <= 0:
            raise PydanticCustomError(
                "warmup",
                "{rule}",
                {
                    "path": ("simulation", "warmup"),
                    "rule": "must end before workload.duration, or nothing is counted",
                    "remedy": "shorten it, or lengthen the run",
                },
            )
        # Unknown stays unknown: NaN is not below anything.
        counted = requests * max(0.0, counted_s) / self.workload.duration
        if counted < _COUNTED_REQUESTS_MIN:
            raise PydanticCustomError(
                "counted_requests",
                "{rule}",
                {
                    "path": ("workload", "duration"),
                    "rule": f"must leave at least {_COUNTED_REQUESTS_MIN} requests after the"
                    f" warm-up, and leaves {max(0.0, counted):.3g} at this rate",
                    "remedy": "lengthen the run, raise the rate or shorten simulation.warmup",
                },
            )
        return self


class Scenario(SystemScenario):
    """A network, what is done to it, and the system it runs in."""

    model: ModelSection
    data: DataSection = DataSection()
    pruning: PruningSection = PruningSection()
    weights: WeightsSection = WeightsSection()
    split: SplitSection
    codec: CodecSection = CodecSection()
