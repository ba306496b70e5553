"""Traces with a header line: columns that the scenario names, and the Irish 4G/5G layout."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from flexrel_sim.links.trace_file import RATE_MAX_BIT_PER_S, TIME_MAX_S, TraceFile
from flexrel_sim.scenario import did_you_mean
from flexrel_sim.scenario.link_sections import parse_column

__all__ = ["IRISH_COLUMNS", "Samples", "append_sample", "read_csv", "read_irish"]

Samples: TypeAlias = "tuple[array[float], array[float]]"
"""Times in s and rates in bit/s, as they grow."""

IRISH_COLUMNS: Final = {"uplink": "UL_bitrate", "downlink": "DL_bitrate"}
"""Columns of the Irish traces, in kbit/s."""

_IRISH_TIME: Final = "%Y.%m.%d_%H.%M.%S"

_DELIMITERS: Final = ",;\t"


def append_sample(trace: TraceFile, line: int, into: Samples, time_s: float, rate: float) -> None:
    """Keep a sample whose time is after the one before it, and note a fault at any other.

    Parameters
    ----------
    trace, line
        Where it stands.
    into
        What there is so far.
    time_s, rate
        The sample, in s and bit/s.
    """
    remedy = "check its units"
    if not trace.at_most(line, time_s, TIME_MAX_S, "the time in s", remedy):
        return
    if not trace.at_most(line, rate, RATE_MAX_BIT_PER_S, "the rate in bit/s", remedy):
        return
    if into[0] and time_s <= into[0][-1]:
        rule = f"the time must be after the one before, {into[0][-1]:.12g} s"
        trace.fault(line, rule, f"{time_s:.12g} s", "sort the lines, and keep one per time")
        return
    into[0].append(time_s)
    into[1].append(rate)


def read_csv(trace: TraceFile, columns: Mapping[str, str]) -> Samples:
    """Read two named columns.

    Parameters
    ----------
    trace
        The file; its first line names the columns, and commas, semicolons or tabs part them.
    columns
        Name and unit of ``time`` and ``rate``.

    Returns
    -------
    times, rates
        In s and bit/s.

    Raises
    ------
    ScenarioError
        With the faults of the file.
    """
    time_name, time_unit_s = parse_column("time", columns["time"])
    rate_name, rate_unit = parse_column("rate", columns["rate"])
    samples: Samples = (array("d"), array("d"))
    for line, (time_text, rate_text) in _cells(trace, (time_name, rate_name)):
        remedy = "write numbers without units; 'columns' says the units"
        time = trace.number(line, time_text, f"{time_name!r}", remedy)
        rate = trace.number(line, rate_text, f"{rate_name!r}", remedy)
        if time is not None and rate is not None:
            append_sample(trace, line, samples, time * time_unit_s, rate * rate_unit)
    trace.finish()
    return samples


def read_irish(trace: TraceFile, direction: str) -> Samples:
    """Read the Irish layout: ``Timestamp``, ``DL_bitrate`` and ``UL_bitrate`` in kbit/s.

    Parameters
    ----------
    trace
        The file. Its clock has whole seconds; rates of the same second are averaged.
    direction
        ``uplink`` or ``downlink``.

    Returns
    -------
    times, rates
        In s and bit/s.

    Raises
    ------
    ScenarioError
        With the faults of the file.
    """
    name = IRISH_COLUMNS[direction]
    samples: Samples = (array("d"), array("d"))
    count, latest = 0, ""
    for line, (stamp, rate_text) in _cells(trace, ("Timestamp", name)):
        rate = trace.number(line, rate_text, f"{name!r}", "write a number of kbit/s")
        if rate is None:
            continue
        if stamp == latest:
            count += 1
            samples[1][-1] += (1e3 * rate - samples[1][-1]) / count
            continue
        try:
            time_s = datetime.strptime(stamp, _IRISH_TIME).replace(tzinfo=UTC).timestamp()
        except ValueError:
            remedy = "write 2019.12.16_07.28.16"
            trace.fault(line, "'Timestamp' must be a date and time", stamp, remedy)
            continue
        known = len(samples[0])
        append_sample(trace, line, samples, time_s, 1e3 * rate)
        if len(samples[0]) > known:
            count, latest = 1, stamp
    trace.finish()
    return samples


def _cells(trace: TraceFile, names: tuple[str, str]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Give the cells of two columns; lines without them are faults."""
    places: list[int] = []
    delimiter = ","
    for line, text in trace.lines():
        if line == 1:
            delimiter = max(_DELIMITERS, key=text.count)
            header = [name.strip() for name in _split(trace, line, text, delimiter)]
            for name in names:
                if name not in header:
                    trace.fault(1, f"has no column {name!r}", None, did_you_mean(name, header))
            trace.finish()
            places = [header.index(name) for name in names]
            continue
        cells = _split(trace, line, text, delimiter)
        if len(cells) <= max(places):
            rule = f"must have at least {max(places) + 1} columns, as its header has"
            trace.fault(line, rule, text, "complete or remove the line")
            continue
        yield line, (cells[places[0]].strip(), cells[places[1]].strip())


def _split(trace: TraceFile, line: int, text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except csv.Error as error:
        trace.stop(line, f"can't be read as CSV: {error}", remedy="check its quotes")
