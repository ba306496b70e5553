from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from flexrel_sim.simulation import OUTCOMES, REASONS
from flexrel_sim.simulation.store import trace_writer
from tests.builders import make_draws, make_system, make_trace


def test_a_file_has_a_row_per_request_with_its_point_and_replication_first(tmp_path: Path) -> None:
    traces = [make_trace(make_system(), make_draws(np.arange(count))) for count in (3, 2)]
    with trace_writer(tmp_path / "t.parquet", 12) as keep:
        for replication, trace in enumerate(traces):
            keep(replication, trace)
    table = pq.read_table(tmp_path / "t.parquet")
    columns = traces[0].columns()
    assert table.column_names == ["point", "replication", *columns]
    assert set(table["point"].to_pylist()) == {12}
    assert table["replication"].to_pylist() == [0, 0, 0, 1, 1]
    for name in set(columns) - {"outcome", "reason"}:
        joined = np.concatenate([trace.columns()[name] for trace in traces])
        stored = table[name].to_numpy()
        assert stored.dtype == joined.dtype, name
        assert np.array_equal(stored, joined), name


def test_outcomes_and_reasons_are_words_and_what_never_happened_is_nan(tmp_path: Path) -> None:
    system = make_system(edge_s=1.0, edge_buffer=0, crosses_link=False, deadline_s=0.5)
    trace = make_trace(system, make_draws([0.0, 0.5]))
    with trace_writer(tmp_path / "t.parquet", 0) as keep:
        keep(0, trace)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table["outcome"].to_pylist() == ["late", "dropped"]
    assert table["reason"].to_pylist() == ["", "edge full"]
    assert set(table["outcome"].to_pylist()) <= set(OUTCOMES)
    assert set(table["reason"].to_pylist()) <= set(REASONS)
    assert np.isnan(table["server_start_s"].to_numpy()).all()
    assert table["server_start_s"].null_count == 0


def test_without_a_trace_there_is_no_file(tmp_path: Path) -> None:
    with trace_writer(tmp_path / "t.parquet", 0):
        pass
    assert not list(tmp_path.iterdir())


def test_what_was_written_before_a_fault_can_be_read(tmp_path: Path) -> None:
    trace = make_trace(make_system(), make_draws([0.0]))
    try:
        with trace_writer(tmp_path / "t.parquet", 0) as keep:
            keep(0, trace)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 1
