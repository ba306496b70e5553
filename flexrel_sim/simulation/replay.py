"""Recorded arrivals: a CSV file with a time of creation per request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.reading import reading

__all__ = ["Replay", "read_replay"]

_COLUMNS = {"created_s": pa.float64(), "device": pa.int32(), "sample": pa.int64()}

_REMEDY = "write a head, and a row of numbers for every request"

# The longest that a run may last; times that count from 1970 are beyond it.
_LATEST_S = 1e6

# Whole numbers below it are exact as floats.
_SAMPLES_MAX = 2**53


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
    columns = _columns(file)
    created_s, sample = columns["created_s"], columns.get("sample")
    device = columns.get("device", np.zeros(created_s.size))
    checks = [
        (~np.isfinite(created_s) | (created_s < 0), created_s, "created_s must be at least 0"),
        (created_s > _LATEST_S, created_s, f"created_s must be at most {_LATEST_S:g}"),
        (np.diff(created_s, prepend=-np.inf) < 0, created_s, "created_s must not decrease"),
        (
            ~((device >= 0) & (device < devices)),
            device,
            f"device must be one of 0 to {devices - 1}",
        ),
    ]
    if sample is not None:
        checks.append((~(sample >= 0), sample, "sample must be at least 0"))
        checks.append((sample >= _SAMPLES_MAX, sample, f"sample must be below {_SAMPLES_MAX}"))
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


def _columns(file: Path) -> dict[str, NDArray[np.float64]]:
    with reading(file, _REMEDY, key="workload.file"):
        try:
            table = pyarrow.csv.read_csv(
                file, convert_options=pyarrow.csv.ConvertOptions(column_types=_COLUMNS)
            )
        except pa.ArrowException as error:
            raise _fault(file, "can't be read as CSV", str(error), _REMEDY) from error
        names = table.column_names
        if "created_s" not in names or set(names) - set(_COLUMNS) or len(set(names)) < len(names):
            rule = "must have a column created_s, and no others than device and sample, each once"
            raise _fault(file, rule, ", ".join(names), "rename its head")
        # An empty cell is NaN in a float, and would be any number in an integer.
        return {name: table[name].to_numpy().astype(float) for name in names}


def _fault(file: Path, rule: str, value: object, remedy: str) -> ScenarioError:
    return ScenarioError([Fault("workload.file", rule, value, remedy, str(file))])
