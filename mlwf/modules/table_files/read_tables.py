"""Read a table from a file, a folder or a glob."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from mlwf.errors import DataError, Problem, closest
from mlwf.modules.table_files.csv_files import file_error, in_parts
from mlwf.modules.table_files.formats import FORMATS, PARQUET, FileFormat, accepted_suffixes, format_of, suffix_of
from mlwf.modules.table_files.stored_columns import StoredColumns, read_footer
from mlwf.object_stores import address_of, fetch, named_as_stored
from mlwf.specs.data import ReadSpec
from mlwf.table_schema import RawTable

SHOWN_NAMES = 5
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What writers of partitioned tables name the folder of the rows whose key is missing."""


@dataclass(frozen=True)
class _Part:
    """A file of a table, and the keys of its rows in the names of its folders."""

    file: Path
    keys: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RawParts:
    """A table in its files, which is read some rows at a time, each time anew."""

    path: str
    columns: pa.Schema
    """Names and types of the columns; the texts of a CSV file have no type of their own."""
    untyped: frozenset[str]
    """Columns whose texts say nothing of their type: those of a CSV file, and the keys of partitions."""
    _parts: Sequence[_Part] = field(repr=False)
    _read: ReadSpec = field(repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns.names)

    def batches(self, n_rows: int | None = None, names: Sequence[str] | None = None) -> Iterator[RawTable]:
        """Read the rows in their order, so many at a time; None for all of them together.

        `names` are the columns to give; the default is all. Raises DataError as `read_raw` does, which may be after
        some rows were given.
        """
        given = False
        for table in _in_parts(self._tables(list(names or self.names)), n_rows):
            given = given or table.num_rows > 0
            if given:
                yield RawTable(table, self.untyped.intersection(table.column_names))
        if not given:
            raise file_error(self.path, "has a header and no rows")

    def _tables(self, names: Sequence[str]) -> Iterator[pa.Table]:
        with _file_errors(self.path):
            of_files = [name for name in self.names if name not in self._parts[0].keys]
            stacked = self.columns.empty_table().select(names)
            for part in self._parts:
                try:
                    for table in _format(part).read(part.file, self._read):
                        wanted = _with_keys(table.select(of_files), part).select(names)
                        is_same = wanted.schema.equals(stacked.schema)
                        yield wanted if is_same else pa.concat_tables([stacked, wanted], promote_options="permissive")
                except DataError:
                    _read_to_the_end(self._parts, self._read)
                    raise


def open_raw(path: str, read: ReadSpec | None = None) -> RawParts:
    """Find the files of a table, and read their columns and no rows; see `read_raw`."""
    with _file_errors(path):
        return _open_parts(path, _parts_of(path), read or ReadSpec())


def read_raw(path: str, read: ReadSpec | None = None) -> RawTable:
    """Read a table from a file, a folder or a glob of one format, as its files hold it.

    The files of a folder or a glob are read in the order of their names and must have the same columns. Folders named
    `key=value` inside it add the column `key` to the rows of their files; other subfolders of a folder are not read.

    Parameters
    ----------
    path : str
        The file, folder or glob; a file or folder of that very name comes before a glob.
    read : ReadSpec, optional
        How to read a CSV file; it does not concern Parquet.

    Returns
    -------
    The table: texts for CSV files, and the types of the file for Parquet.

    Raises
    ------
    DataError
        When there is no such table, or its content is not what its suffix says.
    """
    return next(open_raw(path, read).batches())


@contextmanager
def _file_errors(path: str) -> Iterator[None]:
    try:
        with named_as_stored():
            yield
    except PermissionError as error:
        raise file_error(error.filename or path, "permission denied") from error
    except OSError as error:
        raise file_error(error.filename or path, f"cannot be read: {error.strerror or error}") from error


def open_stored(path: str) -> RawTable:
    """Open a table of Parquet whose columns are read when they are asked for; otherwise as `read_raw`."""
    with _file_errors(path):
        parts = _parts_of(path)
        if (file_format := FORMATS[suffix_of(parts[0].file)]) is not PARQUET:
            message = f"is a {file_format.name} file, which is read as a whole"
            raise file_error(parts[0].file, message, "data.stream is for Parquet")
        footers = _read_each(parts, read_footer)
        keys = _check_columns(parts, [footer.schema for footer in footers])
        n_rows = sum(footer.n_rows for footer in footers)
        if not n_rows:
            raise file_error(path, "has a header and no rows")
        fields = [*_unify(parts, [footer.schema for footer in footers]), *(pa.field(key, pa.string()) for key in keys)]
        columns = StoredColumns([part.file for part in parts], [part.keys for part in parts], pa.schema(fields), n_rows)
    return RawTable(columns, frozenset(keys))


def _in_parts(tables: Iterator[pa.Table], n_rows: int | None) -> Iterator[pa.Table]:
    if n_rows is None:
        return iter([pa.concat_tables(tables)])
    return in_parts(tables, n_rows)


def _format(part: _Part) -> FileFormat:
    return FORMATS[suffix_of(part.file)]


def _open_parts(path: str, parts: Sequence[_Part], read: ReadSpec) -> RawParts:
    file_format = _format(parts[0])
    try:
        # The first rows of a file, which may be none, say the columns.
        schemas = _read_each(parts, lambda file: next(file_format.read(file, read)).schema)
    except DataError:
        _read_to_the_end(parts, read)
        raise
    keys = _check_columns(parts, schemas)
    fields = [*_unify(parts, schemas), *(pa.field(key, pa.string()) for key in keys)]
    untyped = frozenset([*(schemas[0].names if file_format.is_text else ()), *keys])
    return RawParts(path, pa.schema(fields), untyped, parts, read)


def _read_to_the_end(parts: Sequence[_Part], read: ReadSpec) -> None:
    """Read all files, and raise a DataError with what is wrong with any of them."""

    def to_the_end(file: Path) -> None:
        for _ in _format(parts[0]).read(file, read):
            pass

    _read_each(parts, to_the_end)


def _read_each(parts: Sequence[_Part], read: Callable[[Path], Any]) -> list[Any]:
    """Read each file; raises a DataError with the problems of all of them."""
    done: list[Any] = []
    problems: list[Problem] = []
    for file in (part.file for part in parts):
        try:
            with file.open("rb") as opened:
                if not opened.read(1):
                    raise file_error(file, "is empty")
            done.append(read(file))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    return done


def _check_columns(parts: Sequence[_Part], schemas: Sequence[pa.Schema]) -> list[str]:
    """Check that all files have the columns of the first, and give the keys of their folders."""
    if different := _different_columns([part.file for part in parts], [schema.names for schema in schemas]):
        raise DataError(different)
    if not schemas[0].names:
        raise file_error(parts[0].file, "has no column")
    return _keys_of(parts, schemas[0].names)


def _unify(parts: Sequence[_Part], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Give each column the type that it has in all files; raises a DataError where there is none."""
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(_different_types([part.file for part in parts], schemas)) from error


def _different_columns(files: Sequence[Path], columns: Sequence[Sequence[str]]) -> list[Problem]:
    """List for each file the columns that it lacks or adds, compared with the first; the order does not matter."""
    problems = []
    expected = columns[0]
    for file, names in zip(files[1:], columns[1:], strict=True):
        missing = [f"lacks {', '.join(lacking)}"] if (lacking := [n for n in expected if n not in set(names)]) else []
        added = [f"adds {', '.join(adding)}"] if (adding := [n for n in names if n not in set(expected)]) else []
        if missing or added:
            message = f"has other columns than {files[0].name}: {' and '.join(missing + added)}"
            problems.append(Problem(where=str(file), key="", message=message))
    return problems


def _different_types(files: Sequence[Path], schemas: Sequence[pa.Schema]) -> list[Problem]:
    """List for each file the columns whose types cannot be stacked below those of the first."""
    problems = []
    for name in schemas[0].names:
        first = schemas[0].field(name)
        for file, schema in zip(files, schemas, strict=True):
            field = schema.field(name)
            try:
                pa.unify_schemas([pa.schema([first]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                message = f"is {field.type} here and {first.type} in {files[0].name}"
                problems.append(Problem(where=str(file), key=name, message=message))
    return problems


def _keys_of(parts: Sequence[_Part], names: Sequence[str]) -> list[str]:
    """Give the keys of the folders, which must be the same for all files and no column of theirs."""
    keys = list(parts[0].keys)
    for part in parts:
        if list(part.keys) != keys:
            message = f"lies in folders of {_named(part.keys)}, and {parts[0].file} in folders of {_named(keys)}"
            raise file_error(part.file, message)
    for key in keys:
        if key in names:
            message = "is a column of the file and the key of its folder too"
            raise DataError(Problem(str(parts[0].file), key, message, "drop one, or name the files with a glob"))
    return keys


def _named(keys: Sequence[str] | dict[str, str | None]) -> str:
    return ", ".join(keys) or "no key"


def _with_keys(table: Any, part: _Part) -> Any:
    for key, value in part.keys.items():
        table = table.append_column(key, pa.array([value] * table.num_rows, type=pa.string()))
    return table


def _parts_of(path: str) -> list[_Part]:
    if address := address_of(path):
        path = str(fetch(address))
    here = Path(path)
    try:
        if here.is_dir():
            return _of_one_kind(path, list(_parts_in_folder(here)))
        if here.exists() or here.is_symlink():
            return _of_one_kind(path, [_Part(here)])
        if has_magic(path):
            # Path.glob takes no absolute pattern.
            matches = [Path(match) for match in sorted(glob(path, recursive=True))]  # noqa: PTH207
            files = [match for match in matches if match.is_file() and not match.name.startswith(("_", "."))]
            if files:
                fixed = len(Path(path[: _magic_at(path)]).parent.parts) if "/" in path else 0
                return _of_one_kind(path, [_Part(file, _keys_in(file.parent.parts[fixed:])) for file in files])
            raise file_error(path, "no file matches")
    except PermissionError as error:
        raise file_error(path, "permission denied") from error
    raise file_error(path, "no such file", _what_is_there(here))


def _magic_at(pattern: str) -> int:
    """Find the first character of a glob that stands for others."""
    # A last character of its own, so that the parent of what stands before it is its folder.
    return next(at for at, character in enumerate(pattern) if character in "*?[") + 1


def _keys_in(folders: Sequence[str]) -> dict[str, str | None]:
    """Read the folders named `key=value`."""
    pairs = [folder.partition("=") for folder in folders]
    return {unquote(key): None if value == NO_VALUE else unquote(value) for key, sign, value in pairs if key and sign}


def _parts_in_folder(folder: Path, keys: dict[str, str | None] | None = None) -> Iterator[_Part]:
    # Writers of partitioned tables leave _SUCCESS, _metadata and .crc files beside the data.
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(("_", "."))]
    partitions = [entry for entry in entries if entry.is_dir() and _keys_in([entry.name])]
    tables = [entry for entry in entries if entry.is_file() and format_of(entry)]
    if tables and partitions:
        raise file_error(
            str(folder), f"holds tables, and the folder {partitions[0].name} beside them", "name one of them"
        )
    for partition in partitions:
        yield from _parts_in_folder(partition, {**(keys or {}), **_keys_in([partition.name])})
    for table in tables:
        yield _Part(table, keys or {})


def _of_one_kind(path: str, parts: list[_Part]) -> list[_Part]:
    if not parts:
        raise file_error(path, "is a folder without a table", accepted_suffixes())
    unknown = [part.file for part in parts if format_of(part.file) is None]
    if unknown:
        suffix = suffix_of(unknown[0])
        message = f"suffix {suffix} is no table's" if suffix else "has no suffix that says what it is"
        raise file_error(unknown[0], message, accepted_suffixes())
    # A pipe would be waited for, and can be read only once.
    special = [part.file for part in parts if part.file.exists() and not part.file.is_file()]
    if special:
        raise file_error(special[0], "is no regular file")
    names = sorted({FORMATS[suffix_of(part.file)].name for part in parts})
    if len(names) > 1:
        raise file_error(
            path, f"holds {' and '.join(names)} files", "name one kind with a glob, such as data/*.parquet"
        )
    return parts


def _what_is_there(missing: Path) -> str:
    folder = missing.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(file.name for file in folder.iterdir() if format_of(file))
    close = closest(missing.name, names)
    if close is not None:
        return f"did you mean {close}?"
    if not names:
        return f"the folder {folder} holds no table"
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return f"the folder {folder} holds {', '.join(names[:SHOWN_NAMES])}{more}"
