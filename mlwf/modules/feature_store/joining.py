"""Joining a repo's features to label rows, point in time, so that no row is lost, doubled or moved."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlwf.errors import ConfigError, DataError, Problem, nearest
from mlwf.modules.feature_store.repo import opened
from mlwf.modules.feature_store.retrieval import retrieve
from mlwf.modules.feature_store.selection import (
    Selection,
    compute_on_demand,
    holds_at_any_time,
    keys_of,
    select,
    split_on_demand,
)
from mlwf.specs.feature_store import FeatureStoreSpec, parse_time

NO_MATCH = -1

_LARGEST_EXACT_FLOAT = 2**53


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
            Problem("", where, f"holds {_said(kind)}, no times", "accepted: timestamps, dates, ISO 8601 text")
        )
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601" if kind == "string" else None)
    except ValueError as error:
        parsed = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
        wrong = values[values.notna() & parsed.isna()]
        said = repr(wrong.iloc[0]) if len(wrong) else str(error)
        raise DataError(
            Problem("", where, f"{said} is no time", "accepted: ISO 8601, such as 2013-06-01T12:00:00Z")
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
    return pd.DataFrame({position: _plain(keys.iloc[:, position]) for position in range(len(keys.columns))})


def _plain(key: Any) -> Any:
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
    return _said(pd.api.types.infer_dtype(key, skipna=True))


def _said(kind: str) -> str:
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
