"""Read CSV files as texts, and refuse what could only be read by altering it in silence; write them."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
from pyarrow import csv as arrow_csv

from mlwf.errors import DataError, Problem
from mlwf.specs.data import ReadSpec
from mlwf.text import pluralize

MAGIC = {
    b"PAR1": ("is a Parquet file, though its suffix says CSV", "name it .parquet"),
    b"PK\x03\x04": ("is a zip archive or an Excel workbook, though its suffix says CSV", "save it as CSV"),
    b"\x1f\x8b": ("is compressed, though its suffix does not say so", "name it .csv.gz"),
}
SEPARATORS = (";", "\t", "|", ",")
BLOCK_SIZES = (1 << 22, 1 << 26, (1 << 31) - 1)
"""Bytes that are parsed at once; the larger ones for a record that is larger than a block."""
CELLS_OF_PANDAS = 100_000
"""What `DataFrame.to_csv` formats at once: whether times are written as days is decided for each such part."""


def read_csv_file(file: Path, read: ReadSpec) -> Iterator[pa.Table]:
    """Read a CSV file as texts, each as it is written: first a table without rows, then the rows, some at a time.

    Raises
    ------
    DataError
        When the file is no CSV file in this encoding, or a line has more or fewer fields than the header.
    """
    sep = read.sep or _default_separator(file)
    # It may be the sign of thousands, where numbers stand in quotes.
    if sep == read.decimal:
        message = f"{sep!r} is the decimal sign and the separator too"
        hint = 'set data.read.sep, such as ";"'
        raise DataError(Problem(where=str(file), key="data.read.decimal", message=message, hint=hint))
    try:
        names, n_lines = _header(file, read.encoding, sep)
        yield pa.schema([(name, pa.string()) for name in names]).empty_table()
        yield from _columns(file, read.encoding, sep, names, n_lines)
    except UnicodeError as error:
        raise _undecodable(file, read.encoding) or file_error(file, f"is not {read.encoding} text") from error
    except csv.Error as error:
        raise file_error(file, f"cannot be read as CSV: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise file_error(file, f"is damaged or no gzip file: {error}") from error


def file_error(file: Path | str, message: str, hint: str = "") -> DataError:
    """Make the error of a file as a whole."""
    return DataError(Problem(where=str(file), key="", message=message, hint=hint))


def duplicated_columns(where: str, names: Sequence[str]) -> list[Problem]:
    """List each name that several columns of one file have; a column without a name is no problem here."""
    problems = []
    for name in dict.fromkeys(names):
        at = [str(position) for position, other in enumerate(names, start=1) if other == name]
        if name and len(at) > 1:
            message = f"columns {', '.join(at[:-1])} and {at[-1]} have this same name"
            problems.append(Problem(where=where, key=name, message=message, hint="give each column its own name"))
    return problems


def write_csv_file(tables: Iterator[pa.Table], file: Path) -> None:
    """Write tables below each other as CSV; whole numbers are written as they are, whether or not some are missing."""
    first = next(tables)
    n_rows = max(1, CELLS_OF_PANDAS // max(1, first.num_columns))
    with _open_bytes(file, "wb") as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
        for number, table in enumerate(in_parts(chain([first], tables), n_rows)):
            frame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
            frame.to_csv(text, index=False, header=number == 0, sep=_default_separator(file))


def in_parts(tables: Iterable[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """Cut tables that stand below each other into tables of so many rows; the last one may have fewer.

    Without any row it is one table, if there is one.
    """
    held: list[Any] = []
    n_held, empty, is_empty = 0, None, True
    for table in tables:
        empty = table.slice(0, 0) if empty is None else empty
        start = 0
        while start < table.num_rows:
            held.append(table.slice(start, n_rows - n_held))
            start, n_held = start + held[-1].num_rows, n_held + held[-1].num_rows
            if n_held == n_rows:
                yield pa.concat_tables(held)
                held, n_held = [], 0
        is_empty = is_empty and not table.num_rows
    if held or (is_empty and empty is not None):
        yield pa.concat_tables(held or [empty])


def _is_compressed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"


def _default_separator(file: Path) -> str:
    kind = file.with_suffix("").suffix if _is_compressed(file) else file.suffix
    return "\t" if kind.lower() == ".tsv" else ","


def _columns(file: Path, encoding: str, sep: str, names: list[str], n_lines: int) -> Iterator[pa.Table]:
    """Read what stands below the header, whose last line is line `n_lines`."""
    is_ragged, n_given = False, 0

    def skip(row: Any) -> str:
        # A line of nothing but blanks counts as empty.
        nonlocal is_ragged
        is_ragged = is_ragged or bool(row.text.strip())
        return "skip"

    is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    options = {
        "parse_options": arrow_csv.ParseOptions(delimiter=sep, newlines_in_values=True, invalid_row_handler=skip),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    }
    for block_size in BLOCK_SIZES:
        n_known = n_given
        reading = arrow_csv.ReadOptions(
            column_names=names,
            skip_rows=n_lines,
            encoding="utf8" if is_utf8 else encoding,
            block_size=block_size,
        )
        try:
            with _open_bytes(file) as content:
                for batch in arrow_csv.open_csv(content, read_options=reading, **options):
                    # What was given before a record that is larger than a smaller block.
                    table = pa.Table.from_batches([batch]).slice(min(n_known, batch.num_rows))
                    n_known -= batch.num_rows - table.num_rows
                    n_given += table.num_rows
                    yield table
        except pa.ArrowInvalid as error:
            undecodable = _undecodable(file, encoding)
            if undecodable or block_size == BLOCK_SIZES[-1]:
                raise undecodable or _malformed(file, encoding, sep, error) from error
        else:
            break
    if is_ragged:
        raise _ragged(file, encoding, sep) or file_error(file, "cannot be read as CSV: lines differ in their fields")
    _refuse_open_quote(file, encoding, sep)


def _refuse_open_quote(file: Path, encoding: str, sep: str) -> None:
    """Refuse a double quote that is never closed: all lines below it would be one text."""
    with _open_bytes(file) as content:
        n_quotes = sum(chunk.count(b'"') for chunk in iter(lambda: content.read(1 << 20), b""))
    if n_quotes % 2 and (line := _open_quote(file, encoding, sep)):
        raise file_error(file, f"line {line} opens a double quote that is never closed")


def _open_quote(file: Path, encoding: str, sep: str) -> int | None:
    """Find the line of the record in whose quotes the file ends; None when it ends in none."""
    begun = 1
    with _open_text(file, encoding) as content:
        reader = csv.reader(content, delimiter=sep, strict=True)
        while True:
            try:
                next(reader)
            except StopIteration:
                return None
            except csv.Error as error:
                # Python's reader has no other sign for it.
                if str(error) == "unexpected end of data":
                    return begun
            begun = reader.line_num + 1


def _header(file: Path, encoding: str, sep: str) -> tuple[list[str], int]:
    """Read the names of the columns, and on which line they end."""
    try:
        "".encode(encoding)
    except LookupError:
        message = f"{encoding!r} is no text encoding that Python knows"
        hint = "accepted: utf-8, latin-1, cp1252, utf-16, ..."
        raise DataError(Problem(where=str(file), key="data.read.encoding", message=message, hint=hint)) from None
    _refuse_binary(file, encoding)
    n_lines, header = next(((end, record) for _, end, record in _records(file, encoding, sep)), (0, None))
    if header is None:
        raise file_error(file, "is empty")
    duplicated = duplicated_columns(str(file), header)
    if duplicated:
        raise DataError(duplicated)
    other = next((mark for mark in SEPARATORS if mark in header[0]), None)
    if len(header) == 1 and other:
        message = f"has one column, named {header[0]!r}"
        raise file_error(file, message, f"if {other!r} separates its columns, set data.read.sep: {_yaml_text(other)}")
    return [name or f"Unnamed: {position}" for position, name in enumerate(header)], n_lines


def _refuse_binary(file: Path, encoding: str) -> None:
    with file.open("rb") as raw:
        start = raw.read(4)
    for magic, (message, hint) in MAGIC.items():
        if start.startswith(magic) and not (magic == b"\x1f\x8b" and _is_compressed(file)):
            raise file_error(file, message, hint)
    with _open_bytes(file) as content:
        start = content.read(65536)
    if b"\0" in start and not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        is_utf_16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = "set data.read.encoding: utf-16" if is_utf_16 else ""
        line = start[: start.index(0)].count(b"\n") + 1
        raise file_error(file, f"is not {encoding} text: line {line} has a zero byte", hint)


def _open_bytes(file: Path, mode: Literal["rb", "wb"] = "rb") -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, mode) if _is_compressed(file) else file.open(mode))


def _open_text(file: Path, encoding: str) -> IO[str]:
    # A byte order mark is no part of the first column's name.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return io.TextIOWrapper(_open_bytes(file), encoding=encoding, newline="")


def _records(file: Path, encoding: str, sep: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each record that is not blank with the lines that it begins and ends at, counted from 1."""
    with _open_text(file, encoding) as content:
        reader = csv.reader(content, delimiter=sep)
        line = 1
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                yield line, reader.line_num, record
            line = reader.line_num + 1


def _ragged(file: Path, encoding: str, sep: str) -> DataError | None:
    records = _records(file, encoding, sep)
    try:
        expected = len(next(records)[-1])
        wrong = [(line, len(record)) for line, _, record in records if len(record) != expected]
    except csv.Error:
        return None
    if not wrong:
        return None
    line, seen = wrong[0]
    message = f"line {line} has {pluralize(seen, 'field')}, the header has {expected}"
    if len(wrong) > 1:
        message += f" (and so for {len(wrong) - 1} more {'line' if len(wrong) == 2 else 'lines'})"
    return file_error(
        file, message, f"a text with {sep!r} in it must stand in double quotes" if seen > expected else ""
    )


def _malformed(file: Path, encoding: str, sep: str, error: Exception) -> DataError:
    if line := _open_quote(file, encoding, sep):
        return file_error(file, f"line {line} opens a double quote that is never closed")
    reason = str(error).partition("\n")[0].strip()
    return _ragged(file, encoding, sep) or file_error(file, f"cannot be read as CSV: {reason}")


def _undecodable(file: Path, encoding: str) -> DataError | None:
    """Find the first byte that is not text in this encoding; None when there is none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset = 1, 0
    with _open_bytes(file) as content:
        while True:
            chunk = content.read(65536)
            pending = len(decoder.getstate()[0])
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                with suppress(UnicodeError):  # some encodings decode nothing but the whole
                    line += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
                at = offset - pending + error.start
                message = f"line {line} is not {encoding} text: byte 0x{error.object[error.start]:02x} at offset {at}"
                return file_error(file, message, "set data.read.encoding to the file's, such as cp1252 or latin-1")
            except UnicodeError as error:
                return file_error(file, f"is not {encoding} text: {error}", "set data.read.encoding to the file's")
            offset += len(chunk)
            if not chunk:
                return None


def _yaml_text(text: str) -> str:
    return '"\\t"' if text == "\t" else f'"{text}"'
