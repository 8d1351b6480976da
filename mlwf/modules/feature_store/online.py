"""The online store: filled from the offline sources of a run's views, and read as they are at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlwf.errors import ConfigError, DataError, FeatureStoreError, Problem
from mlwf.modules.feature_store.matching import NO_MATCH
from mlwf.modules.feature_store.repo import describe_feast_error, opened, quiet_feast
from mlwf.modules.feature_store.retrieval import Retrieved, take_rows
from mlwf.modules.feature_store.selection import Feature, keys_of, select, split_on_demand
from mlwf.specs.feature_store import FeatureStoreSpec

KEYS_AT_ONCE = 10_000

_BEGINNING = datetime(1700, 1, 1, tzinfo=UTC)
"""Before every time that pandas has in nanoseconds."""


@dataclass(frozen=True)
class Materialized:
    """What went into the online store."""

    views: tuple[str, ...]
    until: datetime


def materialize(spec: FeatureStoreSpec, until: datetime | None = None) -> Materialized:
    """Bring the newest values of the features of a run into the online store, by Feast's own materialization.

    Parameters
    ----------
    until
        As of when; the default is now.

    Raises
    ------
    ConfigError
        When a view, a feature or a service is not there, or a view is not for the online store.
    FeatureStoreError
        When the repo cannot be read, or Feast refuses.
    """
    until = until or datetime.now(UTC)
    with opened(spec.repo_path, changing=True) as store:
        stored, _ = split_on_demand(store, select(store, spec))
        views = {view.name: view for view in stored.views.values()}
        if offline := [name for name, view in views.items() if not view.online]:
            message = f"not for the online store: {', '.join(offline)}"
            raise ConfigError(Problem("", "feature_store.features", message, "declare them with online=True"))
        for name, view in views.items():
            # An older row than that would be expired.
            start = until - view.ttl if view.ttl else _BEGINNING
            try:
                with quiet_feast():
                    store.materialize(start, until, [name])
            except Exception as error:
                reason = describe_feast_error(error)
                raise FeatureStoreError(f"view {name}: Feast cannot materialize it: {reason}") from error
    return Materialized(tuple(views), until)


def retrieve_online(store: Any, view: Any, features: Sequence[Feature], rows: pd.DataFrame) -> Retrieved:
    """Read one view's features from the online store, for the keys of each row; what has expired by now is null.

    Raises
    ------
    DataError
        When a key is not of the type that it has in the view.
    FeatureStoreError
        When the online store cannot be read.
    """
    keys = keys_of(view)
    wanted = pd.DataFrame({key: _typed(rows[label], key, view) for label, key in keys.items()}, index=rows.index)
    codes = wanted.groupby([*keys.values()], sort=False, dropna=True).ngroup() if keys else np.zeros(len(rows), "int64")
    places = pd.Series(codes, index=rows.index).fillna(NO_MATCH).to_numpy(dtype="int64")
    # In the order of their numbers; rows with a null key, which have none, are not asked for.
    distinct = wanted.iloc[np.unique(places, return_index=True)[1]]
    distinct = distinct.dropna() if keys else distinct
    expired = pd.Timestamp.now("UTC") - view.ttl if view.ttl else None
    answers: dict[str, list[Any]] = {feature.name: [] for feature in features}
    for start in range(0, len(distinct), KEYS_AT_ONCE):
        asked = distinct.iloc[start : start + KEYS_AT_ONCE].astype(object).to_dict("records")
        for name, values in _read(store, view, features, asked, expired).items():
            answers[name] += values
    columns = {feature.column: take_rows(_column(answers[feature.name]), places, rows.index) for feature in features}
    frame = pd.DataFrame(columns, index=rows.index)
    return Retrieved(frame, int(frame.isna().all(axis=1).sum()))


def _read(
    store: Any, view: Any, features: Sequence[Feature], asked: list[dict[str, Any]], expired: Any
) -> dict[str, list[Any]]:
    try:
        with quiet_feast():
            response = store.get_online_features([f"{view.name}:{feature.name}" for feature in features], asked)
            values = response.to_dict(include_event_timestamps=True)
    except Exception as error:
        reason = describe_feast_error(error)
        hint = "`mlwf materialize RUN` fills the online store"
        raise FeatureStoreError(f"view {view.name}: its online features cannot be read: {reason}; {hint}") from error
    found = {}
    for feature in features:
        times = values[f"{feature.name}__ts"]
        is_held = [expired is None or pd.Timestamp(time, unit="s", tz="UTC") >= expired for time in times]
        found[feature.name] = [
            value if held else None for value, held in zip(values[feature.name], is_held, strict=True)
        ]
    return found


def _column(values: list[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def _typed(key: pd.Series[Any], name: str, view: Any) -> pd.Series[Any]:
    """Bring a key to the type that the view has it in: whole numbers are floats where some are missing."""
    kind = next(column.dtype for column in view.entity_columns if column.name == name).to_value_type().name
    if kind not in ("INT32", "INT64", "STRING"):
        return key.astype(object).where(key.notna(), None)
    numbers = key.dtype.kind in "iuf"
    if numbers == (kind == "STRING") and key.notna().any():
        got, expected = ("numbers", "text") if numbers else ("text", "numbers")
        message = f"key holds {got} in the label rows, {expected} in the feature view {view.name}"
        raise DataError(Problem("", str(key.name), message, "save both as the same type"))
    if kind == "STRING":
        return key.astype(object).where(key.notna(), None)
    whole = key.where(key.notna() & (key == key.round()))
    return whole.astype("Int64")
