"""A table that is read by the schema of a training some rows at a time, so that it may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from mlwf.errors import DataError
from mlwf.modules.data import absent
from mlwf.modules.table_files import open_raw
from mlwf.orchestrator.run_data import read_by_schema
from mlwf.specs.data import TableSchema
from mlwf.specs.experiment import ExperimentSpec
from mlwf.table_schema import BatchReader, RawTable, UnknownValues

CELLS_AT_ONCE, MOST_ROWS = 1 << 21, 1 << 16
"""Values, and rows, that are read and predicted at once. The rows are a power of two: products of matrices are computed
in blocks of rows, and a row that stands elsewhere in its block may differ in the last bit."""

OnRows = Callable[[int], None]
"""Is told how many rows are done."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a table, and the number of rows before them."""

    table: RawTable
    rows: pd.DataFrame
    start: int


class Batches:
    """The rows of a table in their order, as the training read its own.

    A value is read alike in whichever batch it stands. With a feature store the table is one batch, since its rows are
    joined together.

    Parameters
    ----------
    data
        The table: a file, a folder or a glob.
    schema
        How its columns are read.
    rows_at_once
        Rows of a batch; the default is as many as hold some millions of values.
    needed
        The columns that are read by the schema; the default is all that it has.

    Raises
    ------
    DataError
        When there is no such table, or its files do not fit together; each iteration when a file is damaged.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        schema: TableSchema,
        data: str,
        *,
        rows_at_once: int | None = None,
        needed: Sequence[str] | None = None,
        on_rows: OnRows | None = None,
    ) -> None:
        self.where = data
        self._spec, self._on_rows = spec, on_rows
        self._source = open_raw(data, schema.read)
        self.n_rows = 0
        self.uses_store = spec.feature_store is not None and spec.feature_store.enabled
        self._rows_at_once = rows_at_once or _rows_at_once(len(self._source.names))
        if needed is not None and not self.uses_store:
            schema = schema.model_copy(update={"columns": [each for each in schema.columns if each.name in needed]})
        self._schema, self._reader = schema, BatchReader(schema)
        self._unknown_of_store: tuple[UnknownValues, ...] = ()
        self._joined: list[str] = []

    @property
    def names(self) -> list[str]:
        """The columns of the table, then those that are read."""
        names = self._source.names
        return [*names, *(self._joined or [name for name in names if self._schema.column(name)])]

    def check_columns(self, features: Sequence[str]) -> None:
        """Raise a DataError when a column is not there that the model reads, before any row is read."""
        problems = absent(self.where, [("the model", name) for name in features], self.names)
        # A feature store may have it.
        if problems and not self.uses_store:
            raise DataError(problems)

    def __iter__(self) -> Iterator[Batch]:
        if self.uses_store:
            table = next(self._source.batches())
            rows, self._unknown_of_store = read_by_schema(self._spec, table, self._schema, self.where)
            self._joined = [str(name) for name in rows.columns]
            yield self._told(Batch(table, rows, 0))
            return
        for table in self._source.batches(self._rows_at_once):
            yield self._told(Batch(table, self._reader.read(table), self.n_rows))

    def _told(self, batch: Batch) -> Batch:
        self.n_rows += len(batch.table)
        if self._on_rows is not None:
            self._on_rows(self.n_rows)
        return batch

    def unknown(self) -> tuple[UnknownValues, ...]:
        """List the values of all rows that the model knows nothing of, when they were read.

        Raises DataError when most values of a column are so.
        """
        self._reader.check(self.where)
        return self._unknown_of_store or self._reader.unknown()

    def whole(self, names: Sequence[str]) -> pd.DataFrame:
        """Read a few columns again, all rows of them together: what is wrong is told with its rows of the table."""
        wanted = [name for name in self._source.names if name in names]
        return BatchReader(self._schema).read(next(self._source.batches(names=wanted)))


def _rows_at_once(n_columns: int) -> int:
    rows = max(1, min(MOST_ROWS, CELLS_AT_ONCE // max(1, n_columns)))
    return 1 << (rows.bit_length() - 1)
