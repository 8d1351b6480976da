"""Which columns may leak the target: each one's binned ROC AUC, so that few need a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.specs.features import DateFeatureSpec, FeatureSpec
from mlwf.splitting.rows import Rows, Split, Table, distinct_rows

FEWEST_OF_CLASS = 10
"""Test rows of a class, and of the others, below which it is not scored."""
MOSTLY_KNOWN = 0.5
"""Share of rows that must have a value, for a column to be scored on those rows alone."""

MOST_NUMBERS = 5_000
"""Rows that a column of numbers is scored on, on each side of a split; those of rare classes come first."""
BINS = 128
"""Of numbers, frequent values aside, which have bins of their own. A tree of 8 leaves has 7 thresholds, and a bin that
one of them cuts holds 2 % of the rows at most."""
FEWEST_BINS = 8
ROWS_OF_A_BIN = 5
"""As few rows as a leaf of a probe has."""
COARSER = (1, 4, 16)
"""So many bins are also taken together: wide ones see a weak trend, narrow ones a value."""
BLOCK = 2**21
"""Numbers that are held at once, about."""
Floats = NDArray[np.float64]
Counts = Floats
"""Rows of each class in each bin, of shape (n_columns, n_bins, n_classes); the last bin is of missing values."""
OnColumns = Callable[[int, int], None]
"""Called with how many columns are screened, and how many there are."""


@dataclass(frozen=True)
class Column:
    """One feature column."""

    name: str
    """Its name in messages."""
    address: str | int
    """Where it stands in X."""
    spec: FeatureSpec

    def values_of(self, X: Any) -> pd.Series[Any]:
        """Give its values, of shape (n_samples,)."""
        return X[self.address] if hasattr(X, "columns") else pd.Series(X[:, self.address])


def screen_columns(
    columns: Sequence[Column], table: Table, codes: NDArray[np.intp], splits: Sequence[Split], on_columns: OnColumns
) -> Floats:
    """Estimate for each column the ROC AUC that it reaches by itself on rows it did not learn from.

    Parameters
    ----------
    columns
        What to score.
    table, codes
        The rows, and the position of each row's label among the classes.
    splits
        Training and test rows; the estimates of all splits are averaged.
    on_columns
        Called with how many columns are done, and how many there are.

    Returns
    -------
    array of shape (n_columns,)
        Macro one-vs-rest with more than two classes, on all rows or on those that have a value, whichever is higher;
        NaN for a column that cannot be read, and where there are too few rows.
    """
    n_classes = len(table.classes)
    strengths = np.full(len(columns), np.nan)
    few = _Sample.of(table, codes, [Split(*(_fewer(rows, codes) for rows in (s.train, s.test))) for s in splits])
    all_rows = _Sample.of(table, codes, splits)
    done = 0
    for places in _blocks(columns, few.n_rows + BINS * n_classes * len(splits)):
        if columns[places[0]].spec.type == "numeric":
            numbers = np.stack([_numbers(columns[place], table, few.index) for place in places])
            strengths[places] = _strengths_of_numbers(numbers, few, n_classes)
        else:
            strengths[places] = [_strength_of_one(columns[place], table, few, all_rows, n_classes) for place in places]
        done += len(places)
        on_columns(done, len(columns))
    return strengths


def roc_aucs(parts: Sequence[tuple[Floats, Counts]]) -> Floats:
    """Score columns by the scores of their bins and the test rows in them, on all rows or those with a value."""
    n_rows = sum(test.sum(axis=(1, 2)) for _, test in parts)
    known = sum(test[:, :-1].sum(axis=(1, 2)) for _, test in parts)
    share = known / np.maximum(n_rows, 1)
    everywhere = _macro(parts)
    of_known = _macro([(scores[:, :-1], test[:, :-1]) for scores, test in parts])
    return np.where((share >= MOSTLY_KNOWN) & (share < 1), np.fmax(everywhere, of_known), everywhere)


def _blocks(columns: Sequence[Column], width: int) -> Iterator[list[int]]:
    """Take as many columns of numbers together as there is room for, and every other column alone."""
    numeric = [place for place, column in enumerate(columns) if column.spec.type == "numeric"]
    size = max(1, BLOCK // width)
    yield from (numeric[start : start + size] for start in range(0, len(numeric), size))
    yield from ([place] for place, column in enumerate(columns) if column.spec.type != "numeric")


def _fewer(rows: Rows, codes: NDArray[np.intp]) -> Rows:
    """Draw a sample of many rows that keeps the rows of rare classes, by which a ROC AUC is least sure."""
    if len(rows) <= MOST_NUMBERS:
        return rows
    order = np.random.default_rng(0).permutation(len(rows))
    by_class = order[np.argsort(codes[rows.index][order], kind="stable")]
    counts = np.bincount(codes[rows.index])
    counts = counts[counts > 0]
    least = np.minimum(counts, MOST_NUMBERS // (2 * len(counts)))
    taken = np.maximum(least, counts * MOST_NUMBERS // len(rows))
    starts = np.cumsum(counts) - counts
    kept = np.concatenate([by_class[start : start + n] for start, n in zip(starts, taken, strict=True)])
    return rows.take(np.sort(kept))


@dataclass(frozen=True, eq=False)
class _Sample:
    """Some rows of a table, and how they are split."""

    index: NDArray[np.intp]
    """Positions in the table, ascending."""
    codes: NDArray[np.intp]
    weight: Floats | None
    parts: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
    """Training and test rows, by their position among these."""

    @classmethod
    def of(cls, table: Table, codes: NDArray[np.intp], splits: Sequence[Split]) -> _Sample:
        index = distinct_rows(np.concatenate([rows.index for split in splits for rows in (split.train, split.test)]))
        # One row's worth each, on average: bins are smoothed by one row.
        weight = None if table.weight is None else table.weight[index] / max(table.weight[index].mean(), 1e-300)
        parts = [
            (np.searchsorted(index, split.train.index), np.searchsorted(index, split.test.index)) for split in splits
        ]
        return cls(index, codes[index], weight, parts)

    @property
    def n_rows(self) -> int:
        return len(self.index)

    @property
    def fewest_learnt_from(self) -> int:
        return min(len(train) for train, _ in self.parts)


def _numbers(column: Column, table: Table, index: NDArray[np.intp]) -> Floats:
    values = column.values_of(table.X)
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf":
        return np.asarray(values.to_numpy()[index], dtype=np.float64)
    try:
        numbers: Floats = pd.to_numeric(values.iloc[index], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):  # a probe cannot read it either
        numbers = np.full(len(index), np.nan)
    return numbers


def _strengths_of_numbers(numbers: Floats, sample: _Sample, n_classes: int) -> Floats:
    """Score columns of numbers, of shape (n_columns, n_rows)."""
    n_bins = BINS
    while n_bins > FEWEST_BINS and n_bins * ROWS_OF_A_BIN > sample.fewest_learnt_from:
        n_bins //= 2
    bins = _bins(numbers, n_bins)
    # As many as can be taken together, and the last for missing ones.
    n_bins = max(COARSER) * (1 + int(bins.max()) // max(COARSER))
    counts = _counts(np.where(bins < 0, n_bins, bins), sample, n_bins + 1, n_classes)
    variants = []
    for together in COARSER:
        parts = [(_together(train, together), _together(test, together)) for train, test in counts]
        variants.append(roc_aucs([(_shares(train), test) for train, test in parts]))
    return _highest(variants)


def _bins(numbers: Floats, n_bins: int) -> NDArray[np.intp]:
    """Cut each row of numbers into bins, -1 for missing ones: no value that is as frequent as a bin shares its own.

    Other bins hold as many values each, and equal ones are together: at most twice as many as `n_bins` come of it, and
    one more for each frequent value.
    """
    order = np.argsort(numbers, axis=1)
    ordered = np.take_along_axis(numbers, order, axis=1)
    places = np.arange(numbers.shape[1])
    edge = np.ones_like(ordered[:, :1], dtype=bool)
    differs = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(np.concatenate([edge, differs], axis=1), places, 0), axis=1)
    ends = np.where(np.concatenate([differs, edge], axis=1), places, places[-1])
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    n_known = np.maximum(np.count_nonzero(~np.isnan(numbers), axis=1)[:, None], 1)
    quantile, is_frequent = first * n_bins // n_known, (last - first + 1) * n_bins >= n_known
    begins = (quantile[:, 1:] != quantile[:, :-1]) | ((is_frequent[:, 1:] | is_frequent[:, :-1]) & differs)
    of_ordered = np.concatenate([np.zeros_like(first[:, :1]), np.cumsum(begins, axis=1)], axis=1)
    bins: NDArray[np.intp] = np.empty(numbers.shape, dtype=np.intp)
    np.put_along_axis(bins, order, np.where(np.isnan(ordered), -1, of_ordered), axis=1)
    return bins


def _together(counts: Floats, together: int) -> Floats:
    """Add up so many bins each, but that of missing values."""
    n_columns, n_bins, n_classes = counts.shape
    known = counts[:, :-1].reshape(n_columns, (n_bins - 1) // together, together, n_classes).sum(axis=2)
    return np.concatenate([known, counts[:, -1:]], axis=1)


def _strength_of_one(column: Column, table: Table, few: _Sample, all_rows: _Sample, n_classes: int) -> float:
    """Score a column that is no number."""
    try:
        if isinstance(column.spec, DateFeatureSpec):
            numbers = _of_dates(column.values_of(table.X).iloc[few.index], column.spec)
            return float(_highest(list(_strengths_of_numbers(numbers, few, n_classes)[:, None]))[0])
        categories, distinct = pd.factorize(column.values_of(table.X).iloc[all_rows.index])
    except (TypeError, ValueError, OverflowError):
        return np.nan
    # The code of a missing value is -1: the last.
    bins = np.where(categories < 0, len(distinct), categories)[None]
    counts = _counts(bins, all_rows, len(distinct) + 1, n_classes)
    # A category that is not in the training rows may be like those that were seen once.
    variants = [
        [(_shares(train), test) for train, test in counts],
        [(_shares_of_rare(train, _is_rare(train)), test) for train, test in counts],
        [(_shares_of_rare(train, train.sum(axis=2, keepdims=True) == 0), test) for train, test in counts],
    ]
    return float(_highest([roc_aucs(each) for each in variants])[0])


def _of_dates(values: pd.Series[Any], spec: DateFeatureSpec) -> Floats:
    """Give the time as a number, and each of its parts, of shape (1 + n_parts, n_rows)."""
    times = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    since = (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return np.stack(
        [np.asarray(part, dtype=np.float64) for part in (since, *(getattr(times.dt, p) for p in spec.parts))]
    )


def _counts(bins: NDArray[np.intp], sample: _Sample, n_bins: int, n_classes: int) -> list[tuple[Counts, Counts]]:
    """Count the training rows, by their weight, and the test rows, for each split."""
    cells = (np.arange(len(bins))[:, None] * n_bins + bins) * n_classes + sample.codes
    shape = (len(bins), n_bins, n_classes)

    def count(rows: NDArray[np.intp], weight: Floats | None) -> Counts:
        weights = None if weight is None else np.tile(weight[rows], len(bins))
        counted = np.bincount(cells[:, rows].ravel(), weights, minlength=int(np.prod(shape)))
        return counted.astype(np.float64).reshape(shape)

    return [(count(train, sample.weight), count(test, None)) for train, test in sample.parts]


def _shares(counts: Counts, of: Counts | None = None) -> Floats:
    """Estimate the share of each class in each bin, as if one more row had been seen there with the shares of all.

    `of` are other bins of the same rows.
    """
    everything = counts.sum(axis=1, keepdims=True)
    prior = everything / np.maximum(everything.sum(axis=2, keepdims=True), np.finfo(float).tiny)
    counts = counts if of is None else of
    shares: Floats = (counts + prior) / (counts.sum(axis=2, keepdims=True) + 1)
    return shares


def _is_rare(counts: Counts) -> NDArray[np.bool_]:
    rare: NDArray[np.bool_] = counts.sum(axis=2, keepdims=True) <= 1
    return rare


def _shares_of_rare(counts: Counts, is_like_rare: NDArray[np.bool_]) -> Floats:
    """Estimate the shares, and give some bins those of all rows whose category was seen once."""
    rare = (counts * _is_rare(counts)).sum(axis=1, keepdims=True)
    shares: Floats = np.where(is_like_rare, _shares(counts, of=rare), _shares(counts))
    return shares


def _highest(variants: Sequence[Floats]) -> Floats:
    highest = variants[0]
    for each in variants[1:]:
        highest = np.fmax(highest, each)
    return highest


def _macro(parts: Sequence[tuple[Floats, Counts]]) -> Floats:
    """Average over the splits, then over the classes of which there are rows enough."""
    if parts[0][1].shape[2] == 2:
        # Of two classes one is enough, whose AUC is the other's too.
        parts = [(scores[:, :, 1:], test) for scores, test in parts]
    of_class = [_of_class(test, scores.shape[2]) for scores, test in parts]
    positive = sum(positive.sum(axis=1) for positive, _ in of_class)
    negative = sum(negative.sum(axis=1) for _, negative in of_class)
    is_enough = (positive >= FEWEST_OF_CLASS) & (negative >= FEWEST_OF_CLASS)
    aucs = [_roc_auc(scores, *counts) for (scores, _), counts in zip(parts, of_class, strict=True)]
    weights = [(~np.isnan(auc)) * test.sum(axis=(1, 2))[:, None] for auc, (_, test) in zip(aucs, parts, strict=True)]
    weight = sum(weights)
    total = sum(np.nan_to_num(auc) * each for auc, each in zip(aucs, weights, strict=True))
    averaged = total / np.where(weight > 0, weight, np.nan)
    if np.isnan(averaged).any():
        # Where each group is of one class, no split has both.
        together = (
            np.concatenate([scores for scores, _ in parts], axis=1),
            *(np.concatenate([counts[side] for counts in of_class], axis=1) for side in (0, 1)),
        )
        averaged = np.where(np.isnan(averaged), _roc_auc(*together), averaged)
    n_enough = is_enough.sum(axis=1)
    macro: Floats = np.where(is_enough, np.nan_to_num(averaged), 0).sum(axis=1) / np.where(n_enough, n_enough, np.nan)
    return macro


def _of_class(counts: Counts, n_wanted: int) -> tuple[Floats, Floats]:
    """Count the rows of each of the last `n_wanted` classes, and all others, in each bin."""
    positive = counts[:, :, -n_wanted:]
    return positive, counts.sum(axis=2, keepdims=True) - positive


def _roc_auc(scores: Floats, positive: Floats, negative: Floats) -> Floats:
    """Compute the ROC AUC of each column and class from the scores of bins; NaN without rows on both sides.

    All are of shape (n_columns, n_bins, n_classes); bins with equal scores are ties.
    """
    order = np.argsort(scores, axis=1)
    scores, positive, negative = (np.take_along_axis(each, order, axis=1) for each in (scores, positive, negative))
    until = np.cumsum(negative, axis=1)
    differs = scores[:, 1:] != scores[:, :-1]
    edge = np.ones_like(scores[:, :1], dtype=bool)
    before = np.maximum.accumulate(np.where(np.concatenate([edge, differs], axis=1), until - negative, 0), axis=1)
    last = np.concatenate([differs, edge], axis=1)
    through = np.minimum.accumulate(np.where(last, until, np.inf)[:, ::-1], axis=1)[:, ::-1]
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * (before + through)).sum(axis=1) / 2
    roc_auc: Floats = won / np.where(pairs > 0, pairs, np.nan)
    return roc_auc
