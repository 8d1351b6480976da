"""Features for label rows: a view's from its Parquet file or by Feast's retrieval, and the manager over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from mlwf.errors import ConfigError, DataError, FeatureStoreError, Problem, nearest
from mlwf.modules.feature_store.declared import read_schema, read_table
from mlwf.modules.feature_store.joining import (
    NO_MATCH,
    Joined,
    check_key,
    find_matches,
    join_features,
    take_rows,
    utc_times,
)
from mlwf.modules.feature_store.repo import prepare_repo, quiet_feast
from mlwf.modules.feature_store.selection import Feature, keys_of
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec
from mlwf.text import redact

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


Labels: TypeAlias = "pd.DataFrame | Callable[[], pd.DataFrame]"


class FeastTrainingData:
    """The label rows of a feature repo, ready to be joined with its features."""

    def __init__(
        self,
        spec: FeatureStoreSpec,
        labels: Labels | None = None,
        *,
        target: str | None = None,
        time: str | None = None,
    ) -> None:
        self.spec = spec
        self.labels = labels
        self.target = target
        self.time = time
        self.joined: Joined | None = None
        """The last join: feature names, key columns, and how many rows each view had nothing for."""

    def get_training_data(
        self, sample_indices: Sequence[int] | None = None, timestamp: str | datetime | None = None
    ) -> tuple[pd.DataFrame, Any]:
        """Join the features to the label rows.

        Parameters
        ----------
        sample_indices
            Keep only these label rows, by position from 0.
        timestamp
            Time as of which features are joined, for label rows that carry none.

        Returns
        -------
        X : DataFrame, (n_samples, n_columns)
            The label rows' columns but target and time, then the features. Keys are among them, so that a feature
            spec can name one; `joined.keys` says which they are.
        y : array, (n_samples,)
            The target.
        """
        spec = self._with_arguments(sample_indices, timestamp)
        rows = self._label_rows()
        if self.target is None:
            raise ConfigError(Problem("", "feature_store.labels.target", "the column to predict is not named"))
        if self.target not in rows.columns:
            hint = nearest(self.target, map(str, rows.columns))
            raise DataError(Problem("", self.target, "no such column in the label rows", hint))
        self.joined = join_features(spec, rows, time=self.time)
        X = self.joined.rows.drop(columns=[self.target, *([self.time] if self.time else [])])
        return X, self.joined.rows[self.target].to_numpy()

    def _with_arguments(
        self, sample_indices: Sequence[int] | None, timestamp: str | datetime | None
    ) -> FeatureStoreSpec:
        given: dict[str, Any] = {}
        if sample_indices is not None:
            given["sample_indices"] = [int(position) for position in sample_indices]
        if timestamp is not None:
            given["timestamp"] = timestamp.isoformat() if isinstance(timestamp, datetime) else timestamp
        # Built anew and not copied, so that the arguments are checked like the fields.
        return FeatureStoreSpec(**{**dict(self.spec), **given}) if given else self.spec

    def _label_rows(self) -> pd.DataFrame:
        if self.labels is None:
            message = "a feature repo holds features, not what is predicted: label rows are needed"
            hint = "give labels a table with keys, event time and target"
            raise ConfigError(Problem("", "feature_store.labels", message, hint))
        return self.labels() if callable(self.labels) else self.labels


def create_feast_manager(
    repo_path: str | Path,
    n_features: int | None = None,
    initialize: bool = False,
    force_recreate: bool = False,
    *,
    features: Sequence[str] | None = None,
    feature_service: str | None = None,
    views: Sequence[FeatureViewSpec] = (),
    labels: Labels | None = None,
    target: str | None = None,
    time: str | None = None,
) -> FeastTrainingData:
    """Open a feature repo, after creating it when asked to.

    Parameters
    ----------
    repo_path
        Folder of the Feast repo.
    n_features
        Keep only the first so many features.
    initialize
        Create the repo and apply `views`; what exists already is kept.
    force_recreate
        Delete what mlwf created there, and initialize anew.
    features, feature_service
        `view:feature` or `view` references, or the name of a service; the default is every view.
    views
        Views to declare when the repo is created.
    labels
        Label rows, or a function that loads them.
    target, time
        Columns of the label rows: what is predicted, and the event time.
    """
    spec = FeatureStoreSpec(
        repo_path=str(repo_path),
        features=None if features is None else list(features),
        feature_service=feature_service,
        views=list(views),
        initialize=initialize,
        force_recreate=force_recreate,
        n_features=n_features,
    )
    prepare_repo(spec)
    return FeastTrainingData(spec, labels, target=target, time=time)
