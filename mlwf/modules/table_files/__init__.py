"""Tables as files: CSV and Parquet in, as they are written, and out again."""

from __future__ import annotations

from mlwf.modules.table_files.formats import check_table_path, write_table
from mlwf.modules.table_files.read_tables import RawParts, open_raw, open_stored, read_raw

__all__ = ["RawParts", "check_table_path", "open_raw", "open_stored", "read_raw", "write_table"]
