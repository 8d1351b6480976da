"""Find the files of a table and read them into one frame of plain types."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from mlwf.errors import DataError, Problem
from mlwf.modules.table_files.csv_files import read_csv_files
from mlwf.modules.table_files.parquet_files import read_parquet_files
from mlwf.modules.table_files.suffixes import ACCEPTED, SUFFIXES, suffix_of
from mlwf.specs.data import ReadSpec

if TYPE_CHECKING:
    import pandas as pd

SHOWN_NAMES = 5


def read_table(path: str, read: ReadSpec | None = None) -> pd.DataFrame:
    """Read a CSV or Parquet table from a file, a folder or a glob.

    The files of a folder (not of its subfolders) or a glob are read in the order of their names and must have
    the same columns. All columns have plain types, whatever the file: numbers (float when some are missing),
    booleans, datetimes with the file's time zone, and objects in which a missing value is None.

    Parameters
    ----------
    path : str
        The file, folder or glob; a file or folder of that very name comes before a glob.
    read : ReadSpec, optional
        How to read a CSV file; it does not concern Parquet.

    Raises
    ------
    DataError
        When there is no such table, or its content is not what its suffix says.
    """
    files = _files_of(path)
    try:
        frame = _read_files(files, read or ReadSpec())
    except PermissionError as error:
        raise _problem(error.filename or path, "permission denied") from error
    except OSError as error:
        raise _problem(error.filename or path, f"cannot be read: {error.strerror or error}") from error
    if frame.empty:
        raise _problem(path, "has a header and no rows")
    return frame


def _read_files(files: Sequence[Path], read: ReadSpec) -> pd.DataFrame:
    for file in files:
        with file.open("rb") as opened:
            if not opened.read(1):
                raise _problem(str(file), "is empty")
    if SUFFIXES[suffix_of(files[0])] == "Parquet":
        return read_parquet_files(files)
    return read_csv_files(files, read)


def _files_of(path: str) -> list[Path]:
    here = Path(path)
    try:
        if here.is_dir():
            return _files_in_folder(here)
        if here.exists() or here.is_symlink():
            return _of_one_kind(path, [here])
        if has_magic(path):
            # Path.glob takes no absolute pattern.
            matches = [Path(match) for match in sorted(glob(path, recursive=True))]  # noqa: PTH207
            files = [match for match in matches if match.is_file()]
            if files:
                return _of_one_kind(path, files)
            raise _problem(path, "no file matches")
    except PermissionError as error:
        raise _problem(path, "permission denied") from error
    raise _problem(path, "no such file", _what_is_there(here))


def _files_in_folder(folder: Path) -> list[Path]:
    # Writers of partitioned tables leave _SUCCESS, _metadata and .crc files beside the data.
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(("_", "."))]
    tables = [file for file in files if suffix_of(file) in SUFFIXES]
    if not tables:
        raise _problem(str(folder), "is a folder without a table", ACCEPTED)
    return _of_one_kind(str(folder), tables)


def _of_one_kind(path: str, files: list[Path]) -> list[Path]:
    unknown = [file for file in files if suffix_of(file) not in SUFFIXES]
    if unknown:
        suffix = suffix_of(unknown[0])
        message = f"suffix {suffix} is no table's" if suffix else "has no suffix that says what it is"
        raise _problem(str(unknown[0]), message, ACCEPTED)
    if len({SUFFIXES[suffix_of(file)] for file in files}) > 1:
        raise _problem(path, "holds CSV and Parquet files", "name one kind with a glob, such as data/*.parquet")
    return files


def _what_is_there(missing: Path) -> str:
    folder = missing.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(file.name for file in folder.iterdir() if suffix_of(file) in SUFFIXES)
    close = get_close_matches(missing.name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not names:
        return f"the folder {folder} holds no table"
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return f"the folder {folder} holds {', '.join(names[:SHOWN_NAMES])}{more}"


def _problem(where: str, message: str, hint: str = "") -> DataError:
    return DataError(Problem(where=str(where), key="", message=message, hint=hint))
