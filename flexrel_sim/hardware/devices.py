"""Devices: what a preset or a device file says, and where to find one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.hardware.presets import found, shipped
from flexrel_sim.hardware.profiled import ProfiledTable, profiled_faults
from flexrel_sim.hardware.sparsity import SparseKernels, SparseTable, StructuredKernels
from flexrel_sim.hardware.traits import Precision
from flexrel_sim.profile import Profile
from flexrel_sim.scenario import Section, did_you_mean, load_model, read_yaml

__all__ = ["Device", "Rate", "find_device", "list_devices"]


class Rate(Section):
    """What a device computes in one number format."""

    dense_flop_per_s: float = Field(gt=0)
    """Rate on dense operands; one multiply-accumulate is two operations, integers too."""
    sparse_flop_per_s: float | None = Field(None, gt=0)
    """Rate where the weights obey the pattern of `structured_kernels`, counted as if dense."""
    kind: Literal["measured", "peak"]
    """Whether it was measured on the device or is its data sheet's peak."""


class Device(Section):
    """What the roofline and the energy account need to know of a device, and who says so."""

    description: str
    """What it is."""
    compute_flop_per_s: float = Field(gt=0)
    """Dense floating-point rate that the source states."""
    compute_kind: Literal["measured", "peak"]
    """Whether that rate was measured on the device or is its data sheet's peak."""
    precision: Precision
    """Number format of that rate."""
    sparse_flop_per_s: float | None = Field(None, gt=0)
    """Rate in that format where the weights obey the pattern of `structured_kernels`, counted as
    if dense."""
    rates: dict[Precision, Rate] = Field(default_factory=dict)
    """Rates in other number formats; float32, where it is not here, runs at
    `compute_flop_per_s`."""
    efficiency: float = Field(gt=0, le=1)
    """Share of a rate that a layer reaches."""
    memory_bandwidth_byte_per_s: float = Field(gt=0)
    """Rate of reading weights and activations."""
    clock_hz: float | None = Field(None, gt=0)
    """Clock of the core that encodes and decodes; 2 GHz is assumed when absent."""
    overhead_per_layer_s: float = Field(0.0, ge=0)
    """Time to start a layer."""
    active_power_w: float = Field(gt=0)
    """Power of the whole device while computing, what it draws idle included."""
    idle_power_w: float | None = Field(None, ge=0)
    """Power of the whole device while it waits; its idle energy is unknown when absent."""
    source: str = Field(min_length=1)
    """Who states these figures."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Who states a figure that `source` does not, by key."""
    assumptions: str = ""
    """What no source states."""
    sparse_kernels: SparseKernels | None = None
    """What any zeros in the weights gain past a threshold; nothing when absent."""
    structured_kernels: StructuredKernels | None = None
    """What weights in an N:M pattern gain; nothing when absent."""
    sparse_table: SparseTable | None = None
    """What zeros in the weights were measured to gain; nothing when absent."""
    profiled: ProfiledTable | None = None
    """Measured times of layers, which beat the roofline."""

    @field_validator("sources")
    @classmethod
    def _sources_are_of_keys(cls, sources: dict[str, str]) -> dict[str, str]:
        unknown = [name for name in sources if name not in cls.model_fields]
        if unknown:
            remedy = "; ".join(
                f"{name!r}: {did_you_mean(name, cls.model_fields)}" for name in unknown
            )
            context = {"rule": "must name keys of the device", "remedy": remedy}
            raise PydanticCustomError("sources", "{rule}", context)
        return sources

    @model_validator(mode="after")
    def _a_format_has_one_rate(self) -> Self:
        if self.precision in self.rates:
            context = {
                "path": ("rates", self.precision),
                "rule": "repeats the format of 'compute_flop_per_s'",
                "remedy": "remove one of the two; a sparse rate may stand in 'sparse_flop_per_s'",
            }
            raise PydanticCustomError("rates", "{rule}", context)
        return self

    @property
    def stated_precisions(self) -> tuple[Precision, ...]:
        """Number formats whose rate is stated, that of `compute_flop_per_s` first."""
        return (self.precision, *self.rates)

    @property
    def speed_models(self) -> tuple[str, ...]:
        """Names of what makes zeros fast: ``threshold``, ``structured``, ``table``; often none."""
        models = {
            "threshold": self.sparse_kernels,
            "structured": self.structured_kernels,
            "table": self.sparse_table,
        }
        return tuple(name for name, model in models.items() if model is not None)

    def rate(self, precision: Precision) -> Rate:
        """Give the rate in a number format: the stated one, or else `compute_flop_per_s`."""
        if precision in self.rates:
            return self.rates[precision]
        return Rate(
            dense_flop_per_s=self.compute_flop_per_s,
            sparse_flop_per_s=self.sparse_flop_per_s if precision == self.precision else None,
            kind=self.compute_kind,
        )


def list_devices() -> dict[str, Device]:
    """Give all presets by name."""
    return dict(_presets())


def find_device(
    name: str,
    folder: Path,
    profile: Profile | None = None,
    side: Literal["head", "tail"] | None = None,
) -> Device:
    """Find a preset, or read a device file.

    Parameters
    ----------
    name
        Name of a preset, or path of a YAML file with the fields of `Device`.
    folder
        Where a relative path starts.
    profile
        What is to run on it. A `profiled` table of its network is then checked against its layers,
        in one list with all other faults of the file.
    side
        The half that runs on it: only these layers need a time; all of them when absent.

    Returns
    -------
    Device
        The device.

    Raises
    ------
    LookupError
        If the name is no preset and no file; the message is the remedy.
    ScenarioError
        If the device file is wrong.
    """
    return found("device", name, folder, _presets(), lambda file: _read_device(file, profile, side))


def _read_device(
    file: Path, profile: Profile | None, side: Literal["head", "tail"] | None
) -> Device:
    faults: list[Fault] = []
    device = None
    try:
        device = load_model(Device, file)
    except ScenarioError as error:
        faults += error.faults
    if profile is not None:
        source = read_yaml(file)
        table = source.data.get("profiled")
        if isinstance(table, Mapping):
            faults += profiled_faults(table, profile, side, source.fault)
    if faults or device is None:
        raise ScenarioError(faults)
    return device


@cache
def _presets() -> dict[str, Device]:
    return shipped(Device, "devices.yaml")
