"""Number formats of inference: what a device can't run, and what accuracy doesn't say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from flexrel_sim.errors import Fault
from flexrel_sim.hardware import Device
from flexrel_sim.scenario import Point, ScenarioFile
from flexrel_sim.study.result import PointResult

__all__ = ["Side", "precision_faults", "precision_warnings"]

Side = Literal["edge", "server"]
"""Where a half of the network runs."""

_SIDES: Final[tuple[Side, ...]] = ("edge", "server")


def precision_faults(
    scenario_file: ScenarioFile[Any], point: Point[Any], side: Side, device: Device
) -> Iterator[Fault]:
    """Find a number format whose rate the device doesn't state.

    Parameters
    ----------
    scenario_file, point
        What asks for it.
    side
        Where it is to run.
    device
        What it is to run on. Every device runs float32, where need be at the rate that it states
        for another format.

    Yields
    ------
    Fault
        With the formats that the device states.
    """
    section = getattr(point.scenario, side)
    if section.precision not in {"float32", *device.stated_precisions}:
        rule = f"must be a number format whose rate {section.device!r} states"
        known = ", ".join(device.stated_precisions)
        remedy = f"known: {known}; or name a device file that has it in 'rates'"
        yield scenario_file.fault(point, f"{side}.precision", rule, section.precision, remedy)


def precision_warnings(
    scenario_file: ScenarioFile[Any], points: Sequence[PointResult]
) -> Iterator[Fault]:
    """Tell of points that run in a format which their accuracy wasn't measured in.

    Parameters
    ----------
    scenario_file
        Whose points they are.
    points
        What was simulated.

    Yields
    ------
    Fault
        One per side and format, at the first such point.
    """
    told = set()
    for place, point in zip(scenario_file.points, points, strict=True):
        for side in _SIDES:
            precision = getattr(point.scenario, side).precision
            dtype = point.profile.operating_point.get("weights", {}).get("dtype", "float32")
            runs = any(
                profile.head if side == "edge" else profile.tail
                for profile in point.options or (point.profile,)
            )
            if not runs or precision == "float32" or (side, precision, dtype) in told:
                continue
            told.add((side, precision, dtype))
            measured = f"{dtype} weights and float32 activations"
            rule = f"sets times and energies only: accuracy was measured with {measured}"
            remedy = "measure it in that format before you rely on it"
            if precision not in {dtype, "float64"}:
                remedy = f"'weights.dtype: {precision}' measures its weights; {remedy}"
            yield scenario_file.fault(place, f"{side}.precision", rule, precision, remedy)
