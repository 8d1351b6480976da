"""Curves of one class against the rest over all thresholds, with pointwise 95 % bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwf.evaluation.intervals import resample_rows
from mlwf.evaluation.scored_rows import ScoredRows

MOST_CURVES = 8
"""One-vs-rest curves in a plot; with more classes, those of the most frequent ones."""
MOST_THRESHOLDS = 300
N_RESAMPLES = 300
ENDS = (0.025, 0.975)

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """A curve with the band that holds 95 % of its resamples at each x."""

    x: Values
    y: Values
    low: Values
    high: Values


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ClassCurves:
    """What one class against the rest looks like over all thresholds."""

    label: str
    code: int
    share: float
    """Of the class among the rows."""
    thresholds: Values
    """From the greatest down."""
    roc: Band
    roc_auc: Estimate
    precision_recall: Band
    average_precision: Estimate
    cells: Values
    """Weights of (true, predicted) negative and positive at each threshold, of shape (n_thresholds, 4)."""
    resampled_cells: Values
    """The same of each resample, of shape (n_resamples, n_thresholds, 4)."""


def class_curves(rows: ScoredRows, *, positive: int | None = None) -> list[ClassCurves]:
    """Give the curves of the positive one of two classes, or of the most frequent ones of more.

    Bands and intervals are of a bootstrap of the rows, or of what the rows' `units` keep together. There is no curve
    without scores, nor of a class that all rows or none are of.
    """
    scores = rows.scores
    if scores is None or not len(rows):
        return []
    counts = np.bincount(rows.y[rows.y >= 0], minlength=len(rows.classes))
    drawn = classes_with_curves(counts.tolist(), len(rows), positive=positive)
    return [_curves(rows, code, np.asarray(scores[:, code]), rows.y == code) for code in drawn]


def classes_with_curves(counts: Sequence[int], n_rows: int, *, positive: int | None = None) -> list[int]:
    """Choose the classes that have a curve against the rest: the positive one of two, or the most frequent of more.

    `counts` are their rows; a curve needs rows of the class and rows of another one.
    """
    if len(counts) == 2:
        chosen = [1 if positive is None else positive]
    else:
        chosen = sorted(sorted(range(len(counts)), key=lambda code: -counts[code])[:MOST_CURVES])
    return [code for code in chosen if 0 < counts[code] < n_rows]


def rated(curves: ClassCurves, rate: Callable[[Values], Values]) -> Band:
    """Give a number that follows from the cells at each threshold, by the threshold."""
    n_resamples, n_thresholds = curves.resampled_cells.shape[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.asarray(rate(curves.cells), dtype=np.float64)
        drawn = np.asarray(rate(curves.resampled_cells.reshape(-1, 4)), dtype=np.float64)
    drawn = drawn.reshape(n_resamples, n_thresholds)
    defined = np.isfinite(y) & (np.isfinite(drawn).mean(axis=0) > 0.5)
    drawn = drawn[:, defined]
    is_whole = np.isfinite(drawn).all()
    quantile = np.quantile if is_whole else np.nanquantile
    low, high = quantile(drawn if is_whole else np.where(np.isfinite(drawn), drawn, np.nan), ENDS, axis=0)
    return Band(curves.thresholds[defined], y[defined], low, high)


def _curves(rows: ScoredRows, code: int, scores: Values, is_class: NDArray[np.bool_]) -> ClassCurves:
    thresholds, bins = _bins(scores)
    cell_of = bins * 2 + is_class
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    cells = _cells(_sums(cell_of, weight, 2 * len(thresholds))[None, :])[0]
    drawn = _cells(np.concatenate(list(_resamples(rows, cell_of, 2 * len(thresholds)))))
    # A resample without one of the two has no curve.
    drawn = drawn[(drawn[:, -1, 3] > 0) & (drawn[:, -1, 1] > 0)]
    with np.errstate(divide="ignore", invalid="ignore"):
        roc = _band(_roc(cells), (_roc(each) for each in drawn))
        precision_recall = _band(_precision_recall(cells), (_precision_recall(each) for each in drawn))
        exact = _exact_cells(scores, is_class, weight)
        roc_auc = _estimate(lambda each: _area(*_roc(each)), exact, cells, drawn)
        average_precision = _estimate(_average_precision, exact, cells, drawn)
    return ClassCurves(
        label=str(rows.classes[code]),
        code=code,
        share=float(np.average(is_class, weights=rows.weight)),
        thresholds=thresholds,
        roc=roc,
        roc_auc=roc_auc,
        precision_recall=precision_recall,
        average_precision=average_precision,
        cells=cells,
        resampled_cells=drawn,
    )


def _bins(scores: Values) -> tuple[Values, NDArray[np.intp]]:
    """Give thresholds from the greatest down, and the first of them that each row reaches; ties stay together."""
    distinct = np.unique(scores)
    if len(distinct) > MOST_THRESHOLDS:
        distinct = np.unique(np.quantile(scores, np.linspace(0, 1, MOST_THRESHOLDS), method="lower"))
    bins = len(distinct) - np.searchsorted(distinct, scores, side="right")
    return distinct[::-1], np.asarray(bins, dtype=np.intp)


def _resamples(rows: ScoredRows, cell_of: NDArray[np.intp], n_cells: int) -> Iterator[Values]:
    """Draw resamples, as the weight in each cell: of shape (n_drawn, n_cells)."""
    if rows.weight is None and rows.units is None:
        # Rows that differ in nothing but their cell: how many fall into each is multinomial.
        shares = np.bincount(cell_of, minlength=n_cells) / len(cell_of)
        yield np.random.default_rng(0).multinomial(len(cell_of), shares, size=N_RESAMPLES).astype(np.float64)
        return
    units = np.arange(len(rows)) if rows.units is None else rows.units
    for counts in resample_rows(units, weight=rows.weight, n_resamples=N_RESAMPLES):
        yield np.array([_sums(cell_of, each, n_cells) for each in counts])


def _sums(cell_of: NDArray[np.intp], weight: Values, n_cells: int) -> Values:
    return np.asarray(np.bincount(cell_of, weight, minlength=n_cells), dtype=np.float64)


def _cells(sums: Values) -> Values:
    """Give the weights of (true, predicted) from those in the bins: of shape (n, n_thresholds, 4)."""
    negatives, positives = sums[:, 0::2].cumsum(axis=1), sums[:, 1::2].cumsum(axis=1)
    return np.stack([negatives[:, -1:] - negatives, negatives, positives[:, -1:] - positives, positives], axis=2)


def _roc(cells: Values) -> tuple[Values, Values]:
    _, false_positive, _, true_positive = cells.T
    x, y = false_positive / false_positive[-1], true_positive / true_positive[-1]
    return np.append(0.0, x), np.append(0.0, y)


def _precision_recall(cells: Values) -> tuple[Values, Values]:
    _, false_positive, _, true_positive = cells.T
    precision = true_positive / (true_positive + false_positive)
    # Where the first bins of a resample are empty there is no precision yet.
    defined = np.isfinite(precision)
    return (true_positive / true_positive[-1])[defined], precision[defined]


def _average_precision(cells: Values) -> float:
    recall, precision = _precision_recall(cells)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _area(x: Values, y: Values) -> float:
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


def _band(curve: tuple[Values, Values], drawn: Iterator[tuple[Values, Values]]) -> Band:
    x, y = curve
    heights = np.array([np.interp(x, *each) for each in drawn])
    low, high = np.quantile(heights, ENDS, axis=0) if len(heights) else (y, y)
    return Band(x, y, np.minimum(low, y), np.maximum(high, y))


def _exact_cells(scores: Values, is_class: NDArray[np.bool_], weight: Values) -> Values:
    """Give the cells at every score that occurs."""
    distinct, place = np.unique(scores, return_inverse=True)
    cell_of = (len(distinct) - 1 - place) * 2 + is_class
    return np.asarray(_cells(_sums(cell_of, weight, 2 * len(distinct))[None, :])[0])


def _estimate(area: Callable[[Values], float], exact: Values, binned: Values, drawn: Values) -> Estimate:
    """Give an area of all scores; what few thresholds take off it is taken off its resamples too."""
    value = area(exact)
    areas = [area(each) + value - area(binned) for each in drawn]
    low, high = np.quantile(areas, ENDS) if areas else (value, value)
    return Estimate(value, float(low), float(high))
