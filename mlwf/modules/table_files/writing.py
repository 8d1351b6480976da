"""Write a frame as a file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from mlwf.errors import MlwfError, UsageError
from mlwf.modules.table_files.suffixes import ACCEPTED, SUFFIXES, default_separator, suffix_of

if TYPE_CHECKING:
    import pandas as pd


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


def write_table(frame: pd.DataFrame, path: str) -> None:
    """Write a frame as CSV or Parquet, by the suffix; an existing file is replaced in one step.

    Raises
    ------
    UsageError
        When the suffix is no table's, or the folder is absent or not writable.
    MlwfError
        When the disk refuses the file, or a column holds values that Parquet has no type for.
    """
    check_table_path(path)
    file = Path(path)
    # In the same folder, since a file cannot be moved to another disk in one step.
    unfinished = file.with_name(f".{file.name}.{token_hex(4)}.tmp")
    try:
        _write(frame, unfinished, file)
        unfinished.replace(file)
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        raise MlwfError(f"{path}: cannot be written: {reason}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write(frame: pd.DataFrame, unfinished: Path, file: Path) -> None:
    if SUFFIXES[suffix_of(file)] == "Parquet":
        frame.to_parquet(unfinished, index=False, engine="pyarrow")
        return
    is_compressed = suffix_of(file).endswith(".gz")
    frame.to_csv(unfinished, index=False, sep=default_separator(file), compression="gzip" if is_compressed else None)
