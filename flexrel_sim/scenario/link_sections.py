"""What a scenario may say of the link: two directions, each a rate or a mapping."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from flexrel_sim.scenario.link_options import (
    BufferSection,
    JitterSection,
    LossSection,
    MarkovSection,
    OutageSection,
    TokenBucketSection,
    exactly_one,
    link_refusal,
)
from flexrel_sim.scenario.section import SEED_MAX, Section
from flexrel_sim.units import (
    BitRatePerSecond,
    BitRatePerSecondOrZero,
    Bytes,
    PositiveBytes,
    PositiveSeconds,
    QuantityKind,
    Seconds,
    parse_quantity,
)

__all__ = [
    "CAPACITY_KINDS",
    "TRACE_FORMATS",
    "UNION_TAGS",
    "DirectionSection",
    "DirectionSetting",
    "LinkSection",
    "Transport",
    "nominal_rate_bit_per_s",
    "parse_column",
]

CAPACITY_KINDS: Final = ("rate", "schedule", "trace", "markov", "generate", "token_bucket")
"""Keys of a direction of which it has exactly one."""

TraceFormat = Literal["mahimahi", "pensieve", "csv", "irish", "norway"]

TRACE_FORMATS: Final = get_args(TraceFormat)

UNION_TAGS: Final = ("[rate]", "[mapping]")
"""What pydantic puts into the place of an error to say how a direction was read."""

_OWNERS: Final = {
    "repeat": ("schedule",),
    "format": ("trace",),
    "columns": ("trace",),
    "mean": ("generate",),
    "duration": ("markov", "generate"),
    "seed": ("markov", "generate"),
}
"""Options that only some kinds of capacity have."""

_TIME: Final = QuantityKind("duration", "s", ("20 ms",), zero=True)

_RATE: Final = QuantityKind("bit rate", "bit/s", ("10 Mbit/s",), zero=True)

Transport = Literal["ideal", "udp", "udp-arq", "tcp-warm", "tcp-cold"]


class DirectionSection(Section):
    """One direction of the link: one kind of capacity, and what happens on it."""

    rate: BitRatePerSecond | None = None
    """One rate for ever."""
    schedule: (
        list[Annotated[tuple[Seconds, BitRatePerSecondOrZero], Field(strict=False)]] | None
    ) = Field(None, min_length=1)
    """Times, the first of them 0 s, and the rate from each on; the last holds for ever."""
    trace: str | None = Field(None, min_length=1)
    """File of a measured trace; it repeats."""
    markov: MarkovSection | None = None
    """A chain of rates."""
    generate: Literal["lte", "5g", "wifi"] | None = None
    """A synthetic trace of this kind of network."""
    token_bucket: TokenBucketSection | None = None
    """A shaper."""
    repeat: PositiveSeconds | None = None
    """With a schedule: when it starts over."""
    format: TraceFormat | None = None
    """With a trace: how its file is written."""
    columns: dict[Literal["time", "rate"], str] | None = None
    """With a CSV trace: name and unit of its columns, such as {time: t ms, rate: bw kbit/s}."""
    mean: BitRatePerSecond | None = None
    """With generate: its mean rate; the kind's own when absent."""
    duration: PositiveSeconds = 300.0
    """With markov or generate: how much is drawn; it repeats."""
    seed: int | None = Field(None, ge=0, le=SEED_MAX)
    """With markov or generate: fixes the draw; each replication has its own when absent."""
    transport: Transport = "ideal"
    """How a message crosses: as bytes, as datagrams, those with retransmission, or by TCP."""
    mtu: PositiveBytes = 1500.0
    """Largest packet, headers of IP and transport included."""
    header: Bytes | None = None
    """Bytes of each packet that are IP's and the transport's; 28 B for UDP, 52 B for TCP, 0 B for
    ideal when absent."""
    frame: Bytes | None = None
    """Bytes around each packet; Ethernet's 38 B, or 0 B for ideal, when absent."""
    attempts: int = Field(8, ge=1, le=1000)
    """With udp-arq or TCP: transmissions of a packet before its message is given up."""
    buffer: BufferSection = BufferSection()
    loss: LossSection | None = None
    jitter: JitterSection | None = None
    outage: OutageSection | None = None

    @model_validator(mode="after")
    def _is_one_kind_with_its_own_options(self) -> Self:
        kind = exactly_one(self, CAPACITY_KINDS)
        for option, kinds in _OWNERS.items():
            if option in self.model_fields_set and kind not in kinds:
                raise link_refusal(
                    f"{option} has no effect on a direction by {kind}",
                    f"remove it, or use it with {' or '.join(kinds)}",
                )
        if self.schedule is not None:
            self._schedule_is_sound()
        if kind == "trace" and self.format is None:
            raise link_refusal(
                "a trace needs its format", f"add 'format:' and one of {', '.join(TRACE_FORMATS)}"
            )
        if (self.format == "csv") != (self.columns is not None):
            raise link_refusal(
                "columns belong to a csv trace, and it needs them",
                "write 'columns: {time: t_ms ms, rate: bw kbit/s}' with 'format: csv'",
            )
        if self.columns is not None and set(self.columns) != {"time", "rate"}:
            raise link_refusal(
                "columns must name both time and rate",
                "write 'columns: {time: t_ms ms, rate: bw kbit/s}'",
            )
        for column in ("time", "rate"):
            if self.columns is not None:
                parse_column(column, self.columns[column])
        self._options_fit(kind)
        return self

    def _schedule_is_sound(self) -> None:
        times = [time for time, _ in self.schedule or ()]
        if times[0] != 0 or times != sorted(set(times)):
            raise link_refusal("a schedule must start at 0 s, with ascending times", "sort it")
        if self.repeat is not None and self.repeat <= times[-1]:
            raise link_refusal("a schedule must repeat after its last time", "lengthen repeat")
        last = [rate for _, rate in self.schedule or ()][0 if self.repeat else -1 :]
        if not any(last):
            raise link_refusal(
                "a schedule must not be zero for ever", "end it above zero, or add repeat"
            )

    def _options_fit(self, kind: str) -> None:
        lossless = self.transport == "ideal"
        if self.loss is not None and lossless:
            raise link_refusal(
                "loss has no effect on transport ideal",
                "add 'transport: udp', 'udp-arq', 'tcp-warm' or 'tcp-cold'",
            )
        if "attempts" in self.model_fields_set and self.transport in ("ideal", "udp"):
            raise link_refusal(
                f"attempts has no effect on transport {self.transport}",
                "remove it, or use udp-arq or TCP",
            )
        by_packet = kind == "token_bucket" or self.format == "mahimahi"
        if by_packet and self.outage is not None:
            raise link_refusal(
                "an outage needs a capacity that is a rate over time",
                "use rate, schedule, markov, generate or another format of trace",
            )
        if by_packet and self.loss is not None and self.transport.startswith("tcp"):
            raise link_refusal(
                "TCP with losses needs a capacity that is a rate over time",
                "use udp-arq, or rate, schedule, markov, generate or another format of trace",
            )
        if (self.header or 0.0) >= self.mtu:
            raise link_refusal("header must leave room in the mtu", "lower it")
        if not all((value or 0.0).is_integer() for value in (self.mtu, self.header, self.frame)):
            raise link_refusal("mtu, header and frame must be whole bytes", "round them")

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is absent, and the options of other kinds, so that it reads back."""
        options = {*_OWNERS, "attempts"} - self.model_fields_set
        return {
            key: value
            for key, value in handler(self).items()
            if value is not None and key not in options
        }


class _RateOrMapping:
    """Reads a plain direction as a bit rate, and a mapping as a section.

    A union that pydantic resolves itself would tell of both when one is wrong.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        del source
        rate, mapping = UNION_TAGS
        choices = {
            rate: handler.generate_schema(BitRatePerSecond),
            mapping: handler.generate_schema(DirectionSection),
        }
        return core_schema.tagged_union_schema(
            choices,
            discriminator=lambda value: (
                mapping if isinstance(value, dict | DirectionSection) else rate
            ),
        )


DirectionSetting = Annotated[float | DirectionSection, _RateOrMapping()]
"""A rate in bit/s for ever, or a section."""


def parse_column(quantity: str, text: str) -> tuple[str, float]:
    """Read what a file's column is called and measured in.

    Parameters
    ----------
    quantity
        ``time`` or ``rate``.
    text
        Its name and unit, such as ``bw kbit/s``; the name may have spaces, the unit has none.

    Returns
    -------
    name, unit
        The name, and one unit of it in s or bit/s.

    Raises
    ------
    PydanticCustomError
        If there is no name, or no unit of the quantity.
    """
    name, _, unit = text.rpartition(" ")
    kind = {"time": _TIME, "rate": _RATE}[quantity]
    try:
        value = parse_quantity(f"1 {unit}", kind)
    except ValueError:
        value = 0.0
    if not name or not value:
        example = {"time": "t_ms ms", "rate": "bw kbit/s"}[quantity]
        raise link_refusal(
            f"columns.{quantity} must be a name and a unit of {kind.what}, and is {text!r}",
            f"write '{quantity}: {example}'",
        )
    return name, value


def nominal_rate_bit_per_s(setting: float | DirectionSection) -> float:
    """Give the one rate that a direction is set to.

    Parameters
    ----------
    setting
        A direction.

    Returns
    -------
    float
        Its rate, the mean of what is generated or the rate of its tokens, in bit/s; NaN where the
        section names no such rate.
    """
    if isinstance(setting, float):
        return setting
    if setting.token_bucket is not None:
        return setting.token_bucket.rate
    named = setting.rate if setting.generate is None else setting.mean
    return math.nan if named is None else named


class LinkSection(Section):
    """The link: two directions, first come first served unless its medium is shared."""

    uplink: DirectionSetting
    """From the edge to the server: a rate, or a mapping with exactly one of rate, schedule, trace,
    markov, generate and token_bucket."""
    downlink: DirectionSetting
    """From the server to the edge, written like uplink."""
    delay: Seconds = 0.0
    """Propagation delay of each direction; it delays, and never occupies, the link."""
    medium: Literal["full-duplex", "half-duplex", "shared"] = "full-duplex"
    """Directions that know nothing of each other; one message at a time, whatever its direction;
    or all messages of a direction at once, with equal shares of its rate."""

    @model_validator(mode="after")
    def _shares_rates_only(self) -> Self:
        if self.medium != "shared":
            return self
        for name in ("uplink", "downlink"):
            section = getattr(self, name)
            if isinstance(section, float):
                continue
            if section.token_bucket is not None or section.format == "mahimahi":
                raise link_refusal(
                    f"a shared medium needs an {name} that is a rate over time",
                    "use another kind, or medium full-duplex",
                )
            if section.buffer != BufferSection():
                raise link_refusal(
                    f"a shared medium has no queue, so a buffer of the {name} has no effect",
                    "remove it, or use medium full-duplex",
                )
        return self
