"""Read CSV files, and refuse what pandas would mend in silence."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from mlwf.errors import DataError, Problem
from mlwf.modules.table_files.columns import different_columns, duplicated_columns, plain_texts
from mlwf.modules.table_files.suffixes import default_separator, suffix_of
from mlwf.specs.data import ReadSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = {
    b"PAR1": ("is a Parquet file, though its suffix says CSV", "name it .parquet"),
    b"PK\x03\x04": ("is a zip archive or an Excel workbook, though its suffix says CSV", "save it as CSV"),
    b"\x1f\x8b": ("is compressed, though its suffix does not say so", "name it .csv.gz"),
}
SEPARATORS = (";", "\t", "|", ",")


def read_csv_files(files: Sequence[Path], read: ReadSpec) -> pd.DataFrame:
    """Read CSV files with the same columns, one below the other."""
    frames: list[pd.DataFrame] = []
    problems: list[Problem] = []
    for file in files:
        try:
            frames.append(_read(file, read))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    if different := different_columns(files, [[*map(str, frame)] for frame in frames]):
        raise DataError(different)
    if len(frames) == 1:
        return frames[0]
    # A column that is a number in one file and a text in another is a text in all: 1 and "1" are then one category.
    names = [*map(str, frames[0])]
    texts = [name for name in names if len({_kind(frame[name]) for frame in frames} - {"missing"}) > 1]
    if texts:
        frames = [_read(file, read, texts) for file in files]
    return pd.DataFrame({name: _stack([frame[name].to_numpy() for frame in frames]) for name in names})


def _kind(column: pd.Series[Any]) -> str:
    if column.isna().all():
        return "missing"
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return "number" if kind in ("integer", "floating") else kind


def _stack(parts: list[NDArray[Any]]) -> NDArray[Any]:
    if all(part.dtype.kind in "iuf" for part in parts) or len({part.dtype for part in parts}) == 1:
        return np.concatenate(parts)
    stacked = np.concatenate([part.astype(object) for part in parts])
    return np.where(pd.isna(stacked), np.array(None, dtype=object), stacked)


def _read(file: Path, read: ReadSpec, texts: Sequence[str] = ()) -> pd.DataFrame:
    sep = read.sep or default_separator(file)
    if sep == read.decimal:
        message = f"{sep!r} is the decimal sign and the separator too"
        hint = 'set data.read.sep, such as ";"'
        raise DataError(Problem(where=str(file), key="data.read.decimal", message=message, hint=hint))
    try:
        header = _header(file, read.encoding, sep)
        frame = pd.read_csv(
            file,
            sep=sep,
            decimal=read.decimal,
            encoding=read.encoding,
            na_values=read.na_values,
            dtype=dict.fromkeys(texts, str),
            compression="gzip" if suffix_of(file).endswith(".gz") else None,
            # A column's type is inferred from all its rows at once, never from a chunk of them.
            low_memory=False,
            # The default is off by one bit for some numbers: the same table in Parquet would be another table.
            float_precision="round_trip",
        )
    except UnicodeError as error:
        raise _undecodable(file, read.encoding) from error
    except pd.errors.ParserError as error:
        raise _malformed(file, read.encoding, sep, error) from error
    except csv.Error as error:
        raise _error(file, f"cannot be read as CSV: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _error(file, f"is damaged or no gzip file: {error}") from error
    _refuse_ragged(file, read.encoding, sep, header, frame)
    return plain_texts(frame)


def _header(file: Path, encoding: str, sep: str) -> list[str]:
    """Read the names of the columns as they are written: pandas renames a second `a` to `a.1`."""
    try:
        "".encode(encoding)
    except LookupError:
        message = f"{encoding!r} is no text encoding that Python knows"
        hint = "accepted: utf-8, latin-1, cp1252, utf-16, ..."
        raise DataError(Problem(where=str(file), key="data.read.encoding", message=message, hint=hint)) from None
    _refuse_binary(file, encoding)
    header = next((record for _, record in _records(file, encoding, sep)), None)
    if header is None:
        raise _error(file, "is empty")
    duplicated = duplicated_columns(str(file), header)
    if duplicated:
        raise DataError(duplicated)
    other = next((mark for mark in SEPARATORS if mark in header[0]), None)
    if len(header) == 1 and other:
        message = f"has one column, named {header[0]!r}"
        raise _error(file, message, f"if {other!r} separates its columns, set data.read.sep: {_yaml_text(other)}")
    return header


def _refuse_binary(file: Path, encoding: str) -> None:
    with file.open("rb") as raw:
        start = raw.read(4)
    for magic, (message, hint) in MAGIC.items():
        if start.startswith(magic) and not (magic == b"\x1f\x8b" and suffix_of(file).endswith(".gz")):
            raise _error(file, message, hint)
    with _open_bytes(file) as content:
        start = content.read(65536)
    if b"\0" in start and not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        is_utf_16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = "set data.read.encoding: utf-16" if is_utf_16 else ""
        line = start[: start.index(0)].count(b"\n") + 1
        raise _error(file, f"is not {encoding} text: line {line} has a zero byte", hint)


def _open_bytes(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, "rb") if suffix_of(file).endswith(".gz") else file.open("rb"))


def _open_text(file: Path, encoding: str) -> IO[str]:
    # A byte order mark is no part of the first column's name.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return io.TextIOWrapper(_open_bytes(file), encoding=encoding, newline="")


def _records(file: Path, encoding: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank with the line it begins at, counted from 1."""
    with _open_text(file, encoding) as content:
        reader = csv.reader(content, delimiter=sep)
        line = 1
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                yield line, record
            line = reader.line_num + 1


def _refuse_ragged(file: Path, encoding: str, sep: str, header: list[str], frame: pd.DataFrame) -> None:
    # pandas fills short lines with nulls, which the last column must then have, and takes the first column for an
    # index when the first line is longer than the header; longer lines further down it refuses by itself.
    if frame.empty or (isinstance(frame.index, pd.RangeIndex) and not frame.iloc[:, -1].isna().any()):
        return
    ragged = _ragged(file, encoding, sep)
    if ragged:
        raise ragged


def _ragged(file: Path, encoding: str, sep: str) -> DataError | None:
    records = _records(file, encoding, sep)
    try:
        expected = len(next(records)[1])
        wrong = [(line, len(record)) for line, record in records if len(record) != expected]
    except csv.Error:
        return None
    if not wrong:
        return None
    line, seen = wrong[0]
    message = f"line {line} has {_fields(seen)}, the header has {expected}"
    if len(wrong) > 1:
        message += f" (and so for {len(wrong) - 1} more {'line' if len(wrong) == 2 else 'lines'})"
    return _error(file, message, f"a text with {sep!r} in it must stand in double quotes" if seen > expected else "")


def _malformed(file: Path, encoding: str, sep: str, error: Exception) -> DataError:
    if "EOF inside string" in str(error):
        return _error(file, f"line {_last_record(file, encoding, sep)} opens a double quote that is never closed")
    reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
    return _ragged(file, encoding, sep) or _error(file, f"cannot be read as CSV: {reason}")


def _last_record(file: Path, encoding: str, sep: str) -> int:
    begun = 1
    with _open_text(file, encoding) as content:
        reader = csv.reader(content, delimiter=sep)
        try:
            for _ in reader:
                begun, last = reader.line_num + 1, begun
        except csv.Error:
            return begun
    return last


def _undecodable(file: Path, encoding: str) -> DataError:
    """Find the first byte that is not text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset = 1, 0
    with _open_bytes(file) as content:
        while True:
            chunk = content.read(65536)
            pending = len(decoder.getstate()[0])
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
                at = offset - pending + error.start
                message = f"line {line} is not {encoding} text: byte 0x{error.object[error.start]:02x} at offset {at}"
                return _error(file, message, "set data.read.encoding to the file's, such as cp1252 or latin-1")
            except UnicodeError as error:
                return _error(file, f"is not {encoding} text: {error}", "set data.read.encoding to the file's")
            offset += len(chunk)


def _fields(count: int) -> str:
    return f"{count} field" if count == 1 else f"{count} fields"


def _yaml_text(text: str) -> str:
    return '"\\t"' if text == "\t" else f'"{text}"'


def _error(file: Path, message: str, hint: str = "") -> DataError:
    return DataError(Problem(where=str(file), key="", message=message, hint=hint))
