"""What a run works on: tables or arrays, read, checked, and split into training rows and hold-out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlwf.errors import DataError, Problem
from mlwf.modules.data import Dataset, check_class_counts, dataset_from_arrays, prepare
from mlwf.modules.gates import compares_with_registered_model
from mlwf.modules.inference import Inferred, infer_features
from mlwf.modules.table_files import open_stored, read_raw
from mlwf.processes import memory_bytes
from mlwf.specs.data import PARQUET_SUFFIXES, DataSpec, TableSchema
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.rules.data_rules import problems_of_streaming
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table
from mlwf.splitting.splitters import holdout_splitter
from mlwf.splitting.stored_frame import StoredFrame
from mlwf.table_schema import (
    RawTable,
    UnknownValues,
    Use,
    missing_words,
    raw_of_frame,
    read_rows,
    read_training,
    resolve_schema,
    schema_of_frame,
    unmatched_na_values,
    uses_of,
    with_features,
)
from mlwf.text import format_name, format_value, join_reasons, pluralize

MOST_NAMED = 5
"""Columns that one note names."""
SHARE_OF_MEMORY = 0.25
"""Of the memory, how large a table may be that is read as a whole."""


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run works on, read and checked."""

    data: Dataset
    features: Sequence[FeatureSpec]
    """The features as written, or as inferred from the rows that are trained on."""
    inferred: Inferred | None
    """What inference left out and noticed; None when the features are written."""
    split: Split
    """The rows that are trained on, and those held out before anything (none unless the validation is `train_test`)."""
    test: Dataset | None = None
    joined: Any = None
    """What the feature store joined to the label rows, or None."""
    joined_test: Any = None
    """What it joined to the rows of the test set, or None."""
    raw: Dataset | None = None
    """The same rows with every column that could be a feature, where features are inferred; None otherwise."""
    schema: TableSchema | None = None
    """How the table was read, and every later one is; None when X is an array."""
    unknown: tuple[UnknownValues, ...] = ()
    """What the test set holds that the training never saw."""
    read_as_missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Words such as NA that stand in columns of texts and were read as missing, and how often, by column."""
    unmatched_na_values: Sequence[str] = ()
    """Texts of `data.read.na_values` that are not in the table."""

    tables: Mapping[str, RawTable] = field(default_factory=dict)
    """The tables of `data` and `test` as they are in their files, by path, where a champion reads them again."""

    n_bytes: int | None = None
    """About how large the table is, where its rows stay on the disk for that."""

    @property
    def is_streamed(self) -> bool:
        """Whether the rows stay on the disk."""
        return isinstance(self.data.X, StoredFrame)

    def notes(self) -> Iterator[str]:
        """Describe what a person should know of how the tables were read."""
        if self.n_bytes is not None:
            size = f"the table is larger than a quarter of the memory ({self.n_bytes / 1e9:.1f} GB)"
            yield f"{size}: its rows stay on the disk; data.stream: false reads it as a whole"
        if self.read_as_missing:
            columns = [f"{format_name(name)} ({_counts(found)})" for name, found in self.read_as_missing.items()]
            more = f" and {pluralize(len(columns) - MOST_NAMED, 'more column')}" if len(columns) > MOST_NAMED else ""
            words = f"read as missing: {', '.join(columns[:MOST_NAMED])}{more}"
            yield f"{words}; data.read.keep_default_na: false keeps such words as texts"
        for column, note in self.inferred.notes.items() if self.inferred else ():
            yield f"{format_name(column)}: {note}"
        for text in self.unmatched_na_values:
            yield f"data.read.na_values: {format_value(text)} is nowhere in the table"
        for unknown in self.unknown:
            yield f"test set: {unknown}"


def _counts(words: Mapping[str, int]) -> str:
    return ", ".join(f"{format_value(word)} {count:,}" for word, count in words.items())


LoadData = Callable[[ExperimentSpec], RunData]


def load_tables(spec: ExperimentSpec, *, fail_on_unseen: bool = False) -> RunData:
    """Read the tables that `spec.data` names, and join the feature store's columns where one is asked for.

    Raises DataError with every problem of the data, FeatureStoreError and ConfigError for those of the store.
    """
    data = spec.data
    table = read_raw(data.path, data.read) if (stored := _open_stored(spec)) is None else stored
    uses_store = spec.feature_store is not None and spec.feature_store.enabled
    # A type of a column that the store joins is that of no column of the file.
    types = {name: kind for name, kind in data.types.items() if not uses_store or name in table.names}
    uses = uses_of(data, spec.features)
    other_use: Use = "key" if uses_store else "any"
    schema = resolve_schema(table, read=data.read, uses=uses, other_use=other_use, types=types, where=data.path)
    frame = read_training(table, schema)
    joined = None
    if uses_store:
        from mlwf.modules.feature_store import join_features, prepare_repo

        assert spec.feature_store is not None
        if spec.feature_store.pull is None:
            prepare_repo(spec.feature_store)
        joined = join_features(spec.feature_store, frame, time=data.time, part="training")
        others = {name: kind for name, kind in data.types.items() if name not in types}
        stored = raw_of_frame(joined.rows[list(joined.features)])
        of_store = resolve_schema(stored, read=data.read, uses=uses, types=others, where="the feature store")
        frame = _with_columns(joined.rows, read_training(stored, of_store))
        schema = schema.model_copy(update={"columns": [*schema.columns, *of_store.columns]})
        if spec.features == "auto":
            # Keys identify rows; a feature spec may still name one.
            keys = [key for key in joined.keys if key not in data.drop]
            data = data.model_copy(update={"drop": [*data.drop, *keys]})
    words, unmatched = missing_words(table, schema, target=data.target), unmatched_na_values(table, schema)
    is_read_again = any(map(compares_with_registered_model, spec.gates)) and not uses_store
    tables = {data.path: table} if is_read_again else {}
    n_bytes = table.columns.n_bytes if table.is_stored and data.stream is None else None
    # It is as large as the frame, and Arrow keeps what it has freed.
    del table
    pa.default_memory_pool().release_unused()
    run_data = _from_frame(spec, data, frame, words.get(data.target, {}))
    schema = with_features(schema, run_data.features, run_data.data.X, run_data.split.train.index)
    run_data = replace(
        run_data,
        joined=joined,
        schema=schema,
        read_as_missing={name: found for name, found in words.items() if name in schema.feature_names},
        unmatched_na_values=unmatched,
        n_bytes=n_bytes,
        tables=tables,
    )
    run_data = run_data if data.test_path is None else _with_test_table(spec, data, run_data)
    if fail_on_unseen:
        refuse_unknown(run_data.unknown, data.test_path or "")
    return run_data


def _open_stored(spec: ExperimentSpec) -> RawTable | None:
    """Open the table where it is to stay on the disk; None where it is read."""
    if spec.data.stream is False or (spec.data.stream is None and any(problems_of_streaming(spec))):
        return None
    try:
        table = open_stored(spec.data.path)
    except DataError:
        if spec.data.stream:
            raise
        return None
    is_large = table.columns.n_bytes > SHARE_OF_MEMORY * memory_bytes()
    return table if spec.data.stream or is_large else None


def _with_test_table(spec: ExperimentSpec, data: DataSpec, run_data: RunData) -> RunData:
    """Read the test set by the schema of the training."""
    assert data.test_path is not None
    assert run_data.schema is not None
    is_stored = run_data.is_streamed and Path(data.test_path).suffix.lower() in ("", *PARQUET_SUFFIXES)
    table = open_stored(data.test_path) if is_stored else read_raw(data.test_path, data.read)
    tables = {**run_data.tables, data.test_path: table} if run_data.tables else {}
    joined_test, rows, unknown = _read_by_schema(spec, table, run_data.schema, data.test_path, part="test")
    names = [*table.names, *rows.columns]
    test = prepare(rows, data, features=run_data.features, where=data.test_path, reference=run_data.data, names=names)
    return replace(run_data, test=test, joined_test=joined_test, unknown=unknown, tables=tables)


def read_by_schema(
    spec: ExperimentSpec, table: RawTable, schema: TableSchema, where: str
) -> tuple[pd.DataFrame, tuple[UnknownValues, ...]]:
    """Read a later table by the schema of the training, the feature store's columns joined as in the training.

    Raises DataError as `read_rows` does, and as `join_features` does.
    """
    _, rows, unknown = _read_by_schema(spec, table, schema, where)
    return rows, unknown


def _read_by_schema(
    spec: ExperimentSpec, table: RawTable, schema: TableSchema, where: str, *, part: Any = None
) -> tuple[Any, pd.DataFrame, tuple[UnknownValues, ...]]:
    """Read a later table, and give what was joined to it as well; None without a feature store."""
    done = read_rows(table, schema, where=where)
    if spec.feature_store is None or not spec.feature_store.enabled:
        return None, done.rows, done.unknown
    from mlwf.modules.feature_store import join_features

    joined = join_features(spec.feature_store, done.rows, time=spec.data.time, sample=False, part=part)
    stored = read_rows(raw_of_frame(joined.rows[list(joined.features)]), schema, where="the feature store")
    return joined, _with_columns(joined.rows, stored.rows), (*done.unknown, *stored.unknown)


def refuse_unknown(unknown: Sequence[UnknownValues], where: str) -> None:
    """Raise a DataError when there are values that the training never saw."""
    if unknown:
        raise DataError(Problem(where, each.column, str(each), "--fail-on-unseen forbids it") for each in unknown)


def _with_columns(frame: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Put columns into a frame of the same rows, in place of those of the same names."""
    columns = columns.set_index(frame.index)
    return pd.DataFrame({name: columns[name] if name in columns else frame[name] for name in frame.columns})


def load_arrays(X: Any, y: Any, **carried: Any) -> LoadData:
    """Take rows that are in memory; `carried` are other values of each row: sample_weight, groups, time, fold."""

    def load(spec: ExperimentSpec) -> RunData:
        options: dict[str, Any] = {**carried, "positive_class": spec.data.positive_class}
        data = dataset_from_arrays(X, y, features=spec.features, **options)
        split = _hold_out(spec, data)
        features, inferred = _features(spec, data, split)
        if inferred:
            raw, data = data, dataset_from_arrays(X, y, features=features, **options)
            return RunData(data, features, inferred, split, raw=raw, schema=_schema_in_memory(data, features, split))
        return RunData(data, features, inferred, split, schema=_schema_in_memory(data, features, split))

    return load


def with_test(load: LoadData, X_test: Any, y_test: Any) -> LoadData:
    """Add a test set that is in memory."""

    def load_both(spec: ExperimentSpec) -> RunData:
        run_data = load(spec)
        positive = spec.data.positive_class
        test = dataset_from_arrays(
            X_test, y_test, features=run_data.features, positive_class=positive, reference=run_data.data
        )
        return replace(run_data, test=test)

    return load_both


def _schema_in_memory(data: Dataset, features: Sequence[FeatureSpec], split: Split) -> TableSchema | None:
    if not isinstance(data.X, pd.DataFrame):
        return None
    return with_features(schema_of_frame(data.X, features), features, data.X, split.train.index)


def _from_frame(spec: ExperimentSpec, data: DataSpec, frame: Any, missing_labels: Mapping[str, int]) -> RunData:
    dataset = prepare(frame, data, features=spec.features, missing_labels=missing_labels)
    split = _hold_out(spec, dataset)
    features, inferred = _features(spec, dataset, split)
    if inferred:
        return RunData(prepare(frame, data, features=features), features, inferred, split, raw=dataset)
    return RunData(dataset, features, inferred, split)


def _features(spec: ExperimentSpec, data: Dataset, split: Split) -> tuple[Sequence[FeatureSpec], Inferred | None]:
    """Give the features as written, or infer them from the rows that are trained on, and from no others."""
    if spec.features != "auto":
        return spec.features, None
    if not hasattr(data.X, "columns"):
        raise DataError(Problem(data.source, "features", "auto needs a DataFrame", "X is an array: list the features"))
    X = data.X if not len(split.test) else data.X.iloc[split.train.index]
    inferred = infer_features(X, is_native=isinstance(data.X, StoredFrame))
    if not inferred.features:
        reasons = join_reasons(inferred.left_out)
        raise DataError(Problem(data.source, "features", f"auto finds no column that could help: {reasons}"))
    return inferred.features, inferred


def _hold_out(spec: ExperimentSpec, data: Dataset) -> Split:
    """Split the hold-out off, before anything looks at the rows."""
    rows = Rows(np.arange(len(data), dtype=np.intp))
    if spec.validation.strategy != "train_test":
        return Split(rows, NO_ROWS)
    problems = check_class_counts(data.y, 2, "a hold-out", where=data.source, key=spec.data.target)
    if problems:
        raise DataError(problems)
    validation = spec.validation
    splitter = holdout_splitter(
        test_size=validation.test_size, random_state=spec.random_state, kind=spec.splitter, gap=validation.gap
    )
    try:
        (split,) = splitter(Table(data.X, data.y, groups=data.groups, time=data.instants), rows)
    except ValueError as error:
        raise DataError(Problem(data.source, "validation.test_size", str(error))) from error
    return split
