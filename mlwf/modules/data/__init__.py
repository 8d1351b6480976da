"""The rows to train on: checked, and split into features, target and what else each row carries."""

from __future__ import annotations

from mlwf.modules.data.arrays import dataset_from_arrays
from mlwf.modules.data.columns import absent
from mlwf.modules.data.dataset import Dataset, row_digests
from mlwf.modules.data.drift import (
    ColumnCounts,
    compare_columns,
    compare_predictions,
    correct_for_many,
    with_new_rows,
)
from mlwf.modules.data.prepare import prepare, select_features
from mlwf.modules.data.profile import profile_columns
from mlwf.modules.data.slice_masks import list_slices, slice_masks
from mlwf.modules.data.target import check_class_counts

__all__ = [
    "ColumnCounts",
    "Dataset",
    "absent",
    "check_class_counts",
    "compare_columns",
    "compare_predictions",
    "correct_for_many",
    "dataset_from_arrays",
    "list_slices",
    "prepare",
    "profile_columns",
    "row_digests",
    "select_features",
    "slice_masks",
    "with_new_rows",
]
