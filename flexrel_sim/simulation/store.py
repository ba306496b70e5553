"""Traces on disk: a Parquet file per point, written part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexrel_sim.simulation.trace import OUTCOMES, REASONS, Trace

__all__ = ["KeepTrace", "trace_writer"]

KeepTrace = Callable[[int, Trace], None]
"""Takes the number of a replication and a part of its trace."""


@contextmanager
def trace_writer(file: Path, point: int) -> Iterator[KeepTrace]:
    """Open a Parquet file for the traces of one point.

    Parameters
    ----------
    file
        Where to write; nothing is written if no trace comes.
    point
        The point's index in its study.

    Yields
    ------
    callable
        Takes a replication and a part of its trace; every request becomes a row, with the columns
        ``point`` and ``replication`` before those of `Trace`. Outcomes and reasons are words.
    """
    writer: pq.ParquetWriter | None = None

    def keep(replication: int, trace: Trace) -> None:
        nonlocal writer
        table = _table(point, replication, trace)
        if writer is None:
            writer = _opened(file, table.schema)
        writer.write_table(table)

    try:
        yield keep
    finally:
        if writer is not None:
            writer.close()


def _opened(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Timestamps are all different: bytes of equal rank compress, whole values don't.
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    return pq.ParquetWriter(
        str(file),
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in floats],
        use_byte_stream_split=floats,
    )


def _table(point: int, replication: int, trace: Trace) -> pa.Table:
    count = trace.created_s.size
    columns: dict[str, Any] = {
        "point": np.full(count, point, np.int32),
        "replication": np.full(count, replication, np.int32),
        **trace.columns(),
    }
    for name, words in (("outcome", OUTCOMES), ("reason", REASONS)):
        codes = pa.array(columns[name])
        columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(words))
    return pa.table(columns)
