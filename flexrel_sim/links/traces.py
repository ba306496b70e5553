"""Measured traces in the field's layouts, as capacities that repeat."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from flexrel_sim.links.capacity import Capacity
from flexrel_sim.links.opportunities import Opportunities
from flexrel_sim.links.piecewise import PiecewiseConstant
from flexrel_sim.links.trace_columns import append_sample, read_csv, read_irish
from flexrel_sim.links.trace_file import RATE_MAX_BIT_PER_S, TIME_MAX_S, TraceFile
from flexrel_sim.reading import reading

__all__ = ["MAHIMAHI_BYTES", "pieces_of_samples", "read_trace"]

MAHIMAHI_BYTES: Final = 1504
"""Bytes of one opportunity: mm-link's code; its manual page says 1500."""

Columns = Mapping[str, str]

_STAMP_MAX_DIGITS = 100


def read_trace(
    file: Path, layout: str, columns: Columns | None = None, direction: str = "uplink"
) -> Capacity:
    """Read a trace.

    Parameters
    ----------
    file
        The file, read line by line.
    layout
        ``mahimahi``, ``pensieve``, ``csv``, ``irish`` or ``norway``.
    columns
        With ``csv``: name and unit of the columns ``time`` and ``rate``.
    direction
        ``uplink`` or ``downlink``: the column of an Irish trace, and the key in faults.

    Returns
    -------
    Capacity
        `Opportunities` from Mahimahi, else `PiecewiseConstant`.

    Raises
    ------
    ScenarioError
        With up to 20 faults, each at its line: times that descend, rates that are negative, not
        finite or no number, a missing column, nothing carried at all, an empty or unreadable file
        or one of more than 20,000,000 lines.
    """
    with reading(file, "check the path", key=f"link.{direction}.trace"):
        stamp = file.stat()
    named = tuple(sorted((columns or {}).items()))
    return _read_cached(file, layout, named, direction, (stamp.st_mtime_ns, stamp.st_size))


# A study asks for the same file at every point; its time and size tell whether it has changed.
@lru_cache(maxsize=8)
def _read_cached(
    file: Path,
    layout: str,
    columns: tuple[tuple[str, str], ...],
    direction: str,
    stamp: tuple[int, int],
) -> Capacity:
    del stamp
    trace = TraceFile(file, f"link.{direction}.trace")
    with reading(file, "mend its times and rates", key=trace.key):
        if layout == "csv":
            return pieces_of_samples(trace, *read_csv(trace, dict(columns)))
        if layout == "irish":
            return pieces_of_samples(trace, *read_irish(trace, direction))
        return _READERS[layout](trace)


def _read_mahimahi(trace: TraceFile) -> Capacity:
    """Read one whole millisecond per line."""
    stamps, latest = array("d"), 0
    remedy = "write one whole number of milliseconds per line, never descending"
    number = 0
    for number, text in trace.lines():
        if not (text.isascii() and text.isdigit()):
            trace.fault(number, "must be a whole number of milliseconds", text, remedy)
            continue
        # Python turns no text of more than 4,300 digits into a number.
        stamp = int(text) if len(text) <= _STAMP_MAX_DIGITS else 10**_STAMP_MAX_DIGITS
        if not trace.at_most(number, stamp / 1e3, TIME_MAX_S, "the time in s", remedy):
            continue
        if stamp < latest:
            trace.fault(number, f"must not be before the line before, {latest}", stamp, remedy)
            continue
        latest = stamp
        # Division, and not a factor: 3 ms is the float 0.003.
        stamps.append(stamp / 1e3)
    trace.finish()
    if latest == 0:
        rule = "must end after 0 ms, or it has no length and no rate"
        trace.stop(number, rule, latest, "add later opportunities")
    return Opportunities(np.array(stamps), MAHIMAHI_BYTES)


def _read_pensieve(trace: TraceFile) -> Capacity:
    """Read a time in s and a rate in Mbit/s per line."""
    times, rates = array("d"), array("d")
    remedy = "write a time in s and a rate in Mbit/s"
    for number, text in trace.lines():
        cells = text.split()
        if len(cells) != 2:
            trace.fault(number, "must have two columns", text, remedy)
            continue
        time_s = trace.number(number, cells[0], "the time", remedy)
        rate = trace.number(number, cells[1], "the rate", remedy)
        if time_s is not None and rate is not None:
            append_sample(trace, number, (times, rates), time_s, 1e6 * rate)
    trace.finish()
    return pieces_of_samples(trace, times, rates)


def _read_norway(trace: TraceFile) -> Capacity:
    """Read bytes received and ms elapsed, columns 5 and 6 of a log of downloads."""
    lengths, rates = array("d"), array("d")
    remedy = "give lines with bytes in column 5 and elapsed ms in column 6"
    for number, text in trace.lines():
        cells = text.split()
        if len(cells) < 6:
            trace.fault(number, "must have six columns", text, remedy)
            continue
        count = trace.number(number, cells[4], "the bytes", remedy)
        elapsed_ms = trace.number(number, cells[5], "the elapsed time", remedy)
        if elapsed_ms == 0:
            trace.fault(number, "the elapsed time must be above 0", cells[5], remedy)
        elif count is not None and elapsed_ms is not None:
            rate = 8e3 * count / elapsed_ms
            if trace.at_most(number, rate, RATE_MAX_BIT_PER_S, "the rate in bit/s", remedy):
                lengths.append(elapsed_ms / 1e3)
                rates.append(rate)
    trace.finish()
    _carries(trace, rates)
    ends_s = np.cumsum(np.array(lengths))
    return PiecewiseConstant(np.append(0.0, ends_s[:-1]), np.array(rates), float(ends_s[-1]))


_READERS: Final[Mapping[str, Callable[[TraceFile], Capacity]]] = MappingProxyType(
    {"mahimahi": _read_mahimahi, "pensieve": _read_pensieve, "norway": _read_norway}
)


def pieces_of_samples(
    trace: TraceFile, times: array[float], rates: array[float]
) -> PiecewiseConstant:
    """Let each sample hold until the next, and the last as long as the one before it.

    Parameters
    ----------
    trace
        The file, for faults.
    times, rates
        Times in s, ascending, of which the first becomes 0; rates in bit/s.

    Returns
    -------
    PiecewiseConstant
        The trace, which repeats.

    Raises
    ------
    ScenarioError
        If there are fewer than two samples, or all rates are zero.
    """
    if len(times) < 2:
        rule = "must have at least two samples, or it has no length"
        trace.stop(0, rule, len(times), "give more, or write the rate into the scenario")
    _carries(trace, rates)
    starts_s = np.array(times) - times[0]
    end_s = float(starts_s[-1] + (starts_s[-1] - starts_s[-2]))
    return PiecewiseConstant(starts_s, np.array(rates), end_s)


def _carries(trace: TraceFile, rates: array[float]) -> None:
    if not any(rates):
        rule = f"must not be zero for ever, and all of its {len(rates):,} rates are"
        trace.stop(0, rule, remedy="check its columns and units")
