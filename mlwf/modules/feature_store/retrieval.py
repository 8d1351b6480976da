"""The features of one view for label rows, as known at their times: from its Parquet file, or by Feast's retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from mlwf.errors import FeatureStoreError, nearest
from mlwf.modules.feature_store.declared import open_dataset
from mlwf.modules.feature_store.matching import NO_MATCH, check_key, find_matches, utc_times
from mlwf.modules.feature_store.repo import describe_feast_error, quiet_feast
from mlwf.modules.feature_store.selection import Feature, keys_of

_LARGEST_EXACT_FLOAT = 2**53

ROWS_AT_ONCE = 1_000_000
"""Feature rows that are read at once, where a file is larger than twice that: a slice of time."""

SCANNED = 4
"""How many times as many from a file that is not in order of time: all of it is read for each slice."""

SAMPLED = 1000
"""Every so many rows one tells how the times of a large file are distributed."""

_STORES_OF_FILES = ("file", "dask", "duckdb")


@dataclass(frozen=True)
class Retrieved:
    """One view's features, a row for each label row."""

    columns: pd.DataFrame
    unmatched: int
    """Label rows that got nothing from the view."""


def retrieve(store: Any, view: Any, features: Sequence[Feature], labels: pd.DataFrame, times: Any) -> Retrieved:
    """Join one view's features to the label rows, as known at each row's time.

    Raises
    ------
    DataError
        When keys or times of the label rows cannot be compared with the view's.
    FeatureStoreError
        When the view's source cannot be read.
    """
    source = _local_file(store, view)
    if source is None:
        return retrieve_by_feast(store, view, features, labels, times)
    return _retrieve_from_file(view, source, features, labels, times)


def retrieve_by_feast(
    store: Any, view: Any, features: Sequence[Feature], labels: pd.DataFrame, times: Any
) -> Retrieved:
    """Join through Feast's own retrieval, and bring back the label rows that its offline store drops.

    One view at a time: a row that one view's store drops would otherwise lose the other views' features too.
    """
    keys = keys_of(view)
    wanted = labels[list(keys)].assign(event_timestamp=times.array)
    numbers = wanted.groupby([*keys, "event_timestamp"], sort=False, dropna=True).ngroup()
    wanted["__mlwf_row"] = numbers.fillna(-1).astype("int64")
    distinct = wanted[wanted["__mlwf_row"] >= 0].drop_duplicates("__mlwf_row").reset_index(drop=True)
    names = [f"{view.projection.name_to_use()}__{feature.name}" for feature in features]
    if distinct.empty:
        nothing = pd.DataFrame({feature.column: None for feature in features}, index=labels.index, dtype=object)
        return Retrieved(nothing, len(labels))
    result = _get_historical_features(store, view, features, distinct)
    found = result["__mlwf_row"].to_numpy().astype("int64")
    if len(np.unique(found)) != len(found):
        raise FeatureStoreError(f"view {view.name}: the offline store returned rows twice")
    # One more place than there are rows, so that a row without key or time (-1) finds no match either.
    place = np.full(len(distinct) + 1, NO_MATCH, dtype="int64")
    place[found] = np.arange(len(found))
    matches = place[wanted["__mlwf_row"].to_numpy()]
    columns = {
        feature.column: take_rows(result[name], matches, labels.index)
        for feature, name in zip(features, names, strict=True)
    }
    frame = pd.DataFrame(columns, index=labels.index)
    return Retrieved(frame, int(frame.isna().all(axis=1).sum()))


def take_rows(column: Any, matches: Any, index: pd.Index[Any]) -> pd.Series[Any]:
    """Take one value per label row from an Arrow column, null where nothing matched.

    Types are those of `pandas.read_parquet`, but integers stay exact: with nulls they become float64 only when that
    holds all their values, else Int64 or UInt64.
    """
    if pa.types.is_floating(column.type) and len(column):
        values = column.to_numpy()[matches]
        values[matches == NO_MATCH] = np.nan
        return pd.Series(values, index=index, copy=False)
    taken = column.take(pa.array(matches, mask=matches == NO_MATCH))
    if pa.types.is_dictionary(taken.type):
        taken = pa.chunked_array([chunk.dictionary_decode() for chunk in taken.chunks], taken.type.value_type)
    if pa.types.is_integer(taken.type) and taken.null_count:
        bounds = [abs(bound) for bound in pc.min_max(taken).as_py().values() if bound is not None]
        is_exact = max(bounds, default=0) <= _LARGEST_EXACT_FLOAT
        wide = pd.UInt64Dtype() if taken.type == pa.uint64() else pd.Int64Dtype()
        values = taken.to_pandas() if is_exact else taken.to_pandas(types_mapper=lambda _: wide)
    else:
        values = taken.to_pandas()
    return pd.Series(values.array, index=index)


def _local_file(store: Any, view: Any) -> str | None:
    """Return the Parquet file behind a view, or None when only Feast knows how to read it."""
    from feast import FileSource
    from feast.data_format import ParquetFormat

    source = view.batch_source
    if store.config.offline_store.type not in _STORES_OF_FILES or type(source) is not FileSource:
        return None
    if not isinstance(source.file_format, ParquetFormat | None) or source.s3_endpoint_override:
        return None
    path = source.path.removeprefix("file://")
    return None if "://" in path else str(Path(store.repo_path) / path)


def _retrieve_from_file(
    view: Any, path: str, features: Sequence[Feature], labels: pd.DataFrame, times: Any
) -> Retrieved:
    source = view.batch_source
    column_of = {new: old for old, new in (source.field_mapping or {}).items()}
    created = source.created_timestamp_column
    wanted = {feature.column: column_of.get(feature.name, feature.name) for feature in features}
    file = _SourceFile(
        path,
        view,
        {label: column_of.get(key, key) for label, key in keys_of(view).items()},
        column_of.get(source.timestamp_field, source.timestamp_field),
        column_of.get(created, created) if created else None,
        tuple(dict.fromkeys(wanted.values())),
    )
    table, matches = file.find(labels, times)
    columns = {column: take_rows(table[name], matches, labels.index) for column, name in wanted.items()}
    return Retrieved(pd.DataFrame(columns, index=labels.index, copy=False), int((matches == NO_MATCH).sum()))


@dataclass(frozen=True)
class _SourceFile:
    """The Parquet file or folder behind a view."""

    path: str
    view: Any
    keys: Mapping[str, str]
    """Key columns: name in the label rows to name in the file."""
    time: str
    created: str | None
    wanted: tuple[str, ...]
    """Columns with features."""

    def find(self, labels: pd.DataFrame, times: pd.Series[Any]) -> tuple[pa.Table, NDArray[np.int64]]:
        """Find the feature row of each label row: a table of rows of the file, and the position in it."""
        dataset = self._open()
        ends = _ends_of_slices(dataset, self.time)
        if not ends:
            table = dataset.to_table(columns=self._columns)
            return table, self._match(table, labels, times)[0]
        return self._find_by_slices(dataset, ends, labels, times)

    def _find_by_slices(
        self, dataset: Any, ends: Sequence[pa.Scalar], labels: pd.DataFrame, times: pd.Series[Any]
    ) -> tuple[pa.Table, NDArray[np.int64]]:
        """Read the file slice by slice of time, and keep the rows that were found and the newest of each key."""
        moments = pd.Series(pd.to_datetime([end.as_py() for end in ends], utc=True))
        bounds = pd.DatetimeIndex(moments).as_unit(times.dt.unit)
        number = np.where(times.notna(), bounds.searchsorted(pd.DatetimeIndex(times), side="left"), len(ends) + 1)
        positions, n_found = np.full(len(labels), NO_MATCH, dtype="int64"), 0
        kept, found = None, []
        labels = labels[list(self.keys)]
        for place in range(len(ends) + 1):
            table = dataset.to_table(columns=self._columns, filter=_between(self.time, ends, place))
            table = table if kept is None else pa.concat_tables([kept, table])
            rows = np.flatnonzero(number == place)
            matches, newest = self._match(table, labels.iloc[rows], times.iloc[rows])
            is_found = matches != NO_MATCH
            positions[rows[is_found]] = n_found + np.arange(is_found.sum())
            n_found += int(is_found.sum())
            found.append(table.select(self.wanted).take(pa.array(matches[is_found])))
            kept = table.take(pa.array(newest))
        return pa.concat_tables(found), positions

    def _match(
        self, table: pa.Table, labels: pd.DataFrame, times: pd.Series[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        of_view = f"of the feature view {self.view.name}"
        source_keys = pd.DataFrame(
            {label: _key(table[key]) for label, key in self.keys.items()}, index=range(len(table))
        )
        source_times = utc_times(table[self.time].to_pandas(), f"timestamp column {self.time} {of_view}")
        created = self.created and utc_times(
            table[self.created].to_pandas(), f"created column {self.created} {of_view}"
        )
        for label in self.keys:
            check_key(labels[label], source_keys[label], self.view.name)
        life = self.view.ttl or None
        return find_matches(labels[list(self.keys)], times, source_keys, source_times, created=created, lifetime=life)

    @property
    def _columns(self) -> list[str]:
        created = [] if self.created is None else [self.created]
        return list(dict.fromkeys([*self.keys.values(), self.time, *created, *self.wanted]))

    def _open(self) -> Any:
        try:
            dataset = open_dataset(self.path)
        except FileNotFoundError as error:
            raise FeatureStoreError(f"view {self.view.name}: {self.path}: no such file") from error
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0][:200]
            message = f"view {self.view.name}: {self.path} cannot be read as Parquet: {reason}"
            raise FeatureStoreError(message) from error
        names = dataset.schema.names
        missing = sorted({*self._columns} - set(names))
        if missing:
            reason = "; ".join(f"no column {name} ({nearest(name, names)})" for name in missing)
            message = f"view {self.view.name}: {self.path} has changed since it was applied: {reason}"
            raise FeatureStoreError(message)
        return dataset


def _ends_of_slices(dataset: Any, time: str) -> list[pa.Scalar]:
    """Give the times that cut a large file into slices of about as many rows; none for one that is not large."""
    n_rows = dataset.count_rows()
    if n_rows < 2 * ROWS_AT_ONCE or not pa.types.is_timestamp(dataset.schema.field(time).type):
        return []
    sample = [batch.column(0)[::SAMPLED] for batch in dataset.to_batches(columns=[time])]
    times = pa.chunked_array(sample).drop_null().combine_chunks()
    numbers = times.cast(pa.int64()).to_numpy()
    is_sorted = bool((np.diff(numbers) >= 0).all())
    n_slices = n_rows // (ROWS_AT_ONCE if is_sorted else SCANNED * ROWS_AT_ONCE)
    order = np.argsort(numbers)
    ends = [int(order[len(order) * number // n_slices]) for number in range(1, n_slices)] if len(order) else []
    return list(dict.fromkeys(times[end] for end in ends))


def _between(time: str, ends: Sequence[pa.Scalar], place: int) -> Any:
    """Give the filter of one slice: later than the end before it, up to its own."""
    column = ds.field(time)
    later = column > ends[place - 1] if place else None
    up_to = column <= ends[place] if place < len(ends) else None
    if later is None or up_to is None:
        return up_to if later is None else later
    return later & up_to


def _key(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Give a key column as pandas has it; texts stay as they are in Arrow."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        return column.to_pandas()
    return column.cast(pa.large_string()).to_pandas(types_mapper=pd.ArrowDtype)


def _get_historical_features(store: Any, view: Any, features: Sequence[Feature], rows: pd.DataFrame) -> pa.Table:
    projection = view.projection
    if projection.join_key_map or projection.name_alias:
        raise FeatureStoreError(
            f"view {projection.name_to_use()}: a feature service that renames a view or its keys "
            "can be joined only where the view's source is a Parquet file"
        )
    references = [f"{view.name}:{feature.name}" for feature in features]
    try:
        with quiet_feast():
            return store.get_historical_features(rows, references, full_feature_names=True).to_arrow()
    except Exception as error:
        reason = describe_feast_error(error)
        raise FeatureStoreError(f"view {view.name}: Feast cannot retrieve it: {reason}") from error
