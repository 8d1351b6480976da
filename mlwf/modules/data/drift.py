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


class ColumnCounts:
    """How many values of new rows are in each bin that `profile_columns` has of a column, some rows after others."""

    def __init__(self, profile: Mapping[str, Any]) -> None:
        self.n_rows = 0
        self._columns = {column["name"]: column for column in profile.get("columns", ())}
        self._bins: dict[str, NDArray[np.intp]] = {}
        self._missing: dict[str, int] = {}

    def add(self, X: pd.DataFrame) -> ColumnCounts:
        """Count more rows."""
        self.n_rows += len(X)
        for name in X.columns:
            column = self._columns.get(name)
            if column is None:
                continue
            present = X[name].dropna()
            counts = _count(present, column, len(column["counts"][0]) if column["counts"] else 0)
            known = self._bins.get(name, counts[:0])
            longer, shorter = sorted([counts, known], key=len, reverse=True)
            longer[: len(shorter)] += shorter
            self._bins[name] = longer
            self._missing[name] = self.missing(name) + len(X) - len(present)
        return self

    def __contains__(self, name: str) -> bool:
        return name in self._bins

    def bins(self, name: str) -> NDArray[np.intp]:
        """Give the rows in each bin of a column; one more than the training has is of values that it never saw."""
        return self._bins[name]

    def missing(self, name: str) -> int:
        """Give the rows whose value is missing."""
        return self._missing.get(name, 0)


def compare_columns(
    profile: Mapping[str, Any], new: ColumnCounts, *, importances: Mapping[str, float], unseen: Mapping[str, int]
) -> list[ColumnDrift]:
    """Compare each column with what the training had, by the counts of `profile_columns`; what matters most first.

    Parameters
    ----------
    new
        The counts of the new rows, in the bins of this profile.
    importances
        How much each column matters, where that is known.
    unseen
        Rows with a category that the training never saw, by column.
    """
    found = []
    for column in profile["columns"]:
        name = column["name"]
        if name not in new:
            continue
        trained = np.array([*np.sum(column["counts"], axis=0), column["missing"]], dtype=np.float64)
        n_rows, missing = max(1, new.n_rows), new.missing(name)
        drift = _compare(name, trained, np.array([*new.bins(name), missing], dtype=np.float64))
        found.append(
            replace(
                drift,
                importance=importances.get(name),
                missing=missing / n_rows,
                missing_in_training=column["missing"] / max(1, trained.sum()),
                unseen=unseen.get(name, 0) / n_rows,
            )
        )
    return sorted(found, key=lambda each: (-(each.importance or 0.0), -each.distance))


def with_new_rows(profile: Mapping[str, Any], new: ColumnCounts) -> dict[str, Any]:
    """Give a profile with the counts of new rows where it had those of a test set."""
    columns = []
    for column in profile["columns"]:
        if column["name"] not in new:
            continue
        counts, by_class = new.bins(column["name"]).tolist(), [list(counts) for counts in column["counts"]]
        n_bins = len(by_class[0]) if by_class else 0
        padded = [[*each, *[0] * (len(counts) - n_bins)] for each in by_class]
        added = {"counts": padded, "test_counts": counts, "test_missing": new.missing(column["name"])}
        if "values" in column:
            added |= {"has_others": column["has_others"] or len(counts) > n_bins, "unseen_in_test": None}
        columns.append({**column, **added})
    return {**profile, "is_evaluation": True, "test_rows": new.n_rows, "columns": columns}


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
    elif present.dtype.kind == "M":
        # By the moment: whether times are written as days depends on the other values.
        moments = np.array([str(value).removesuffix("+00:00") for value in column["values"]], dtype="datetime64[us]")
        place = {int(moment): at for at, moment in enumerate(moments.astype(np.int64))}
        times = present.dt.tz_convert(None) if present.dt.tz else present
        found = pd.Series(times.to_numpy().astype("datetime64[us]").astype(np.int64)).map(place)
        codes = _with_others(found, column, n_bins)
    else:
        # Of whole numbers some tables make floats.
        kind: Any = float if present.dtype.kind in "iuf" and column["kind"] == "numbers" else str
        place = {kind(value): at for at, value in enumerate(column["values"])}
        codes = _with_others(present.astype(kind).map(place), column, n_bins)
    counts: NDArray[np.intp] = np.bincount(codes, minlength=n_bins)
    return counts


def _with_others(codes: pd.Series[Any], column: Mapping[str, Any], n_bins: int) -> NDArray[np.intp]:
    """Count a value that is not listed as one of the others; where the training had none, it has a bin of its own."""
    listed: NDArray[np.intp] = codes.fillna(n_bins).to_numpy(dtype=np.intp)
    return np.minimum(listed, n_bins - 1) if column["has_others"] else listed


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
