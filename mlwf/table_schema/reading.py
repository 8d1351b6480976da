"""Read a table by its schema, and list values that are unreadable or were not in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlwf.errors import DataError, MlwfError, Problem
from mlwf.specs.data import ColumnSchema, Kind, TableSchema
from mlwf.specs.features import FeatureSpec, OrdinalFeatureSpec, category_text
from mlwf.splitting.stored_frame import StoredFrame
from mlwf.table_schema.kinds import decoded, read_column, texts_of
from mlwf.table_schema.resolve import RawTable
from mlwf.table_schema.values import default_words, is_text
from mlwf.text import format_name, pluralize

SHOWN_VALUES = 3
MOST_COUNTED = 1 << 18
"""Different unknown values of a column that are counted apart; of more, those that occurred once are forgotten."""
FEWEST_WORDS = 2
SHARE_OF_WORDS = 0.01
"""Words in fewer rows are not reported."""
FEWEST_ROWS = 10
"""In fewer rows, all values of a column may be a new category."""


KINDS_OF_FEATURES: dict[str, Kind] = {"numeric": "number", "boolean": "boolean", "date": "date"}
"""What a column is read as for a feature of one kind; categories are read as the column says."""


UNREADABLE_WORDS = {"number": "are no numbers", "date": "are no dates", "boolean": "are neither true nor false"}
"""What values are that cannot be read, by the kind of their column."""


@dataclass(frozen=True)
class UnknownValues:
    """Values of one feature, in a table that is not the training's, that the model knows nothing of."""

    column: str
    reason: Literal["unseen", "unreadable"]
    """Whether the values are categories that training never saw, or nothing of the column's kind."""
    kind: str
    """What the column is read as."""
    n_unknown: int
    """Rows with such a value."""
    n_present: int
    """Rows with any value."""
    values: Mapping[str, int]
    """The most frequent of these values, and the number of rows with each."""

    def __str__(self) -> str:
        unreadable = f"{UNREADABLE_WORDS.get(self.kind, 'cannot be read')}, and count as missing"
        words = "training never saw" if self.reason == "unseen" else unreadable
        verb = "holds" if self.n_unknown == 1 else "hold"
        values = ", ".join(f"{format_name(value)} ({count:,})" for value, count in self.values.items())
        more = ", ..." if sum(self.values.values()) < self.n_unknown else ""
        rows = f"{self.n_unknown:,} of {pluralize(self.n_present, 'row')} {verb} values of `{format_name(self.column)}`"
        return f"{rows} that {words}: {values}{more}"


@dataclass(frozen=True, eq=False)
class ReadTable:
    """A table that was read by a schema."""

    rows: Any
    """Each column with the values that its schema says: a DataFrame, or a StoredFrame of a stored table."""
    unknown: tuple[UnknownValues, ...] = ()
    """Values of features that cannot be read, and are missing now, or were not in training."""


def load_schema(file: Path) -> TableSchema | None:
    """Read the schema beside a model; None when there is none, as for a model of an older mlwf.

    Raises
    ------
    MlwfError
        When the file is damaged, or of a newer version.
    """
    if not file.exists():
        return None
    try:
        return TableSchema.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MlwfError(f"{file}: is no table schema that this version of mlwf can read") from error


def read_training(table: RawTable, schema: TableSchema) -> Any:
    """Read the table that is trained on; a column with a value that is not of its kind keeps its texts.

    Gives a DataFrame, or a StoredFrame of a table that is stored.
    """
    if table.is_stored:
        return StoredFrame(_StoredRows(table, schema), _names([column.name for column in schema.columns]))
    return pd.DataFrame({column.name: _kept(table.columns, column, schema) for column in schema.columns}, copy=False)


@dataclass(frozen=True, eq=False)
class _StoredRows:
    """A stored table as its schema says that it is read."""

    table: RawTable
    schema: TableSchema

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> pd.Series[Any]:
        """Read a column."""
        return self._read(self.table.columns, name)

    def batches(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Read some columns of a few rows at a time."""
        for batch in self.table.columns.batches(names):
            yield pd.DataFrame({name: self._read(batch, name) for name in names}, index=pd.RangeIndex(len(batch)))

    def _read(self, columns: Any, name: str) -> pd.Series[Any]:
        column = self.schema.column(name)
        assert column is not None
        if not column.is_feature:
            return _kept(columns, column, self.schema)
        return read_column(decoded(columns.column(name)), column, self.schema.read).values


def _names(names: Sequence[str]) -> pd.Index[Any]:
    return pd.DataFrame({name: [] for name in names}).columns


def read_rows(table: RawTable, schema: TableSchema, *, where: str) -> ReadTable:
    """Read a later table by the schema of the training.

    A value of a feature that cannot be read is missing, and listed in the result. Columns that the training did not
    have are left out, and so are those that are absent.

    Raises
    ------
    DataError
        When most values of a feature cannot be read, or are categories that the training never saw.
    """
    reader = BatchReader(schema)
    rows = reader.read(table)
    reader.check(where)
    return ReadTable(rows, reader.unknown())


class BatchReader:
    """Reads a later table by the schema of the training, some rows at a time."""

    def __init__(self, schema: TableSchema) -> None:
        self._schema = schema
        self._tallies: dict[tuple[str, Literal["unseen", "unreadable"]], _Tally] = {}
        self._known: dict[str, frozenset[str]] = {}

    def read(self, table: RawTable) -> Any:
        """Read some rows, as `read_rows` reads them, and count the values that the model knows nothing of.

        Gives a DataFrame, or a StoredFrame of a table that is stored.
        """
        columns: dict[str, pd.Series[Any]] = {}
        empty = pd.Series(dtype=object)
        for name in table.names:
            column = self._schema.column(name)
            if column is None:
                continue
            if not column.is_feature:
                columns[name] = empty if table.is_stored else _kept(table.columns, column, self._schema)
                continue
            values = decoded(table.columns.column(name))
            done = read_column(values, column, self._schema.read)
            columns[name] = empty if table.is_stored else done.values
            self._count(column, values, done.values, done.unreadable)
        if table.is_stored:
            return StoredFrame(_StoredRows(table, self._schema), _names([*columns]))
        return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))

    def unknown(self) -> tuple[UnknownValues, ...]:
        """List the values of all rows so far that the model knows nothing of."""
        return tuple(
            UnknownValues(name, reason, tally.kind, tally.n_unknown, tally.n_present, _most(tally.values))
            for (name, reason), tally in self._tallies.items()
            if tally.n_unknown
        )

    def check(self, where: str) -> None:
        """Raise the DataError of `read_rows` for all rows so far."""
        problems = [problem for each in self.unknown() if (problem := refusal(each, where))]
        if problems:
            raise DataError(problems)

    def _count(self, column: ColumnSchema, raw: Any, values: pd.Series[Any], unreadable: NDArray[np.bool_]) -> None:
        present = int(values.notna().sum() + unreadable.sum())
        texts = [str(value) for value in pc.filter(raw, pa.array(unreadable)).to_pylist()] if unreadable.any() else []
        self._tally(column, "unreadable").add(present, texts)
        if column.categories is not None:
            codes, distinct = pd.factorize(values)
            known = self._known.setdefault(column.name, frozenset(column.categories))
            # The code of a missing value is -1: the last of these.
            is_new = np.array([*(category_text(value) not in known for value in distinct), False], dtype=bool)
            mask = is_new[codes]
            new = [category_text(value) for value in values[mask]] if mask.any() else []
            self._tally(column, "unseen").add(present, new)

    def _tally(self, column: ColumnSchema, reason: Literal["unseen", "unreadable"]) -> _Tally:
        return self._tallies.setdefault((column.name, reason), _Tally(column.kind))


@dataclass
class _Tally:
    """Counts the values of one column that are unknown for one reason."""

    kind: str
    n_unknown: int = 0
    n_present: int = 0
    values: Counter[str] = field(default_factory=Counter)

    def add(self, n_present: int, texts: Sequence[str]) -> None:
        """Count more rows."""
        self.n_unknown += len(texts)
        self.n_present += n_present
        self.values.update(texts)
        if len(self.values) > MOST_COUNTED:
            # So many are told by their number. The first ones stay, lest others seem to be the most frequent.
            kept = [pair for at, pair in enumerate(self.values.items()) if pair[1] > 1 or at < SHOWN_VALUES]
            self.values = Counter(dict(kept[:MOST_COUNTED]))


def with_features(
    schema: TableSchema, features: Sequence[FeatureSpec], rows: pd.DataFrame, train: NDArray[np.intp]
) -> TableSchema:
    """Mark the columns that the model reads, with the categories in the rows that it is trained on."""
    specs = {str(name): spec for spec in features for name in spec.columns}
    return schema.model_copy(
        update={"columns": [_with_feature(column, specs.get(column.name), rows, train) for column in schema.columns]}
    )


def missing_words(table: RawTable, schema: TableSchema, *, target: str = "") -> dict[str, dict[str, int]]:
    """Count, for each column of texts, the words of pandas' list that are read as missing, where they are frequent."""
    fewest = max(FEWEST_WORDS, SHARE_OF_WORDS * len(table))
    counts = {
        column.name: default_words(decoded(table.columns.column(column.name)), schema.read)
        for column in schema.columns
        # A column that a feature store has joined is in no file.
        if column.name in table.names and (column.kind == "text" or column.name == target)
    }
    return {name: words for name, words in counts.items() if words and sum(words.values()) >= fewest}


def unmatched_na_values(table: RawTable, schema: TableSchema) -> list[str]:
    """List the texts of `read.na_values` that no column holds."""
    left = list(schema.read.na_values)
    for name in table.names if left else ():
        values = decoded(table.columns.column(name))
        texts = values if is_text(values) else texts_of(values) if left and _is_number(values) else None
        if not left or texts is None:
            continue
        found = pc.is_in(
            pa.array(left, type=pa.large_string()),
            value_set=texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts,
        )
        left = [text for text, is_there in zip(left, found.to_pylist(), strict=True) if not is_there]
    return left


def refusal(unknown: UnknownValues, where: str) -> Problem | None:
    """Refuse a column of which most is unknown, since predictions would be worthless; None when it is fine."""
    if unknown.n_unknown * 2 <= unknown.n_present:
        return None
    if unknown.reason == "unseen" and unknown.n_present < FEWEST_ROWS:
        return None
    return Problem(where, unknown.column, str(unknown), "read as in training, nothing would be left of the column")


def _kept(columns: Any, column: ColumnSchema, schema: TableSchema) -> pd.Series[Any]:
    values = decoded(columns.column(column.name))
    done = read_column(values, column, schema.read)
    if not done.unreadable.any() or not is_text(values):
        return done.values
    texts = read_column(values, column.model_copy(update={"kind": "text"}), schema.read).values
    # Labels that can be read stay what they are, so that only the others are reported.
    is_label = column.kind in ("integer", "boolean")
    return texts.where(pd.Series(done.unreadable), done.values.astype(object)) if is_label else texts


def _most(values: Counter[str]) -> dict[str, int]:
    return dict(values.most_common(SHOWN_VALUES))


def _with_feature(
    column: ColumnSchema, spec: FeatureSpec | None, rows: pd.DataFrame, train: NDArray[np.intp]
) -> ColumnSchema:
    if spec is None:
        return column
    kind = KINDS_OF_FEATURES.get(spec.type, column.kind)
    categories = None
    if isinstance(spec, OrdinalFeatureSpec):
        categories = [category_text(category) for category in spec.categories]
    elif spec.type == "categorical":
        values = rows[column.name].iloc[train]
        categories = sorted({category_text(value) for value in values[values.notna()].unique()})
    return column.model_copy(update={"kind": kind, "is_feature": True, "categories": categories})


def _is_number(values: Any) -> bool:
    kind = values.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
