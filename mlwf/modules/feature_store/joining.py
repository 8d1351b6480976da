"""Joining a repo's features to label rows, so that no row is lost, doubled or moved."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlwf.errors import ConfigError, DataError, Problem, nearest
from mlwf.modules.feature_store.on_demand import compute_on_demand, split_on_demand
from mlwf.modules.feature_store.point_in_time import utc_times
from mlwf.modules.feature_store.repo import opened
from mlwf.modules.feature_store.retrieval import retrieve
from mlwf.modules.feature_store.selection import Selection, holds_at_any_time, keys_of, select
from mlwf.specs.feature_store import FeatureStoreSpec, parse_time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Joined:
    """Label rows with their features."""

    rows: pd.DataFrame
    """The label rows, in their order and with their index and columns, and the feature columns after those."""
    features: tuple[str, ...]
    """Names of the feature columns that were joined."""
    keys: tuple[str, ...]
    """Label columns that are keys of the views; they say which row it is, and are features only if asked for."""
    unmatched: dict[str, int]
    """For each view, how many label rows got nothing from it: unknown key, no row yet, or an expired one."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)


def join_features(spec: FeatureStoreSpec, rows: pd.DataFrame, *, time: str | None, sample: bool = True) -> Joined:
    """Join the features to the label rows, as they were known at each row's time.

    Parameters
    ----------
    rows
        Label rows with the key columns of every view that is joined.
    time
        Column with the event time of each row, taken as UTC when it has no zone; None when `spec.timestamp` holds for
        all rows. A row whose time is null gets `spec.timestamp`, else nulls, and so does a row with a null key.
    sample
        Whether `spec.sample_indices` applies; not to the rows of a final test.

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
    with opened(spec.repo_path) as store:
        selection = select(store, spec)
        stored, on_demand = split_on_demand(store, selection)
        keys = _checked_columns(rows, selection, stored)
        times = _event_times(spec, rows, time, needed=stored.needs_time())
        any_time = pd.Series(pd.Timestamp.now("UTC"), index=rows.index, dtype="datetime64[us, UTC]")
        parts, unmatched = [], {}
        for name, view in stored.views.items():
            moments = any_time if holds_at_any_time(view) else times
            found = retrieve(store, view, stored.features_of(name), rows, moments)
            parts.append(found.columns)
            unmatched[name] = found.unmatched
    joined = pd.concat([rows, *parts], axis=1)
    if on_demand.views:
        joined = compute_on_demand(joined, stored, on_demand)
    columns = tuple(feature.column for feature in selection.features)
    joined = joined[[*rows.columns, *columns]]
    if not joined.index.equals(rows.index):
        raise AssertionError("the join changed the label rows")
    _log(len(rows), columns, unmatched)
    return Joined(joined, columns, keys, unmatched)


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
