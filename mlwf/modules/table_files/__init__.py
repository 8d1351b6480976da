"""Tables as files: CSV and Parquet in, as they are written, and out again."""

from __future__ import annotations

from mlwf.modules.table_files.formats import check_table_path, write_table
from mlwf.modules.table_files.read_tables import open_stored, read_raw

__all__ = ["check_table_path", "open_stored", "read_raw", "write_table"]
