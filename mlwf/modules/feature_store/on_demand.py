"""On-demand views: features that Feast computes from other views' features and from the label row itself."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from mlwf.addresses import redact
from mlwf.errors import DataError, FeatureStoreError, Problem
from mlwf.modules.feature_store.point_in_time import take_rows
from mlwf.modules.feature_store.repo import quiet_feast
from mlwf.modules.feature_store.selection import Feature, Selection, is_on_demand


def split_on_demand(store: Any, selection: Selection) -> tuple[Selection, Selection]:
    """Split a selection into what is stored, with all that on-demand views need, and what is computed from it."""
    computed = {name: view for name, view in selection.views.items() if is_on_demand(view)}
    stored = {name: view for name, view in selection.views.items() if name not in computed}
    features = [feature for feature in selection.features if feature.view in stored]
    for view in computed.values():
        for projection in view.source_feature_view_projections.values():
            with quiet_feast():
                source = store.registry.get_any_feature_view(projection.name, store.project)
            stored.setdefault(projection.name_to_use(), source.with_projection(projection))
            asked = {(feature.view, feature.name) for feature in features}
            features += [
                # Under its full name: the caller leaves out again what was not asked for.
                Feature(projection.name_to_use(), one.name, f"{projection.name_to_use()}__{one.name}")
                for one in projection.features
                if (projection.name_to_use(), one.name) not in asked
            ]
    rest = tuple(feature for feature in selection.features if feature.view in computed)
    return Selection(tuple(features), stored), Selection(rest, computed)


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
                answer = view.transform_arrow(table, False)
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(redact(str(error)).split())[:300]}"
            raise FeatureStoreError(f"on-demand view {name}: its transformation fails: {said}") from error
        if len(answer) != len(rows):
            message = f"its transformation returns {len(answer)} rows for {len(rows)}"
            raise FeatureStoreError(f"on-demand view {name}: {message}")
        everything = pd.RangeIndex(len(rows)).to_numpy()
        columns = {
            feature.column: take_rows(answer[feature.name], everything, rows.index)
            for feature in on_demand.features_of(name)
        }
        added.append(pd.DataFrame(columns, index=rows.index))
    return pd.concat(added, axis=1)
