"""Find columns that predict the target almost alone, as only few can that are known before the target is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlwf.engine.requests import FitRequest, FitResult, Fitter
from mlwf.errors import SplitError
from mlwf.modules.findings.screening import FEWEST_OF_CLASS, MOSTLY_KNOWN, Column, OnColumns, screen_columns
from mlwf.results import Leak, LeakSearch
from mlwf.specs.catalogue import Severity, default_splitter
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import Rows, Split, Table, distinct_rows
from mlwf.splitting.splitters import fold_splitter

ALMOST_ALONE = 0.97
"""ROC AUC of one column from which it is suspect: the best honest columns of breast cancer reach 0.96, a copy of the
target with 2 % of the rows changed has 0.98."""
WORTH_A_PROBE = 0.85
"""ROC AUC of the screen below which a column is not probed. The screen knows no more than 128 bins of a column, and
half of the labels that a target encoder sees: what a probe scores 0.97 it scores 0.93 or more."""
MOST_PROBED = 30
"""Columns that are probed, the most suspicious first. The others are reported by their screen."""
ENOUGH_TEST_ROWS = 1_000
"""Test rows that a probe is scored on, where there are as many: on a hundred, chance moves 0.95 to 0.99."""
MOST_SPLITS = 10
"""Splits that a probe is scored on; where a split has one or two test rows, other folds take their place."""
MOST_ROWS = 20_000
"""Training or test rows of a probe in one split; more would not change the finding."""
NAMED = 3
"""Columns that are named of those that were not probed."""

BuildProbe = Callable[[str | int, FeatureSpec], Pipeline]
Messages = Iterator[tuple[Severity, str]]


def search_leaks(
    table: Table,
    rows: Rows,
    splits: Sequence[Split],
    features: Sequence[FeatureSpec],
    fitter: Fitter,
    *,
    build_probe: BuildProbe,
    on_columns: OnColumns = lambda done, planned: None,
) -> LeakSearch:
    """Search for columns that predict the target almost alone.

    All columns are screened in one pass. Those that may be leaks are probed: a small tree that knows only this column
    is fitted, and scored by its ROC AUC (macro one-vs-rest with more than two classes) on rows that it did not see,
    and on those of them that have a value.

    Parameters
    ----------
    table, rows
        The data, and the rows that are trained on.
    splits
        By which the scores of the validation were made; none without one.
    features
        What is searched.
    fitter
        Fits on `table`.
    build_probe
        Builds the unfitted pipeline of one column alone from its name (its position, when X is an array) and its
        spec. It finds most when it keeps missing values missing.
    on_columns
        Called as columns are screened.
    """
    columns = list_columns(table, features)
    splits = _splits(table, rows, splits)
    labels = np.searchsorted(table.classes, table.y)
    if not splits or not _can_score(labels, splits, len(table.classes)):
        return LeakSearch(columns=len(columns), screened=0, suspects=0, probed=0, rows=len(rows))
    strengths = screen_columns(columns, table, labels, splits, on_columns)
    suspects = _suspects(columns, strengths)
    probed, others = suspects[:MOST_PROBED], suspects[MOST_PROBED:]
    # The labels' codes, since texts are sorted anew in every fit.
    coded = replace(table, y=labels, class_weight=None)
    found = [_probe(columns[place], coded, splits, fitter, build_probe) for place in probed]
    screened = [Leak(columns[k].name, float(strengths[k]), None, is_probed=False) for k in others]
    leaks = [leak for leak in (*found, *screened) if leak.roc_auc >= ALMOST_ALONE]
    return LeakSearch(
        columns=len(columns),
        screened=len(columns),
        suspects=len(suspects),
        probed=len(probed),
        rows=len(rows),
        rows_learnt_from=max(len(split.train) for split in splits),
        rows_judged=len(distinct_rows(np.concatenate([split.test.index for split in splits]))),
        leaks=tuple(sorted(leaks, key=lambda leak: (not leak.is_probed, -leak.roc_auc))),
    )


def describe_leaks(search: LeakSearch) -> Messages:
    """Name the columns that predict the target almost alone, the most suspect first."""
    for leak in search.leaks:
        if leak.is_probed:
            yield "error", _sentence(leak)
    others = [leak for leak in search.leaks if not leak.is_probed]
    if others:
        named = ", ".join(leak.column for leak in others[:NAMED])
        more = f" and {len(others) - NAMED:,} more" if len(others) > NAMED else ""
        seem = f"{'seems' if len(others) == 1 else 'seem'} to predict the target almost alone too"
        quick = f"ROC AUC {min(leak.roc_auc for leak in others):.2f} or more by a quick look at each"
        yield "error", f"{named}{more} {seem} ({quick})"


def list_columns(table: Table, features: Sequence[FeatureSpec]) -> list[Column]:
    """List the columns of all features."""
    columns = []
    for position, (column, spec) in enumerate((name, each) for each in features for name in each.columns):
        is_position = isinstance(column, int)
        by_name = hasattr(table.X, "columns") or is_position
        name = f"column {column}" if is_position else str(column)
        columns.append(Column(name, column if by_name else position, spec))
    return columns


def _sentence(leak: Leak) -> str:
    where = "" if leak.share is None else f", in the {100 * leak.share:.0f} % of rows that have it"
    alone = f"{leak.column} predicts the target almost alone (ROC AUC {leak.roc_auc:.3f} by itself{where})"
    return f"{alone}: is it known when the prediction is made?"


def _suspects(columns: Sequence[Column], strengths: NDArray[np.float64]) -> list[int]:
    """Give the places of columns that may be leaks, the most suspicious first."""
    # A tree may combine the parts of a date, and the screen knows each alone. NaN: the screen could not read it.
    may_be = [
        place
        for place, column in enumerate(columns)
        if column.spec.type == "date" or not strengths[place] < WORTH_A_PROBE
    ]
    return sorted(may_be, key=lambda place: -np.nan_to_num(strengths[place]))


def _splits(table: Table, rows: Rows, splits: Sequence[Split]) -> list[Split]:
    """Take splits until there are enough test rows: the validation's own, unless it has one small hold-out or none."""
    if len(splits) < 2 and sum(len(split.test) for split in splits) < ENOUGH_TEST_ROWS:
        splits = _folds(table, rows) or splits
    taken = _until_enough(splits)
    if len(taken) > MOST_SPLITS:
        taken = _until_enough(_folds(table, rows) or splits)[:MOST_SPLITS]
    return [Split(_sample(split.train), _sample(split.test)) for split in taken]


def _until_enough(splits: Sequence[Split]) -> list[Split]:
    before = np.cumsum([0, *(len(split.test) for split in splits)])
    return [split for split, n_before in zip(splits, before, strict=False) if n_before < ENOUGH_TEST_ROWS]


def _folds(table: Table, rows: Rows) -> Sequence[Split]:
    try:
        return fold_splitter(default_splitter(table))(table, rows)
    except SplitError:  # too few rows, groups or times
        return ()


def _sample(rows: Rows) -> Rows:
    if len(rows) <= MOST_ROWS:
        return rows
    return rows.take(np.sort(np.random.default_rng(0).choice(len(rows), MOST_ROWS, replace=False)))


def _can_score(labels: NDArray[np.intp], splits: Sequence[Split], n_classes: int) -> bool:
    """Whether there are enough rows of any class, and of the others."""
    counts = np.bincount(labels[np.concatenate([split.test.index for split in splits])], minlength=n_classes)
    return bool(np.any((counts >= FEWEST_OF_CLASS) & (counts.sum() - counts >= FEWEST_OF_CLASS)))


def _probe(column: Column, table: Table, splits: Sequence[Split], fitter: Fitter, build_probe: BuildProbe) -> Leak:
    """Score a column by a tree that knows only it."""
    alone, address = _table_of(column, table)
    probe = build_probe(address, column.spec)
    fit_results = fitter(
        [FitRequest(probe, {}, split.train, (split.test,), class_weighted=False, table=alone) for split in splits]
    )
    pairs = zip(splits, fit_results, strict=True)
    parts = [_scored(column, table, split, result) for split, result in pairs if not result.error]
    everywhere = _roc_auc(parts, len(table.classes))
    share = float(np.mean(np.concatenate([part.has_value for part in parts]))) if parts else 0.0
    if everywhere < ALMOST_ALONE and MOSTLY_KNOWN <= share < 1:
        known = _roc_auc([part.known() for part in parts], len(table.classes))
        if known > everywhere:
            return Leak(column.name, known, share)
    return Leak(column.name, everywhere, None)


def _table_of(column: Column, table: Table) -> tuple[Table, str | int]:
    """Make a table of one column, and give its address there: a fit gets all columns of its table."""
    digest = table.digest and f"{table.digest}, the labels' codes and of the features {column.address!r}"
    if hasattr(table.X, "columns"):
        return replace(table, X=table.X[[column.address]], digest=digest), column.address
    return replace(table, X=table.X[:, [column.address]], digest=digest), 0


@dataclass(frozen=True, eq=False)
class _Scored:
    y: NDArray[np.intp]
    proba: NDArray[np.float64]
    """By the classes of the table, of shape (n_rows, n_classes)."""
    has_value: NDArray[np.bool_]

    def known(self) -> _Scored:
        """Give the rows that have a value."""
        return _Scored(self.y[self.has_value], self.proba[self.has_value], self.has_value[self.has_value])


def _scored(column: Column, table: Table, split: Split, result: FitResult) -> _Scored:
    (predictions,) = result.predictions
    # A fold may lack a rare class, which its probe then does not know.
    proba = np.zeros((len(split.test), len(table.classes)))
    proba[:, predictions.classes] = predictions.proba
    values: Any = column.values_of(table.X).iloc[split.test.index]
    return _Scored(table.y_of(split.test), proba, ~np.asarray(pd.isna(values)))


def _roc_auc(parts: Sequence[_Scored], n_classes: int) -> float:
    """Average over the classes of which there are rows enough; NaN where there are none."""
    if not parts:
        return np.nan
    counts = np.bincount(np.concatenate([part.y for part in parts]), minlength=n_classes)
    columns = [1] if n_classes == 2 else range(n_classes)
    enough = [k for k in columns if FEWEST_OF_CLASS <= counts[k] <= counts.sum() - FEWEST_OF_CLASS]
    return float(np.mean([_one_vs_rest(parts, k) for k in enough])) if enough else np.nan


def _one_vs_rest(parts: Sequence[_Scored], label: int) -> float:
    """Average over the splits: probabilities of different probes are not quite comparable."""
    pairs = [(part.y == label, part.proba[:, label]) for part in parts]
    # Where each group is of one class, no split has both.
    both = [(y, proba) for y, proba in pairs if 0 < y.sum() < len(y)] or [
        (np.concatenate([y for y, _ in pairs]), np.concatenate([proba for _, proba in pairs]))
    ]
    return float(np.average([_auc(y, proba) for y, proba in both], weights=[len(y) for y, _ in both]))


def _auc(y: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Compute a ROC AUC from the few distinct scores of a probe: scikit-learn's checks take longer than the fit."""
    distinct, place = np.unique(scores, return_inverse=True)
    positive, negative = (np.bincount(place[each], minlength=len(distinct)) for each in (y, ~y))
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))
