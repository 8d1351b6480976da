"""Tables as files: CSV and Parquet in, as they are written, and out again."""

from __future__ import annotations

from mlwf.modules.table_files.reading import read_raw
from mlwf.modules.table_files.writing import check_table_path, write_table

__all__ = ["check_table_path", "read_raw", "write_table"]
