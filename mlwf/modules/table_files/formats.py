"""The file formats of tables: the table of formats, Parquet, and how a table is written in one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlwf.errors import DataError, MlwfError, UsageError
from mlwf.modules.table_files.csv_files import (
    duplicated_columns,
    file_error,
    in_parts,
    read_csv_file,
    write_csv_file,
)
from mlwf.object_stores import address_of, check_writable, writing
from mlwf.specs.data import PARQUET_SUFFIXES, ReadSpec

BUFFER_SIZE = 1 << 20
ROWS_AT_ONCE = 1 << 16
ROWS_OF_GROUP = 1 << 18
"""Rows that a Parquet file holds together."""
# pandas stores an index that has no name under such a column.
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class FileFormat:
    """A file format of tables."""

    name: str
    suffixes: tuple[str, ...]
    """In lower case; with `.gz` where the file is compressed as a whole."""
    read: Callable[[Path, ReadSpec], Iterator[pa.Table]]
    """Reads a file as tables of some of its rows; the first says the columns, and may have no row. Raises DataError for
    a content that is not what the suffix says."""
    write: Callable[[Iterator[pa.Table], Path], None]
    """Writes tables of the same columns below each other, in the way that the suffix of the file says."""
    is_text: bool = False
    """Whether the values are texts that have no type of their own."""


def read_parquet_file(file: Path, read: ReadSpec) -> Iterator[pa.Table]:
    """Read a Parquet file with its own types, some rows at a time; how CSV files are read does not concern it.

    Raises
    ------
    DataError
        When the file is no Parquet file, is damaged, or has several columns of one name.
    """
    with opened_parquet(file) as parquet:
        kept = stored_columns(parquet)
        yield parquet.schema_arrow.empty_table().select(kept).replace_schema_metadata()
        for batch in parquet.iter_batches(ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch]).select(kept).replace_schema_metadata()


@contextmanager
def opened_parquet(file: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; raises DataError as `read_parquet_file` does, also for what is read of it inside."""
    with file.open("rb") as opened:
        if opened.read(4) != b"PAR1":
            raise file_error(file, "is not a Parquet file, though its suffix says so", "name a CSV file .csv")
    try:
        # Without a buffer a column would be read whole, as far as it is in one group of rows.
        with pq.ParquetFile(file, buffer_size=BUFFER_SIZE, pre_buffer=False) as parquet:
            if duplicated := duplicated_columns(str(file), parquet.schema_arrow.names):
                raise DataError(duplicated)
            yield parquet
    except (pa.ArrowException, UnicodeDecodeError) as error:  # the second for the name of a column that is not UTF-8
        first_line = str(error).partition("\n")[0]
        raise file_error(file, f"is a damaged Parquet file: {first_line}") from error


def stored_columns(parquet: pq.ParquetFile) -> list[str]:
    """Name the columns of a Parquet file, without an index that has no name."""
    return [name for name in parquet.schema_arrow.names if not UNNAMED_INDEX.fullmatch(name)]


def write_parquet_file(tables: Iterator[pa.Table], file: Path) -> None:
    """Write tables below each other as Parquet with their own types."""
    first = next(tables)
    with pq.ParquetWriter(file, first.schema) as writer:
        for table in in_parts(chain([first], tables), ROWS_OF_GROUP):
            writer.write_table(table)


CSV = FileFormat(
    "CSV", (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz"), read_csv_file, write_csv_file, is_text=True
)
PARQUET = FileFormat("Parquet", PARQUET_SUFFIXES, read_parquet_file, write_parquet_file)

FORMATS = {suffix: each for each in (CSV, PARQUET) for suffix in each.suffixes}
"""The format of each suffix."""


def accepted_suffixes() -> str:
    """Name the suffixes, as the hint of an error does."""
    return f"accepted: {', '.join(FORMATS)}"


def format_of(path: Path) -> FileFormat | None:
    """Find the format of a file by its suffix; None when it is no table's."""
    return FORMATS.get(suffix_of(path))


def suffix_of(path: Path) -> str:
    """Give the suffix of a table in lower case, `.gz` with the one before it.

    >>> suffix_of(Path("data/Adult.2024.CSV.gz"))
    '.csv.gz'
    """
    last_two = "".join(path.suffixes[-2:]).lower()
    return last_two if last_two.endswith(".gz") else path.suffix.lower()


def check_table_path(path: str) -> None:
    """Refuse a path to which `write_table` cannot write, before any work is done for it.

    Raises
    ------
    UsageError
        When the suffix is no table's, or the folder is absent or not writable.
    """
    file = Path(path)
    suffix = suffix_of(file)
    if format_of(file) is None:
        message = f"suffix {suffix} is no table's" if suffix else "a table needs a suffix"
        raise UsageError(f"{path}: {message}; {accepted_suffixes()}")
    if address := address_of(path):
        check_writable(address)
        return
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {file.parent} is not writable")


def write_table(tables: Iterable[pa.Table], path: str) -> None:
    """Write tables below each other in the format of the suffix; an existing file is replaced in one step.

    The tables are taken one by one as they are written. What their iterator raises is raised, and nothing is written.

    Texts and whole numbers are written as they are, whether or not some are missing; Parquet keeps every type.

    Raises
    ------
    UsageError
        When the suffix is no table's, or the folder is absent or not writable.
    MlwfError
        When the disk refuses the file.
    """
    check_table_path(path)
    file = Path(path)
    table_format = FORMATS[suffix_of(file)]
    of_tables: list[BaseException] = []

    def watched() -> Iterator[pa.Table]:
        try:
            yield from tables
        except BaseException as error:
            of_tables.append(error)
            raise

    try:
        with writing(path) as draft:
            table_format.write(watched(), draft)
    except MlwfError:
        raise
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        if error in of_tables:
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        raise MlwfError(f"{path}: cannot be written: {reason}") from error
