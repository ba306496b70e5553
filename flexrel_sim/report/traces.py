"""Traces to Parquet, point by point, so that memory holds one point at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexrel_sim.simulation import Trace
from flexrel_sim.study.result import KeepTrace

__all__ = ["trace_writer"]


@contextmanager
def trace_writer(file: Path) -> Iterator[KeepTrace]:
    """Open a Parquet file of traces.

    Parameters
    ----------
    file
        Where to write; nothing is written if no trace comes.

    Yields
    ------
    callable
        Takes a point's index and its traces; every request becomes a row, with the columns
        ``point`` and ``replication`` before those of `Trace`.
    """
    writer: pq.ParquetWriter | None = None

    def keep(point: int, traces: Sequence[Trace]) -> None:
        nonlocal writer
        tables = [_table(point, replication, trace) for replication, trace in enumerate(traces)]
        table = pa.concat_tables(tables)
        if writer is None:
            # Timestamps are all different: bytes of equal rank compress, whole values don't.
            floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
            others = [name for name in table.column_names if name not in floats]
            writer = pq.ParquetWriter(
                str(file),
                table.schema,
                compression="zstd",
                use_dictionary=others,
                use_byte_stream_split=floats,
            )
        writer.write_table(table)

    try:
        yield keep
    finally:
        if writer is not None:
            writer.close()


def _table(point: int, replication: int, trace: Trace) -> pa.Table:
    columns = trace.columns()
    count = len(trace.created_s)
    return pa.table(
        {
            "point": np.full(count, point, np.int32),
            "replication": np.full(count, replication, np.int32),
            **columns,
        }
    )
