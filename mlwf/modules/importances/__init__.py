"""Which raw columns matter to a model, for all rows and for one."""

from __future__ import annotations

from mlwf.modules.importances.column_groups import ColumnGroup, group_columns
from mlwf.modules.importances.partial_dependence import compute_partial_dependence, first_columns, shown_classes
from mlwf.modules.importances.permutation import (
    MOST_ROWS,
    SECONDS,
    HeldOutRows,
    Predict,
    as_predict,
    measure_importances,
)
from mlwf.modules.importances.shapley import explain_row

__all__ = [
    "MOST_ROWS",
    "SECONDS",
    "ColumnGroup",
    "HeldOutRows",
    "Predict",
    "as_predict",
    "compute_partial_dependence",
    "explain_row",
    "first_columns",
    "group_columns",
    "measure_importances",
    "shown_classes",
]
