"""Results on disk: one folder per run."""

from flexrel_sim.report.folder import (
    CURVES_NAME,
    PROVENANCE_NAME,
    SUMMARY_NAME,
    TRACES_NAME,
    result_folder,
)
from flexrel_sim.report.tables import (
    OPERATING_COLUMNS,
    operating_columns,
    summary_data,
    write_tables,
)

__all__ = [
    "CURVES_NAME",
    "OPERATING_COLUMNS",
    "PROVENANCE_NAME",
    "SUMMARY_NAME",
    "TRACES_NAME",
    "operating_columns",
    "result_folder",
    "summary_data",
    "write_tables",
]
