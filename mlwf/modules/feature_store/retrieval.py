"""The features of one view for label rows, as known at their times: from its Parquet file, or by Feast's retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlwf.errors import DataError, FeatureStoreError, Problem, nearest
from mlwf.modules.feature_store.declared import read_schema, read_table
from mlwf.modules.feature_store.repo import describe_feast_error, quiet_feast
from mlwf.modules.feature_store.selection import Feature, keys_of

NO_MATCH = -1

_LARGEST_EXACT_FLOAT = 2**53

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


def find_matches(
    label_keys: pd.DataFrame,
    label_times: pd.Series[Any],
    source_keys: pd.DataFrame,
    source_times: pd.Series[Any],
    *,
    created: pd.Series[Any] | None = None,
    lifetime: timedelta | None = None,
) -> Any:
    """Find for each label row the feature row that held at its time.

    A feature row holds from its own time on, that moment included, until the next row of its key or, with `lifetime`,
    until its age exceeds it. Of rows with one key and one time the one created last holds, else the last in the file.

    Returns
    -------
    array of int64, (n_labels,)
        Position of the feature row, or `NO_MATCH`; rows with a null key or a null time match nothing.
    """
    label_codes, source_codes = _shared_codes(label_keys, source_keys)
    label_times, source_times = _same_unit(label_times, source_times)
    labels = pd.DataFrame({"key": label_codes, "time": label_times.array, "label": np.arange(len(label_codes))})
    source = pd.DataFrame({"key": source_codes, "time": source_times.array, "match": np.arange(len(source_codes))})
    order = ["time"]
    if created is not None:
        source["created"] = created.array
        order.append("created")
    labels = labels[(labels["key"] >= 0) & labels["time"].notna()].sort_values("time", kind="stable")
    source = source[(source["key"] >= 0) & source["time"].notna()].sort_values(
        order, kind="stable", na_position="first", ignore_index=True
    )
    found = pd.merge_asof(labels, source, on="time", by="key", tolerance=_tolerance(lifetime))
    matches = np.full(len(label_codes), NO_MATCH, dtype="int64")
    matches[found["label"].to_numpy()] = found["match"].fillna(NO_MATCH).to_numpy(dtype="int64")
    return matches


def take_rows(column: Any, matches: Any, index: pd.Index[Any]) -> pd.Series[Any]:
    """Take one value per label row from an Arrow column, null where nothing matched.

    Types are those of `pandas.read_parquet`, but integers stay exact: with nulls they become float64 only when that
    holds all their values, else Int64 or UInt64.
    """
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


def utc_times(values: pd.Series[Any], where: str) -> pd.Series[Any]:
    """Read times as UTC: those without a zone are taken as UTC, text is read as ISO 8601.

    Raises
    ------
    DataError
        When the column holds numbers, or text that is no time; `where` names the column.
    """
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "empty":
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if kind not in ("datetime64", "datetime", "date", "string"):
        raise DataError(
            Problem("", where, f"holds {_kind_name(kind)}, no times", "accepted: timestamps, dates, ISO 8601 text")
        )
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601" if kind == "string" else None)
    except ValueError as error:
        parsed = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
        wrong = values[values.notna() & parsed.isna()]
        example = repr(wrong.iloc[0]) if len(wrong) else str(error)
        raise DataError(
            Problem("", where, f"{example} is no time", "accepted: ISO 8601, such as 2013-06-01T12:00:00Z")
        ) from error


def check_key(label_key: pd.Series[Any], source_key: pd.Series[Any], view: str) -> None:
    """Refuse to compare keys of two kinds, which would match nothing.

    Raises
    ------
    DataError
        When one side holds text and the other numbers, say.
    """
    label_kind, source_kind = _kind(label_key), _kind(source_key)
    if "nothing" not in (label_kind, source_kind) and label_kind != source_kind:
        message = f"key holds {label_kind} in the label rows, {source_kind} in the feature view {view}"
        raise DataError(Problem("", str(label_key.name), message, "save both as the same type"))


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
    keys = {label: column_of.get(key, key) for label, key in keys_of(view).items()}
    time = column_of.get(source.timestamp_field, source.timestamp_field)
    created = source.created_timestamp_column and column_of.get(
        source.created_timestamp_column, source.created_timestamp_column
    )
    wanted = {feature.column: column_of.get(feature.name, feature.name) for feature in features}
    table = _read(view, path, {*keys.values(), time, *([created] if created else ()), *wanted.values()})
    source_keys = pd.DataFrame({label: table[key].to_pandas() for label, key in keys.items()}, index=range(len(table)))
    for label in keys:
        check_key(labels[label], source_keys[label], view.name)
    of_view = f"of the feature view {view.name}"
    matches = find_matches(
        labels[list(keys)],
        times,
        source_keys,
        utc_times(table[time].to_pandas(), f"timestamp column {time} {of_view}"),
        created=utc_times(table[created].to_pandas(), f"created column {created} {of_view}") if created else None,
        lifetime=view.ttl or None,
    )
    columns = {column: take_rows(table[name], matches, labels.index) for column, name in wanted.items()}
    return Retrieved(pd.DataFrame(columns, index=labels.index), int((matches == NO_MATCH).sum()))


def _read(view: Any, path: str, columns: set[str]) -> pa.Table:
    try:
        names = read_schema(path).names
        missing = sorted(columns - set(names))
        if not missing:
            return read_table(path, [name for name in names if name in columns])
    except FileNotFoundError as error:
        raise FeatureStoreError(f"view {view.name}: {path}: no such file") from error
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0][:200]
        raise FeatureStoreError(f"view {view.name}: {path} cannot be read as Parquet: {reason}") from error
    reason = "; ".join(f"no column {name} ({nearest(name, names)})" for name in missing)
    raise FeatureStoreError(f"view {view.name}: {path} has changed since it was applied: {reason}")


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


def _shared_codes(labels: pd.DataFrame, source: pd.DataFrame) -> tuple[Any, Any]:
    """Give both sides' keys the same numbers; a key with a null is -1, and without key columns all rows are 0."""
    if not len(labels.columns):
        return np.zeros(len(labels), dtype="int64"), np.zeros(len(source), dtype="int64")
    both = pd.concat([_comparable(labels), _comparable(source)], ignore_index=True)
    codes = both.groupby(list(both.columns), sort=False, dropna=True).ngroup()
    numbers: Any = codes.where(both.notna().all(axis=1), -1).to_numpy(dtype="int64")
    return numbers[: len(labels)], numbers[len(labels) :]


def _comparable(keys: pd.DataFrame) -> pd.DataFrame:
    """Bring keys to one type a kind: a nullable integer key read from CSV is float64, and still means integers."""
    return pd.DataFrame({position: _comparable_key(keys.iloc[:, position]) for position in range(len(keys.columns))})


def _comparable_key(key: Any) -> Any:
    if isinstance(key.dtype, pd.CategoricalDtype):
        key = key.astype(key.cat.categories.dtype)
    if _kind(key) == "numbers":
        try:
            return key.astype("Int64")
        except (TypeError, ValueError, OverflowError):
            return pd.to_numeric(key)
    if _kind(key) == "times":
        return utc_times(key, str(key.name)).dt.as_unit("us")
    return key.astype(object)


def _kind(key: pd.Series[Any]) -> str:
    if isinstance(key.dtype, pd.CategoricalDtype):
        key = key.astype(key.cat.categories.dtype)
    return _kind_name(pd.api.types.infer_dtype(key, skipna=True))


def _kind_name(kind: str) -> str:
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "integer-na"):
        return "numbers"
    if kind in ("datetime64", "datetime", "date"):
        return "times"
    return {"string": "text", "boolean": "booleans", "empty": "nothing"}.get(kind, f"{kind} values")


def _same_unit(one: pd.Series[Any], other: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Bring both to the finer unit, so that no time is rounded to before another."""
    unit = "ns" if "ns" in (one.dt.unit, other.dt.unit) else "us"
    try:
        return one.dt.as_unit(unit), other.dt.as_unit(unit)
    except ValueError as error:
        message = "times outside the years 1678 to 2261 cannot be compared with times in nanoseconds"
        raise DataError(Problem("", str(one.name or other.name), message, "save all times in microseconds")) from error


def _tolerance(lifetime: timedelta | None) -> pd.Timedelta | None:
    # Nanoseconds end after 292 years; a longer life is as good as endless.
    return None if lifetime is None or lifetime > timedelta(days=100_000) else pd.Timedelta(lifetime)
