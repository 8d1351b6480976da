"""Write a table as a file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlwf.atomic import writing
from mlwf.errors import MlwfError, UsageError
from mlwf.modules.table_files.formats import ACCEPTED, SUFFIXES, default_separator, suffix_of


def check_table_path(path: str) -> None:
    """Refuse a path to which `write_table` cannot write, before any work is done for it.

    Raises
    ------
    UsageError
        When the suffix is no table's, or the folder is absent or not writable.
    """
    file = Path(path)
    suffix = suffix_of(file)
    if suffix not in SUFFIXES:
        message = f"suffix {suffix} is no table's" if suffix else "a table needs a suffix"
        raise UsageError(f"{path}: {message}; {ACCEPTED}")
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {file.parent} is not writable")


def write_table(table: pa.Table, path: str) -> None:
    """Write a table as CSV or Parquet, by the suffix; an existing file is replaced in one step.

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
    try:
        with writing(file) as draft:
            _write(table, draft, file)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        raise MlwfError(f"{path}: cannot be written: {reason}") from error


def _write(table: pa.Table, draft: Path, file: Path) -> None:
    if SUFFIXES[suffix_of(file)] == "Parquet":
        pq.write_table(table, draft)
        return
    frame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    is_compressed = suffix_of(file).endswith(".gz")
    frame.to_csv(draft, index=False, sep=default_separator(file), compression="gzip" if is_compressed else None)
