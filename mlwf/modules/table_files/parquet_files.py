"""Read Parquet files into one frame of plain pandas types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlwf.errors import DataError, Problem
from mlwf.modules.table_files.columns import different_columns, duplicated_columns, plain_texts

if TYPE_CHECKING:
    import pandas as pd

# pandas stores an index that has no name under such a column; nobody named it, so nobody asks for it.
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet_files(files: Sequence[Path]) -> pd.DataFrame:
    """Read Parquet files with the same columns, one below the other."""
    tables: list[Any] = []
    problems: list[Problem] = []
    for file in files:
        try:
            tables.append(_read(file))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    if different := different_columns(files, [table.column_names for table in tables]):
        raise DataError(different)
    frame: pd.DataFrame = _stack(files, tables).to_pandas(ignore_metadata=True, date_as_object=False)
    return plain_texts(frame)


def _read(file: Path) -> Any:
    with file.open("rb") as opened:
        if opened.read(4) != b"PAR1":
            raise _error(file, "is not a Parquet file, though its suffix says so", "name a CSV file .csv")
    try:
        parquet = pq.ParquetFile(file)
        duplicated = duplicated_columns(str(file), parquet.schema_arrow.names)
        if duplicated:
            raise DataError(duplicated)
        table = parquet.read()
    except pa.ArrowException as error:
        first_line = str(error).partition("\n")[0]
        raise _error(file, f"is a damaged Parquet file: {first_line}") from error
    kept = [name for name in table.column_names if not UNNAMED_INDEX.fullmatch(name)]
    return _plain(table.select(kept))


def _plain(table: Any) -> Any:
    """Give dictionaries, decimals and columns of nulls the types that a CSV file would have given them."""
    for position, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_decimal(kind) or pa.types.is_null(kind):
            kind = pa.float64()
        if kind != field.type:
            column = table.column(position)
            if pa.types.is_dictionary(field.type):
                column = column.cast(field.type.value_type)
            table = table.set_column(position, field.name, column.cast(kind, safe=False))
    return table


def _stack(files: Sequence[Path], tables: Sequence[Any]) -> Any:
    if len(tables) == 1:
        return tables[0]
    names = tables[0].column_names
    ordered = [table.select(names).replace_schema_metadata() for table in tables]
    try:
        return pa.concat_tables(ordered, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(_different_types(files, ordered)) from error


def _different_types(files: Sequence[Path], tables: Sequence[Any]) -> list[Problem]:
    problems = []
    for name in tables[0].column_names:
        first = tables[0].schema.field(name)
        for file, table in zip(files, tables, strict=True):
            field = table.schema.field(name)
            try:
                pa.unify_schemas([pa.schema([first]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                message = f"is {field.type} here and {first.type} in {files[0].name}"
                problems.append(Problem(where=str(file), key=name, message=message))
    return problems


def _error(file: Path, message: str, hint: str = "") -> DataError:
    return DataError(Problem(where=str(file), key="", message=message, hint=hint))
