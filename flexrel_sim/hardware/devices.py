"""Devices: what a preset says, and where to find one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field

from flexrel_sim.scenario import Section, did_you_mean, load_model, read_yaml

__all__ = ["Device", "SparseKernels", "find_device", "list_devices"]


class SparseKernels(Section):
    """What a device gains from zeros in its weights; a device without them gains nothing."""

    max_density: float = Field(gt=0, le=1)
    """Share of non-zero weights below which the sparse kernel is used."""
    efficiency: float = Field(gt=0, le=1)
    """Its speed per non-zero weight, against the dense kernel's per weight."""


class Device(Section):
    """What the roofline needs to know of a device, and who says so."""

    description: str
    """What it is."""
    compute_flop_per_s: float = Field(gt=0)
    """Dense floating-point rate that the source states."""
    compute_kind: Literal["measured", "peak"]
    """Whether that rate was measured on the device or is its data sheet's peak."""
    precision: Literal["float64", "float32", "float16"]
    """Number format of that rate."""
    efficiency: float = Field(gt=0, le=1)
    """Share of that rate that a layer reaches."""
    memory_bandwidth_byte_per_s: float = Field(gt=0)
    """Rate of reading weights and activations."""
    clock_hz: float | None = Field(None, gt=0)
    """Clock of the core that encodes and decodes; 2 GHz is assumed when absent."""
    overhead_per_layer_s: float = Field(0.0, ge=0)
    """Time to start a layer."""
    active_power_w: float = Field(gt=0)
    """Power while computing."""
    source: str = Field(min_length=1)
    """Who states these figures."""
    assumptions: str = ""
    """What no source states."""
    sparse_kernels: SparseKernels | None = None
    """What zeros in the weights gain; nothing when absent."""


def list_devices() -> dict[str, Device]:
    """Give all presets by name."""
    return dict(_presets())


def find_device(name: str, folder: Path) -> Device:
    """Find a preset, or read a device file.

    Parameters
    ----------
    name
        Name of a preset, or path of a YAML file with the fields of `Device`.
    folder
        Where a relative path starts.

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
    presets = _presets()
    if name in presets:
        return presets[name]
    file = folder / name
    if file.suffix in (".yaml", ".yml") and file.is_file():
        return load_model(Device, file)
    raise LookupError(f"{did_you_mean(name, presets)}, or the path of a device's .yaml file")


@cache
def _presets() -> dict[str, Device]:
    file = Path(str(files("flexrel_sim.hardware") / "devices.yaml"))
    return {name: Device.model_validate(data) for name, data in read_yaml(file).data.items()}
