"""Reading one view's features for label rows: from its Parquet file, or else through Feast's offline store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlwf.addresses import redact
from mlwf.errors import FeatureStoreError, nearest
from mlwf.modules.feature_store.declared import read_schema, read_table
from mlwf.modules.feature_store.point_in_time import NO_MATCH, check_key, find_matches, take_rows, utc_times
from mlwf.modules.feature_store.repo import quiet_feast
from mlwf.modules.feature_store.selection import Feature, keys_of

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
    asked = labels[list(keys)].assign(event_timestamp=times.array)
    numbers = asked.groupby([*keys, "event_timestamp"], sort=False, dropna=True).ngroup()
    asked["__mlwf_row"] = numbers.fillna(-1).astype("int64")
    distinct = asked[asked["__mlwf_row"] >= 0].drop_duplicates("__mlwf_row").reset_index(drop=True)
    names = [f"{view.projection.name_to_use()}__{feature.name}" for feature in features]
    if distinct.empty:
        nothing = pd.DataFrame({feature.column: None for feature in features}, index=labels.index, dtype=object)
        return Retrieved(nothing, len(labels))
    answer = _ask_feast(store, view, features, distinct)
    found = answer["__mlwf_row"].to_numpy().astype("int64")
    if len(np.unique(found)) != len(found):
        raise FeatureStoreError(f"view {view.name}: the offline store returned rows twice")
    # One more place than there are rows, so that a row without key or time (-1) finds no match either.
    place = np.full(len(distinct) + 1, NO_MATCH, dtype="int64")
    place[found] = np.arange(len(found))
    matches = place[asked["__mlwf_row"].to_numpy()]
    columns = {
        feature.column: take_rows(answer[name], matches, labels.index)
        for feature, name in zip(features, names, strict=True)
    }
    frame = pd.DataFrame(columns, index=labels.index)
    return Retrieved(frame, int(frame.isna().all(axis=1).sum()))


def _ask_feast(store: Any, view: Any, features: Sequence[Feature], rows: pd.DataFrame) -> pa.Table:
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
        said = " ".join(redact(str(error)).split())[:300]
        raise FeatureStoreError(
            f"view {view.name}: Feast cannot retrieve it: {type(error).__name__}: {said}"
        ) from error


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
    said = f"of the feature view {view.name}"
    matches = find_matches(
        labels[list(keys)],
        times,
        source_keys,
        utc_times(table[time].to_pandas(), f"timestamp column {time} {said}"),
        created=utc_times(table[created].to_pandas(), f"created column {created} {said}") if created else None,
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
        said = str(error).splitlines()[0][:200]
        raise FeatureStoreError(f"view {view.name}: {path} cannot be read as Parquet: {said}") from error
    said = "; ".join(f"no column {name} ({nearest(name, names)})" for name in missing)
    raise FeatureStoreError(f"view {view.name}: {path} has changed since it was applied: {said}")


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
