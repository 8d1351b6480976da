"""Whether new rows are distributed as those of the training, from the counts that a run keeps of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from mlwf.modules.data.profile import bins_of, numbers_of_bins
from mlwf.results import ColumnDrift

FEWEST_EXPECTED = 5.0
"""Rows that a cell of the chi-squared test expects at least; cells of fewer are counted together."""
PREDICTION_BINS = 10
PREDICTIONS = "(predictions)"
"""What the predictions are called among the columns."""


def compare_columns(
    profile: Mapping[str, Any], X: pd.DataFrame, *, importances: Mapping[str, float], unseen: Mapping[str, int]
) -> list[ColumnDrift]:
    """Compare each column with what the training had, by the counts of `profile_columns`; what matters most first.

    Parameters
    ----------
    importances
        How much each column matters, where that is known.
    unseen
        Rows with a category that the training never saw, by column.
    """
    found = []
    for column in profile["columns"]:
        name = column["name"]
        if name not in X:
            continue
        trained = np.array([*np.sum(column["counts"], axis=0), column["missing"]], dtype=np.float64)
        values = X[name]
        new = np.array([*_count(values.dropna(), column, len(trained) - 1), values.isna().sum()], dtype=np.float64)
        drift = _compare(name, trained, new)
        found.append(
            replace(
                drift,
                importance=importances.get(name),
                missing=float(values.isna().mean()),
                missing_in_training=column["missing"] / max(1, trained.sum()),
                unseen=unseen.get(name, 0) / max(1, len(values)),
            )
        )
    return sorted(found, key=lambda each: (-(each.importance or 0.0), -each.distance))


def with_new_rows(profile: Mapping[str, Any], X: pd.DataFrame) -> dict[str, Any]:
    """Give a profile with the counts of new rows where it had those of a test set."""
    columns = []
    for column in profile["columns"]:
        if column["name"] not in X:
            continue
        values, by_class = X[column["name"]], [list(counts) for counts in column["counts"]]
        n_bins = len(by_class[0]) if by_class else 0
        counts = _count(values.dropna(), column, n_bins).tolist()
        padded = [[*each, *[0] * (len(counts) - n_bins)] for each in by_class]
        new = {"counts": padded, "test_counts": counts, "test_missing": int(values.isna().sum())}
        if "values" in column:
            new |= {"has_others": column["has_others"] or len(counts) > n_bins, "unseen_in_test": None}
        columns.append({**column, **new})
    return {**profile, "is_evaluation": True, "test_rows": len(X), "columns": columns}


def compare_predictions(
    trained: NDArray[np.float64], new: NDArray[np.float64], n_bins: int = PREDICTION_BINS
) -> ColumnDrift:
    """Compare what a model predicts for new rows with what it predicted for rows that it did not learn from.

    Parameters
    ----------
    trained, new : arrays of shape (n_rows,)
        Probabilities of one class, or the positions of the predicted classes.
    """
    is_class = trained.dtype.kind in "iu"
    edges = np.arange(max(trained.max(), new.max()) + 2) - 0.5 if is_class else np.linspace(0, 1, n_bins + 1)
    counts = [np.histogram(each, edges)[0].astype(np.float64) for each in (trained, new)]
    return _compare(PREDICTIONS, *counts)


def correct_for_many(drifts: Sequence[ColumnDrift], *, level: float, least: float) -> list[ColumnDrift]:
    """Correct the p-values for their number (Holm 1979), and mark what has drifted.

    That is what is less likely than `level` by chance, and at a distance of `least` or more: of many rows any
    difference is beyond chance.
    """
    order = sorted(range(len(drifts)), key=lambda at: drifts[at].p_value)
    adjusted, largest = [0.0] * len(drifts), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, drifts[at].p_value * (len(drifts) - rank)))
        adjusted[at] = largest
    return [
        replace(drift, p_adjusted=p, has_drifted=p < level and drift.distance >= least)
        for drift, p in zip(drifts, adjusted, strict=True)
    ]


def _count(present: pd.Series[Any], column: Mapping[str, Any], n_bins: int) -> NDArray[np.intp]:
    """Count the values in the bins of a profile."""
    if column.get("of_lengths"):
        present = present.astype(str).str.len()
    if "edges" in column:
        edges = column["edges"]
        if edges and isinstance(edges[0], str):
            edges = np.array(edges, dtype="datetime64[s]").astype(np.float64)
        codes = bins_of(numbers_of_bins(present), np.asarray(edges, dtype=np.float64))
    else:
        # Of whole numbers some tables make floats.
        kind: Any = float if present.dtype.kind in "iuf" and column["kind"] == "numbers" else str
        place = {kind(value): at for at, value in enumerate(column["values"])}
        # A value that is not listed is one of the others; where the training had none, it has a bin of its own.
        codes = present.astype(kind).map(place).fillna(n_bins).to_numpy(dtype=np.intp)
        codes = np.minimum(codes, n_bins - 1) if column["has_others"] else codes
    counts: NDArray[np.intp] = np.bincount(codes, minlength=n_bins)
    return counts


def _compare(name: str, trained: NDArray[np.float64], new: NDArray[np.float64]) -> ColumnDrift:
    # A bin that the training does not have stands before the missing values, which are the last.
    while len(trained) < len(new):
        trained = np.insert(trained, len(trained) - 1, 0.0)
    return ColumnDrift(name, distance=_distance(trained, new), p_value=_p_value(trained, new))


def _distance(trained: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Give the Jensen-Shannon distance to base 2, less what chance alone gives: of few rows that is much.

    It is 0 for equal shares, and 1 where nothing is shared.
    """
    n_trained, n_new = trained.sum(), new.sum()
    if not n_trained or not n_new:
        return 0.0
    p, q = trained / n_trained, new / n_new
    middle = (p + q) / 2
    parts = [np.sum(each[each > 0] * np.log2(each[each > 0] / middle[each > 0])) for each in (p, q)]
    by_chance = ((middle > 0).sum() - 1) * (1 / n_trained + 1 / n_new) / (8 * np.log(2))
    return float(np.sqrt(max(0.0, sum(parts) / 2 - by_chance)))


def _p_value(trained: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Test by chi-squared whether both are drawn of the same; cells that expect few rows are counted together."""
    n_trained, n_new = trained.sum(), new.sum()
    if not n_trained or not n_new:
        return 1.0
    expected = (trained + new) * min(n_trained, n_new) / (n_trained + n_new)
    is_rare = expected < FEWEST_EXPECTED
    table = np.array([[*each[~is_rare], each[is_rare].sum()] for each in (trained, new)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(chi2.sf(((table - expected) ** 2 / expected).sum(), table.shape[1] - 1))
