"""Parquet files whose columns are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlwf.modules.table_files.formats import opened_parquet, stored_columns

BATCH_CELLS = 2**19
"""Values in memory at a time, where rows are read by batches: some ten copies of them are made on the way."""
MOST_BATCH_ROWS = 2**16


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says of its content."""

    schema: pa.Schema
    n_rows: int


def read_footer(file: Path) -> Footer:
    """Read the columns and the number of rows of a Parquet file; raises DataError as `read_parquet_file` does."""
    with opened_parquet(file) as parquet:
        fields = [parquet.schema_arrow.field(name).remove_metadata() for name in stored_columns(parquet)]
        return Footer(pa.schema(fields), parquet.metadata.num_rows)


class StoredColumns:
    """What a RawTable reads of a pyarrow table, from its files each time.

    Parameters
    ----------
    files
        Parquet files of the same columns.
    keys
        The value of each further column in each of the files.
    schema
        The type of each column.
    """

    def __init__(
        self, files: Sequence[Path], keys: Sequence[dict[str, str | None]], schema: pa.Schema, num_rows: int
    ) -> None:
        self._files, self._keys, self.schema, self.num_rows = files, keys, schema, num_rows

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    @property
    def n_bytes(self) -> int:
        """About how large the table is in memory, by eight bytes a value."""
        return 8 * self.num_rows * len(self.schema)

    def column(self, name: str) -> pa.ChunkedArray:
        """Read a column."""
        return pa.concat_tables([self._typed([name]), *self._parts([name])], promote_options="permissive").column(0)

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Read some columns, a few rows at a time."""
        n_rows = min(MOST_BATCH_ROWS, max(1, BATCH_CELLS // max(1, len(names))))
        for batch in self._parts(names, n_rows):
            yield pa.concat_tables([self._typed(names), batch], promote_options="permissive")

    def _typed(self, names: Sequence[str]) -> pa.Table:
        # Types of several files are promoted to those of all, as those of whole tables are.
        return pa.schema([self.schema.field(name) for name in names]).empty_table()

    def _parts(self, names: Sequence[str], n_rows: int | None = None) -> Iterator[pa.Table]:
        for file, key in zip(self._files, self._keys, strict=True):
            own = [name for name in names if name not in key]
            with opened_parquet(file) as parquet:
                for part in _read(parquet, own, n_rows):
                    table = part.replace_schema_metadata()
                    for name in names:
                        if name in key:
                            table = table.append_column(name, pa.array([key[name]] * len(part), type=pa.string()))
                    yield table.select(list(names))


def _read(parquet: Any, names: Sequence[str], n_rows: int | None) -> Iterator[pa.Table]:
    # Without any column a table would have no rows either.
    columns = list(names) or stored_columns(parquet)[:1]
    if n_rows is None:
        yield parquet.read(columns=columns, use_threads=False)
        return
    for batch in parquet.iter_batches(batch_size=n_rows, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch])
