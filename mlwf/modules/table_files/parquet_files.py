"""Read Parquet files with their own types, and write them."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlwf.errors import DataError, Problem
from mlwf.modules.table_files.file_columns import duplicated_columns
from mlwf.specs.data import ReadSpec

# pandas stores an index that has no name under such a column.
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet_file(file: Path, read: ReadSpec) -> pa.Table:
    """Read a Parquet file with its own types; how CSV files are read does not concern it.

    Raises
    ------
    DataError
        When the file is no Parquet file, is damaged, or has several columns of one name.
    """
    with file.open("rb") as opened:
        if opened.read(4) != b"PAR1":
            raise _error(file, "is not a Parquet file, though its suffix says so", "name a CSV file .csv")
    try:
        parquet = pq.ParquetFile(file)
        duplicated = duplicated_columns(str(file), parquet.schema_arrow.names)
        if duplicated:
            raise DataError(duplicated)
        table = parquet.read()
    except (pa.ArrowException, UnicodeDecodeError, NotImplementedError) as error:
        first_line = str(error).partition("\n")[0]
        raise _error(file, f"is a damaged Parquet file: {first_line}") from error
    kept = [name for name in table.column_names if not UNNAMED_INDEX.fullmatch(name)]
    return table.select(kept).replace_schema_metadata()


def write_parquet_file(table: pa.Table, file: Path) -> None:
    """Write a table as Parquet with its own types."""
    pq.write_table(table, file)


def _error(file: Path, message: str, hint: str = "") -> DataError:
    return DataError(Problem(where=str(file), key="", message=message, hint=hint))
