"""Recorded arrivals: a CSV file with a time of creation per request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from flexrel_sim.errors import Fault, ScenarioError

__all__ = ["Replay", "read_replay"]

_COLUMNS = {"created_s": pa.float64(), "device": pa.int32(), "sample": pa.int64()}


@dataclass(frozen=True)
class Replay:
    """Recorded requests, in order of creation.

    Parameters
    ----------
    created_s
        Seconds from the start of the run, shape ``(n,)``.
    device
        Which edge device created each; 0 where the file does not say.
    sample
        Which test sample each carries, where the file says so.
    """

    created_s: NDArray[np.float64]
    device: NDArray[np.int32]
    sample: NDArray[np.int64] | None


def read_replay(file: Path, devices: int) -> Replay:
    """Read recorded arrivals.

    Parameters
    ----------
    file
        A CSV file with a head: ``created_s``, and perhaps ``device`` and ``sample``.
    devices
        How many devices there are.

    Returns
    -------
    Replay
        Its rows.

    Raises
    ------
    ScenarioError
        With every kind of fault: no such file, no column ``created_s``, a cell that is no number,
        times that decrease or are negative, a device or sample that can't be.
    """
    try:
        table = pyarrow.csv.read_csv(
            file, convert_options=pyarrow.csv.ConvertOptions(column_types=_COLUMNS)
        )
    except (OSError, pa.ArrowException) as error:
        told = str(error).splitlines()[0]
        remedy = "write a head, and a row of numbers for every request"
        raise _fault(file, "can't be read as CSV", told, remedy) from None
    if "created_s" not in table.column_names or set(table.column_names) - set(_COLUMNS):
        rule = "must have a column created_s, and no others than device and sample"
        raise _fault(file, rule, ", ".join(table.column_names), "rename its head")
    # An empty cell is NaN in a float, and would be any number in an integer.
    columns = {
        name: table[name].to_numpy().astype(float)
        for name in _COLUMNS
        if name in table.column_names
    }
    created_s, sample = columns["created_s"], columns.get("sample")
    device = columns.get("device", np.zeros(created_s.size))
    checks = [
        (~np.isfinite(created_s) | (created_s < 0), created_s, "created_s must be at least 0"),
        (np.diff(created_s, prepend=-np.inf) < 0, created_s, "created_s must not decrease"),
        (
            ~((device >= 0) & (device < devices)),
            device,
            f"device must be one of 0 to {devices - 1}",
        ),
    ]
    if sample is not None:
        checks.append((~(sample >= 0), sample, "sample must be at least 0"))
    found: list[Fault] = []
    for wrong, values, rule in checks:
        if wrong.any():
            row = int(np.argmax(wrong))
            # Row 0 is the file's second line.
            more = f" ({int(wrong.sum()) - 1} more lines are wrong)" if wrong.sum() > 1 else ""
            found.append(
                Fault(
                    "workload.file", rule + more, f"{values[row]:g}", "mend it", f"{file}:{row + 2}"
                )
            )
    if found:
        raise ScenarioError(found)
    samples = None if sample is None else sample.astype(np.int64)
    return Replay(created_s, device.astype(np.int32), samples)


def _fault(file: Path, rule: str, value: object, remedy: str) -> ScenarioError:
    return ScenarioError([Fault("workload.file", rule, value, remedy, str(file))])
