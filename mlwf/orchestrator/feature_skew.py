"""Training-serving skew: the features that are served, beside those that a training would join."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlwf.errors import DataError, Problem, UsageError
from mlwf.modules.runs import CONFIG, SUMMARY, find_run
from mlwf.modules.table_files import read_raw
from mlwf.orchestrator.prediction import served_online
from mlwf.specs.data import SCHEMA_FILE
from mlwf.specs.loading import load_resolved
from mlwf.table_schema import load_schema, raw_of_frame, read_rows
from mlwf.text import pluralize

TOLERANCE = 1e-6
"""How far apart numbers may be, relative to the greater one, that count as the same: online stores may round."""


def measure_skew(run: str, data: str, *, runs_dir: Path, read: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Compare the features that are served for the rows of a table with those of the offline store.

    A table that has columns of the features is a log of what was served: it is compared with the offline features of
    each row's time. For a table of keys the online store is asked, and compared with the offline features of now.

    Returns
    -------
    dict
        In plain values: `run_id`, `rows`, what was `served`, `as_of` (None where each row has its time), and for each
        of the `features` how many rows differ (`differ`), their `share`, in how many of them only one side has no
        value (`only_served_missing`, `only_offline_missing`), and by how much numbers differ at most (`largest`).

    Raises
    ------
    UsageError
        The run takes no features from a feature store.
    DataError
        The table lacks a key, or a log the time of its rows.
    FeatureStoreError
        A store cannot be read.
    """
    from mlwf.modules.feature_store import join_features

    folder = find_run(runs_dir, run)
    spec, schema = load_resolved(folder.file(CONFIG)), load_schema(folder.file(SCHEMA_FILE))
    store, known = spec.feature_store, folder.read_json(SUMMARY).get("feature_store") or {}
    if store is None or schema is None or not known:
        raise UsageError(f"{run}: takes no features from a feature store, so there is no skew to measure")
    schema = schema.model_copy(update={"read": schema.read.model_copy(update=dict(read or {}))})
    rows = read_rows(read_raw(data, schema.read), schema, where=data).rows
    features = [str(name) for name in known["features"]]
    logged = [name for name in features if name in rows.columns]
    keys = rows.drop(columns=logged)
    time, as_of = spec.data.time, None
    if logged:
        if time is not None and time not in keys.columns:
            message = "no such column, and a log of what was served needs the time of each row"
            raise DataError(Problem(data, time, message))
        offline = join_features(store, keys, time=time, sample=False).rows
        served = rows
    else:
        online = served_online(spec, run).feature_store
        assert online is not None
        moment = datetime.now(UTC)
        as_of = moment.isoformat(timespec="seconds")
        now = {"timestamp": moment.isoformat()}
        offline = join_features(store.model_copy(update=now), keys, time=None, sample=False).rows
        served = join_features(online, keys, time=None, sample=False).rows
    compared = logged or features
    sides = [
        read_rows(raw_of_frame(side[compared]), schema, where="the feature store").rows for side in (served, offline)
    ]
    return {
        "run_id": folder.run_id,
        "source": data,
        "rows": len(rows),
        "served": f"{pluralize(len(logged), 'column')} of the table" if logged else "the online store",
        "as_of": as_of,
        "features": [_difference(name, sides[0][name], sides[1][name]) for name in compared],
    }


def _difference(name: str, served: pd.Series[Any], offline: pd.Series[Any]) -> dict[str, Any]:
    missing = served.isna().to_numpy(), offline.isna().to_numpy()
    both = ~missing[0] & ~missing[1]
    differ, largest = missing[0] != missing[1], None
    if pd.api.types.is_numeric_dtype(served) and pd.api.types.is_numeric_dtype(offline):
        one, other = (side.to_numpy("float64", na_value=np.nan) for side in (served, offline))
        gap = np.abs(one - other)
        differ |= both & (gap > TOLERANCE * np.maximum(np.abs(one), np.abs(other)))
        largest = float(gap[both].max()) if both.any() else None
    else:
        differ |= both & (served.astype(object).to_numpy() != offline.astype(object).to_numpy())
    return {
        "feature": name,
        "differ": int(differ.sum()),
        "share": float(differ.mean()) if len(differ) else 0.0,
        "only_served_missing": int((missing[0] & ~missing[1]).sum()),
        "only_offline_missing": int((missing[1] & ~missing[0]).sum()),
        "largest": largest,
    }
