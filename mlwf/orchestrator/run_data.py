"""Rows of weight zero: a class, a fold or a group that has no others counts as having no rows at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import DataError, Problem
from mlwf.modules.data import Dataset, check_class_counts, dataset_from_arrays, prepare
from mlwf.modules.gates import is_champion
from mlwf.modules.inference import Inferred, infer_features
from mlwf.modules.table_files import read_raw
from mlwf.orchestrator.context import Setting
from mlwf.results import UnknownValues
from mlwf.specs.data import DataSpec, TableSchema
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.problems import shown
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table
from mlwf.splitting.splitters import holdout_splitter
from mlwf.table_schema import (
    RawTable,
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
from mlwf.text import format_name, format_value, pluralize

LEFT_OUT = "leave the rows of weight 0 out of the data"

FEW_EFFECTIVE = 0.1
"""Share of the rows that the effective number of rows falls below when a few of them decide alone."""


@dataclass(frozen=True)
class Cut:
    """A way in which a run cuts rows, before it does."""

    key: str
    """The option that says into how many parts."""
    where: str
    """Which rows are cut, where it is not all that are trained on."""
    splits: tuple[Split, ...]
    calibrates: bool = False
    """Whether a calibrator learns from the judged rows of each part."""


def check_weights(setting: Setting, cuts: Iterable[Cut]) -> list[Problem]:
    """Refuse weights that leave a class nothing to be learnt from, or a part nothing to be judged by.

    All classes without weight are told, else the first part that fails.
    """
    weight = setting.table.weight
    if weight is None or (weight > 0).all():
        return []
    counts = weight > 0
    messages = list(_classes_without_weight(setting, counts))
    if not messages:
        messages = [message for cut in cuts for message in _parts_without_weight(setting, cut, counts)][:1]
    data = setting.spec.data
    return [Problem(data.path, data.sample_weight or "sample_weight", message, LEFT_OUT) for message in messages]


def describe_weights(setting: Setting) -> Iterator[str]:
    """Say of weights that can be used what a reader of the scores must know."""
    weight = setting.table.weight
    if weight is None:
        return
    total, name = float(weight.sum()), setting.spec.data.sample_weight or "sample_weight"
    if total < 1:
        yield (
            f"{name}: the weights sum to {total:.3g}: to a classifier that is penalised or grows leaves by weight "
            "that is less than one row"
        )
    # Scaled, since the squares of small weights vanish.
    scaled = weight[weight > 0] / weight.max()
    effective = float(scaled.sum() ** 2 / (scaled**2).sum())
    if effective < FEW_EFFECTIVE * len(scaled):
        yield f"{name}: a few rows have nearly all weight: {len(scaled):,} rows count as {effective:,.1f} alike"


def _classes_without_weight(setting: Setting, counts: NDArray[np.bool_]) -> Iterator[str]:
    y = setting.table.y
    for label in setting.table.classes.tolist():
        rows = int((y == label).sum())
        if not counts[y == label].any():
            yield f"class {shown(label)} has no row with a weight ({rows:,} of weight 0): nothing would learn it"


def _parts_without_weight(setting: Setting, cut: Cut, counts: NDArray[np.bool_]) -> Iterator[str]:
    for number, split in enumerate(cut.splits, start=1):
        # A hold-out is one split, and its where says which.
        part = f"fold {number} of {cut.key} ({len(cut.splits)})" if len(cut.splits) > 1 else cut.key
        for label in _lacking(setting, split.train, counts):
            yield f"{part}{cut.where} leaves class {shown(label)} no row with a weight to learn from"
        if not counts[split.test.index].any():
            yield f"{part}{cut.where} has no row with a weight to judge by"
        for label in _lacking(setting, split.test, counts) if cut.calibrates else ():
            yield f"{part}{cut.where} has no row of class {shown(label)} with a weight to calibrate by"


def _lacking(setting: Setting, rows: Rows, counts: NDArray[np.bool_]) -> list[object]:
    present = setting.table.y_of(rows)[counts[rows.index]]
    lacking: list[object] = np.setdiff1d(setting.table.classes, present).tolist()
    return lacking


MOST_NAMED = 5
"""Columns that one note names."""


@dataclass(frozen=True, eq=False)
class Material:
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
    raw: Dataset | None = None
    """The same rows with every column that could be a feature, where features are inferred; None otherwise."""
    schema: TableSchema | None = None
    """How the table was read, and every later one is; None when X is an array."""
    unknown: tuple[UnknownValues, ...] = ()
    """What the test set holds that the training never saw."""
    read_as_missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Words such as NA that stand in columns of texts and were read as missing, and how often, by column."""
    unmatched_na_values: Sequence[str] = ()
    """Texts of `data.read.na_values` that the table does not hold."""

    tables: Mapping[str, RawTable] = field(default_factory=dict)
    """The tables of `data` and `test` as their files hold them, by path, where a champion is to read them anew."""

    def notes(self) -> Iterator[str]:
        """Say what a person should know of how the tables were read."""
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


Load = Callable[[ExperimentSpec], Material]


def load_tables(spec: ExperimentSpec, *, fail_on_unseen: bool = False) -> Material:
    """Read the tables that `spec.data` names, and join the feature store's columns where one is asked for.

    Raises DataError with every problem of the data, FeatureStoreError and ConfigError for those of the store.
    """
    data = spec.data
    table = read_raw(data.path, data.read)
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
        prepare_repo(spec.feature_store)
        joined = join_features(spec.feature_store, frame, time=data.time)
        others = {name: kind for name, kind in data.types.items() if name not in types}
        stored = raw_of_frame(joined.rows[list(joined.features)])
        of_store = resolve_schema(stored, read=data.read, uses=uses, types=others, where="the feature store")
        frame = _with_columns(joined.rows, read_training(stored, of_store))
        schema = schema.model_copy(update={"columns": [*schema.columns, *of_store.columns]})
        if spec.features == "auto":
            # Keys say which row it is; a feature spec may still name one.
            keys = [key for key in joined.keys if key not in data.drop]
            data = data.model_copy(update={"drop": [*data.drop, *keys]})
    words = missing_words(table, schema, target=data.target)
    material = _from_frame(spec, data, frame, words.get(data.target, {}))
    schema = with_features(schema, material.features, material.data.X, material.split.train.index)
    material = replace(
        material,
        joined=joined,
        schema=schema,
        read_as_missing={name: found for name, found in words.items() if name in schema.feature_names},
        unmatched_na_values=unmatched_na_values(table, schema),
        tables={data.path: table} if any(map(is_champion, spec.gates)) and not uses_store else {},
    )
    material = material if data.test_path is None else _with_test_table(spec, data, material)
    if fail_on_unseen:
        refuse_unknown(material.unknown, data.test_path or "")
    return material


def _with_test_table(spec: ExperimentSpec, data: DataSpec, material: Material) -> Material:
    """Read the test set by the schema of the training."""
    assert data.test_path is not None
    assert material.schema is not None
    table = read_raw(data.test_path, data.read)
    tables = {**material.tables, data.test_path: table} if material.tables else {}
    rows, unknown = read_by_schema(spec, table, material.schema, data.test_path)
    names = [*table.names, *rows.columns]
    test = prepare(rows, data, features=material.features, where=data.test_path, reference=material.data, names=names)
    return replace(material, test=test, unknown=unknown, tables=tables)


def read_by_schema(
    spec: ExperimentSpec, table: RawTable, schema: TableSchema, where: str
) -> tuple[pd.DataFrame, tuple[UnknownValues, ...]]:
    """Read a later table by the schema of the training, the feature store's columns joined as in the training.

    Raises DataError as `read_rows` does, and as `join_features` does.
    """
    done = read_rows(table, schema, where=where)
    if spec.feature_store is None or not spec.feature_store.enabled:
        return done.rows, done.unknown
    from mlwf.modules.feature_store import join_features

    joined = join_features(spec.feature_store, done.rows, time=spec.data.time, sample=False)
    stored = read_rows(raw_of_frame(joined.rows[list(joined.features)]), schema, where="the feature store")
    return _with_columns(joined.rows, stored.rows), (*done.unknown, *stored.unknown)


def refuse_unknown(unknown: Sequence[UnknownValues], where: str) -> None:
    """Raise a DataError when there are values that the training never saw."""
    if unknown:
        raise DataError(Problem(where, each.column, str(each), "--fail-on-unseen forbids it") for each in unknown)


def _with_columns(frame: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Put columns into a frame of the same rows, in place of those of the same names."""
    columns = columns.set_index(frame.index)
    return pd.DataFrame({name: columns[name] if name in columns else frame[name] for name in frame.columns})


def load_arrays(X: Any, y: Any, **carried: Any) -> Load:
    """Take rows that are in memory; `carried` is what each carries besides: sample_weight, groups, time, fold."""

    def load(spec: ExperimentSpec) -> Material:
        options: dict[str, Any] = {**carried, "positive_class": spec.data.positive_class}
        data = dataset_from_arrays(X, y, features=spec.features, **options)
        split = _hold_out(spec, data)
        features, inferred = _features(spec, data, split)
        if inferred:
            raw, data = data, dataset_from_arrays(X, y, features=features, **options)
            return Material(data, features, inferred, split, raw=raw, schema=_schema_in_memory(data, features, split))
        return Material(data, features, inferred, split, schema=_schema_in_memory(data, features, split))

    return load


def with_test(load: Load, X_test: Any, y_test: Any) -> Load:
    """Add a test set that is in memory."""

    def load_both(spec: ExperimentSpec) -> Material:
        material = load(spec)
        positive = spec.data.positive_class
        test = dataset_from_arrays(
            X_test, y_test, features=material.features, positive_class=positive, reference=material.data
        )
        return replace(material, test=test)

    return load_both


def _schema_in_memory(data: Dataset, features: Sequence[FeatureSpec], split: Split) -> TableSchema | None:
    if not isinstance(data.X, pd.DataFrame):
        return None
    return with_features(schema_of_frame(data.X, features), features, data.X, split.train.index)


def _from_frame(spec: ExperimentSpec, data: DataSpec, frame: Any, missing_labels: Mapping[str, int]) -> Material:
    dataset = prepare(frame, data, features=spec.features, missing_labels=missing_labels)
    split = _hold_out(spec, dataset)
    features, inferred = _features(spec, dataset, split)
    if inferred:
        return Material(prepare(frame, data, features=features), features, inferred, split, raw=dataset)
    return Material(dataset, features, inferred, split)


def _features(spec: ExperimentSpec, data: Dataset, split: Split) -> tuple[Sequence[FeatureSpec], Inferred | None]:
    """Give the features as written, or infer them from the rows that are trained on: a held-out row has no say."""
    if spec.features != "auto":
        return spec.features, None
    if not hasattr(data.X, "columns"):
        raise DataError(Problem(data.source, "features", "auto needs a DataFrame", "X is an array: list the features"))
    inferred = infer_features(data.X.iloc[split.train.index])
    if not inferred.features:
        reasons = "; ".join(f"{column}: {reason}" for column, reason in inferred.left_out.items())
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
