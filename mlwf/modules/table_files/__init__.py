"""Tables as files: CSV and Parquet in, plain pandas frames out, and back again."""

from __future__ import annotations

from mlwf.modules.table_files.reading import read_table
from mlwf.modules.table_files.writing import check_table_path, write_table

__all__ = ["check_table_path", "read_table", "write_table"]
