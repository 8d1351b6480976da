"""The file formats of tables: what is known of each, and how a table is written in one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mlwf.atomic import writing
from mlwf.errors import MlwfError, UsageError
from mlwf.modules.table_files.csv_files import read_csv_file, write_csv_file
from mlwf.modules.table_files.parquet_files import read_parquet_file, write_parquet_file
from mlwf.specs.data import PARQUET_SUFFIXES, ReadSpec


@dataclass(frozen=True)
class FileFormat:
    """A file format of tables."""

    name: str
    suffixes: tuple[str, ...]
    """In lower case; with `.gz` where the file is compressed as a whole."""
    read: Callable[[Path, ReadSpec], pa.Table]
    """Reads a file; raises DataError for a content that is not what the suffix says."""
    write: Callable[[pa.Table, Path], None]
    """Writes a file, in the way that its suffix says."""
    is_text: bool = False
    """Whether the values are texts that have no type of their own."""


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
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {file.parent} is not writable")


def write_table(table: pa.Table, path: str) -> None:
    """Write a table in the format of the suffix; an existing file is replaced in one step.

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
    try:
        with writing(file) as draft:
            table_format.write(table, draft)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        raise MlwfError(f"{path}: cannot be written: {reason}") from error
