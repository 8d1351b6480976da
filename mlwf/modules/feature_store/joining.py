"""Join the features of a repo to label rows, point in time, so that no row is lost, doubled or moved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from mlwf.errors import ConfigError, DataError, FeatureStoreError, Problem, nearest
from mlwf.modules.feature_store.matching import utc_times
from mlwf.modules.feature_store.online import retrieve_online
from mlwf.modules.feature_store.pull import Joined, Part, read_pull
from mlwf.modules.feature_store.repo import describe_feast_error, opened, prepare_repo, quiet_feast
from mlwf.modules.feature_store.retrieval import retrieve, take_rows
from mlwf.modules.feature_store.selection import Selection, holds_at_any_time, keys_of, select, split_on_demand
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec, ServingSpec, parse_time

logger = logging.getLogger(__name__)

Labels: TypeAlias = "pd.DataFrame | Callable[[], pd.DataFrame]"


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
    """Open a feature repo, after creating it with `initialize` or `force_recreate`.

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


def join_features(
    spec: FeatureStoreSpec, rows: pd.DataFrame, *, time: str | None, sample: bool = True, part: Part | None = None
) -> Joined:
    """Join the features to the label rows, as they were known at each row's time; with a ServingSpec, as they are now.

    Parameters
    ----------
    rows
        Label rows with the key columns of every view that is joined.
    time
        Column with the event time of each row, taken as UTC when it has no zone; None when `spec.timestamp` holds for
        all rows. A row whose time is null gets `spec.timestamp`, else nulls, and so does a row with a null key.
    sample
        Whether `spec.sample_indices` applies; not to the rows of a final test.
    part
        Which rows of an experiment these are, where `spec.pull` applies: then its pull is read, and no store.

    Raises
    ------
    ConfigError
        When a view, feature, service or position is not there.
    DataError
        When the label rows lack a key column, have a column of a feature's name, or keys of another type.
    FeatureStoreError
        When the repo or a source cannot be read.
    """
    if sample and spec.sample_indices is not None:
        rows = rows.iloc[_checked_positions(spec.sample_indices, len(rows))]
    if part is not None and spec.pull is not None:
        return read_pull(spec, rows, part)
    with opened(spec.repo_path) as store:
        selection = select(store, spec)
        stored, on_demand = split_on_demand(store, selection)
        keys = _checked_columns(rows, selection, stored)
        is_online = isinstance(spec, ServingSpec)
        times = None if is_online else _event_times(spec, rows, time, needed=stored.needs_time())
        any_time = pd.Series(pd.Timestamp.now("UTC"), index=rows.index, dtype="datetime64[us, UTC]")
        parts, unmatched = [], {}
        for name, view in stored.views.items():
            features = stored.features_of(name)
            if is_online:
                found = retrieve_online(store, view, features, rows)
            else:
                moments = any_time if holds_at_any_time(view) else times
                found = retrieve(store, view, features, rows, moments)
            parts.append(found.columns)
            unmatched[name] = found.unmatched
    # Not by pandas.concat, which copies all columns.
    joined = pd.DataFrame({name: part[name] for part in (rows, *parts) for name in part}, index=rows.index, copy=False)
    if on_demand.views:
        joined = compute_on_demand(joined, stored, on_demand)
    columns = tuple(feature.column for feature in selection.features)
    if [*joined.columns] != [*rows.columns, *columns]:
        joined = joined[[*rows.columns, *columns]]
    if not joined.index.equals(rows.index):
        raise AssertionError("the join changed the label rows")
    _log(len(rows), columns, unmatched)
    if is_online:
        for name in (name for name, missing in unmatched.items() if missing == len(rows) > 0):
            hint = "`mlwf materialize RUN` fills it"
            logger.warning("the online store has nothing from the view %s for any of these rows; %s", name, hint)
    return Joined(joined, columns, keys, unmatched, time)


def compute_on_demand(rows: pd.DataFrame, stored: Selection, on_demand: Selection) -> pd.DataFrame:
    """Add the features that are computed from columns of `rows`.

    Raises
    ------
    DataError
        When a column that the transformation needs is not among the label columns.
    FeatureStoreError
        When the transformation fails, or does not return a row for each row.
    """
    full_names = {feature.column: f"{feature.view}__{feature.name}" for feature in stored.features}
    added = [rows]
    for name, view in on_demand.views.items():
        missing = [column for column in view.get_request_data_schema() if column not in rows.columns]
        if missing:
            message = f"no such column in the label rows; the on-demand view {name} computes from it"
            raise DataError([Problem("", column, message) for column in missing])
        table = pa.Table.from_pandas(rows.rename(columns=full_names), preserve_index=False)
        try:
            with quiet_feast():
                result = view.transform_arrow(table, False)
        except Exception as error:
            reason = describe_feast_error(error)
            raise FeatureStoreError(f"on-demand view {name}: its transformation fails: {reason}") from error
        if len(result) != len(rows):
            message = f"its transformation returns {len(result)} rows for {len(rows)}"
            raise FeatureStoreError(f"on-demand view {name}: {message}")
        everything = pd.RangeIndex(len(rows)).to_numpy()
        columns = {
            feature.column: take_rows(result[feature.name], everything, rows.index)
            for feature in on_demand.features_of(name)
        }
        added.append(pd.DataFrame(columns, index=rows.index))
    return pd.concat(added, axis=1)


def _checked_positions(positions: list[int], n_rows: int) -> list[int]:
    outside = [position for position in positions if position >= n_rows]
    if outside:
        message = f"{outside[0]} is outside of the {n_rows} label rows"
        raise ConfigError(Problem("", "feature_store.sample_indices", message, f"accepted: 0 to {n_rows - 1}"))
    return positions


def _checked_columns(rows: pd.DataFrame, selection: Selection, stored: Selection) -> tuple[str, ...]:
    """Return the key columns, when all of them are there and no label column has the name of a feature."""
    keys: dict[str, str] = {}
    for name, view in stored.views.items():
        for key in keys_of(view):
            keys.setdefault(key, name)
    problems = [
        Problem("", key, f"no such column in the label rows; it is the key of the feature view {view}",
                nearest(key, map(str, rows.columns)))
        for key, view in keys.items()
        if key not in rows.columns
    ]  # fmt: skip
    problems += [
        Problem("", feature.column, f"is a column of the label rows and a feature of the view {feature.view}",
                "drop or rename the column, or name in feature_store.features only those you want")
        for feature in selection.features
        if feature.column in rows.columns
    ]  # fmt: skip
    if problems:
        raise DataError(problems)
    return tuple(keys)


def _event_times(spec: FeatureStoreSpec, rows: pd.DataFrame, time: str | None, *, needed: bool) -> Any:
    if time is not None and time not in rows.columns:
        hint = nearest(time, map(str, rows.columns))
        raise DataError(Problem("", time, "no such column in the label rows; data.time names it", hint))
    if time is None and spec.timestamp is None and needed:
        message = "the features hold from a time on, and the label rows have none"
        hint = "name the column with their event time in data.time, or one time for all in feature_store.timestamp"
        raise ConfigError(Problem("", "data.time", message, hint))
    moment: Any = pd.Timestamp(parse_time(spec.timestamp)) if spec.timestamp else pd.NaT
    if time is None:
        return pd.Series(moment, index=rows.index, dtype="datetime64[us, UTC]")
    return utc_times(rows[time], time).fillna(moment)


def _log(n_rows: int, columns: tuple[str, ...], unmatched: dict[str, int]) -> None:
    logger.info("Joined %d features from %d views to %d label rows", len(columns), len(unmatched), n_rows)
    for view, missing in unmatched.items():
        if missing:
            logger.info("%d of %d label rows got nothing from the view %s", missing, n_rows, view)
