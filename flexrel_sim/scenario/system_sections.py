"""What a scenario may say of the devices at both ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flexrel_sim.scenario.device_sections import BatchTimeSection, Precision
from flexrel_sim.scenario.section import Section
from flexrel_sim.units import EnergyJoules, EventRatePerSecond, PositiveSeconds, Seconds

__all__ = [
    "BackgroundSection",
    "BatchSection",
    "EdgeSection",
    "FailureSection",
    "ServerSection",
]

Buffer = Annotated[int, Field(ge=0, le=10_000_000)]


class FailureSection(Section):
    """When something is down: in given windows, or by chance."""

    windows: list[Annotated[list[Seconds], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, max_length=100_000
    )
    """Pairs of start and end, ascending and apart; for all devices or workers alike."""
    mean_up: PositiveSeconds | None = None
    """Mean of the exponential time to the next failure, of each device or worker by itself."""
    mean_down: PositiveSeconds | None = None
    """Mean of the exponential time to its repair."""


class DeviceSection(Section):
    """What edge and server have in common."""

    device: str
    """Name of a preset (`flexrel-sim devices` lists them), or path of a device file."""
    precision: Precision = "float32"
    """Number format that its half of the network runs in: its rate, and the bytes of weights and
    activations that are read. A format but float32 must be one whose rate the device states.
    Accuracy is not measured in it, and what is sent has the format of `codec`."""
    service_time: PositiveSeconds | None = None
    """Measured time of the device's half of the network; estimated by roofline when absent."""
    codec_time: Seconds | None = None
    """Measured time of its half of the codec: the edge encodes, the server decodes; estimated from
    bytes touched and a compressor's cycles when absent."""
    service: Literal["deterministic", "exponential"] = "deterministic"
    """Distribution of the service time around its mean."""
    buffer: Buffer | None = None
    """How many requests may wait while it is busy; more are dropped. Any number when absent."""
    failures: FailureSection | None = None
    """When it crashes: an edge device loses what it holds, a server worker what it serves."""


class EdgeSection(DeviceSection):
    """The edge devices, all alike: each one request at a time, first come first served."""

    count: int = Field(1, ge=1, le=1_000_000)
    """How many devices; they share the link's cell and the server."""
    radio: str = "none"
    """Name of a radio preset (`flexrel-sim devices` lists them), or path of a radio file; `none`
    leaves the radio out of the energy account."""
    battery: EnergyJoules | None = None
    """What each device's battery holds; without one, no battery life is reported."""


class BatchSection(Section):
    """Requests served together."""

    size: int = Field(ge=1, le=4096)
    """Largest batch; it starts as soon as it is full."""
    timeout: Seconds = 0.0
    """A smaller batch starts once its oldest request has waited this long."""
    answer_within: PositiveSeconds | None = None
    """Instead of `timeout`: start early enough for a full batch to be done this long after its
    oldest request came."""
    time: BatchTimeSection = BatchTimeSection()
    """How long a batch takes."""


class BackgroundSection(Section):
    """Other tenants' work on the same server."""

    rate: EventRatePerSecond
    """Their jobs per second, Poisson."""
    service_time: PositiveSeconds
    """Mean time of one of their jobs, on one worker, never batched."""
    service: Literal["deterministic", "exponential"] = "exponential"
    """Distribution of that time."""
    tier: int = Field(0, ge=0, le=7)
    """Their priority; 0 is served first."""


class ServerSection(DeviceSection):
    """The server: one pool of workers for all devices."""

    workers: int = Field(1, ge=1, le=100_000)
    """How many batches, or jobs, it serves at a time."""
    batch: BatchSection | None = None
    """How requests are batched; one by one when absent."""
    background: BackgroundSection | None = None
    """Other tenants."""
    on_failure: Literal["retry", "drop"] = "retry"
    """What becomes of the batch of a worker that fails: served again first, or dropped."""
