"""Metrics of many resamples at once: scikit-learn's numbers, with the counts of the rows as weights.

A metric is prepared once for the rows of a test side (labels encoded, scores sorted) and then takes counts of shape
(n_resamples, n_rows), chunk by chunk. What it divides by zero is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mlwf.evaluation.predictions import Predictions
from mlwf.specs.catalogue import METRICS, metric_info

Weight = NDArray[np.float64] | None
Values = NDArray[np.float64]
ResampledMetric = Callable[[NDArray[np.float64]], Values]
"""Counts of shape (n_resamples, n_rows) to values of shape (n_resamples,)."""
Prepare = Callable[[Predictions, NDArray[Any], Any], ResampledMetric]
"""Predictions, labels and the positive class to the resampled metric of these rows."""


def resampled_metric_of(metric: str, *, n_classes: int) -> Prepare | None:
    """Give what prepares a metric (by its natural name) for resamples, or None where nothing does."""
    serves_two = metric in FOR_TWO_CLASSES_ONLY or (metric in METRICS and metric_info(metric).binary_only)
    return None if serves_two and n_classes != 2 else RESAMPLED_METRICS.get(metric)


def sums_by(codes: NDArray[np.intp], n_codes: int, values: NDArray[np.float64] | None = None) -> ResampledMetric:
    """Prepare sums of counts, times `values`, over the rows of each code: of shape (n_resamples, n_codes)."""
    values = np.ones(len(codes)) if values is None else values
    indicator = csr_array((values, (codes, np.arange(len(codes)))), shape=(n_codes, len(codes)))
    return lambda counts: (indicator @ counts.T).T


def encode(labels: NDArray[Any], classes: Sequence[Any]) -> NDArray[np.intp]:
    """Give the position of each label among the classes; raises KeyError for one that is not among them."""
    code = {label: position for position, label in enumerate(classes)}
    codes, distinct = pd.factorize(labels, use_na_sentinel=False)
    places = np.array([code[label] for label in distinct.tolist()], dtype=np.intp)
    return np.asarray(places[codes])


def _mean_of(by_row: Callable[[Predictions, NDArray[Any], Any], NDArray[Any]]) -> Prepare:
    """Make a metric of its value for each single row."""

    def prepare(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
        values = by_row(predictions, y, positive).astype(np.float64)
        return lambda counts: counts @ values / counts.sum(axis=1)

    return prepare


def _is_right(predictions: Predictions, y: NDArray[Any], positive: Any) -> NDArray[Any]:
    return np.asarray(predictions.labels == y)


def _log_losses(predictions: Predictions, y: NDArray[Any], positive: Any) -> NDArray[Any]:
    assert predictions.proba is not None
    proba = predictions.proba
    if proba.shape[1] == 2:
        # scikit-learn looks at the second column alone.
        proba = np.column_stack([1 - proba[:, 1], proba[:, 1]])
    given = proba[np.arange(len(y)), encode(y, predictions.classes.tolist())]
    eps = np.finfo(proba.dtype).eps
    return np.asarray(-np.log(np.clip(given, eps, 1 - eps)))


def _brier_losses(predictions: Predictions, y: NDArray[Any], positive: Any) -> NDArray[Any]:
    """Give squared errors: of one column with two classes, summed over all of them with more."""
    assert predictions.proba is not None
    if len(predictions.classes) == 2:
        return np.asarray((_scores(predictions, positive, from_proba=True) - (y == positive)) ** 2)
    came_true = y[:, None] == predictions.classes
    return np.asarray(((predictions.proba - came_true) ** 2).sum(axis=1))


@dataclass(frozen=True)
class _Cells:
    """Sums of counts for each resample and class, of shape (n_resamples, n_classes)."""

    hits: Values
    true: Values
    predicted: Values


def _cells(true: NDArray[np.intp], predicted: NDArray[np.intp], n_classes: int) -> Callable[[Any], _Cells]:
    hits = sums_by(true, n_classes, (true == predicted).astype(np.float64))
    of_true, of_predicted = sums_by(true, n_classes), sums_by(predicted, n_classes)
    return lambda counts: _Cells(hits(counts), of_true(counts), of_predicted(counts))


def _of_cells(value: Callable[[_Cells], Values]) -> Prepare:
    """Make a metric of the cells of all classes that occur, as labels or as predictions."""

    def prepare(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
        classes = sorted({*pd.unique(y).tolist(), *pd.unique(predictions.labels).tolist()})
        cells = _cells(encode(y, classes), encode(predictions.labels, classes), len(classes))
        return lambda counts: value(cells(counts))

    return prepare


def _of_positive_cells(value: Callable[[_Cells], Values]) -> Prepare:
    """Make a metric of the cells of the positive class."""

    def prepare(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
        true, predicted = np.asarray(y == positive), np.asarray(predictions.labels == positive)
        cells = _cells(true.astype(np.intp), predicted.astype(np.intp), 2)

        def resampled(counts: NDArray[np.float64]) -> Values:
            both = cells(counts)
            return value(_Cells(both.hits[:, 1:], both.true[:, 1:], both.predicted[:, 1:]))

        return resampled

    return prepare


def _balanced_accuracy(cells: _Cells) -> Values:
    # Classes that do not occur are left out, as scikit-learn does.
    recall, occurs = _divide(cells.hits, cells.true), cells.true > 0
    return np.asarray(recall.sum(axis=1) / occurs.sum(axis=1))


def _matthews_corrcoef(cells: _Cells) -> Values:
    total = cells.true.sum(axis=1)
    true_predicted = cells.hits.sum(axis=1) * total - (cells.true * cells.predicted).sum(axis=1)
    predicted_predicted = total**2 - (cells.predicted**2).sum(axis=1)
    true_true = total**2 - (cells.true**2).sum(axis=1)
    return _divide(true_predicted, np.sqrt(predicted_predicted * true_true))


def _positive_likelihood_ratio(cells: _Cells) -> Values:
    return _likelihood_ratio(cells, cells.hits[:, 1], cells.true[:, 0] - cells.hits[:, 0])


def _negative_likelihood_ratio(cells: _Cells) -> Values:
    return _likelihood_ratio(cells, cells.true[:, 1] - cells.hits[:, 1], cells.hits[:, 0])


def _likelihood_ratio(cells: _Cells, of_positives: Values, of_negatives: Values) -> Values:
    """Divide a share of the positives by one of the negatives, with 1 where that is 0, as scikit-learn does."""
    ratio = of_positives * cells.true[:, 0] / (of_negatives * cells.true[:, 1])
    return np.where(of_negatives == 0, 1.0, ratio)


def _divide(numerator: Values, denominator: Values) -> Values:
    """Divide, with 0 where the denominator is 0, as scikit-learn does."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


_Ratio = Callable[[_Cells], tuple[Values, Values]]
"""Gives a numerator and a denominator for each class."""


def _macro(ratio: _Ratio, cells: _Cells) -> Values:
    return np.asarray(_divide(*ratio(cells)).mean(axis=1))


def _micro(ratio: _Ratio, cells: _Cells) -> Values:
    numerator, denominator = ratio(cells)
    return _divide(numerator.sum(axis=1), denominator.sum(axis=1))


def _weighted(ratio: _Ratio, cells: _Cells) -> Values:
    return np.asarray((_divide(*ratio(cells)) * cells.true).sum(axis=1) / cells.true.sum(axis=1))


def _scores(predictions: Predictions, label: Any, *, from_proba: bool = False) -> NDArray[np.float64]:
    """Give each row's score for one of two classes: its decision value, or else its probability."""
    position = predictions.classes.tolist().index(label)
    if predictions.decision is not None and not from_proba:
        return predictions.decision if position == 1 else -predictions.decision
    assert predictions.proba is not None
    return predictions.proba[:, position]


def _ranking(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_]
) -> Callable[[NDArray[np.float64]], tuple[Values, Values]]:
    """Prepare sums of counts of positives and of negatives over tied rows, from the greatest score down."""
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], is_positive[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))

    is_ranked = bool((order[1:] > order[:-1]).all())

    def sums(counts: NDArray[np.float64]) -> tuple[Values, Values]:
        counts = counts if is_ranked else _take(counts, order)
        of_positives = counts * positive
        of_negatives = counts - of_positives
        if len(starts) == len(order):
            return of_positives, of_negatives
        return np.add.reduceat(of_positives, starts, axis=1), np.add.reduceat(of_negatives, starts, axis=1)

    return sums


def _take(counts: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Put counts into another order: as small numbers where they are such, which takes a quarter of the time."""
    small = counts.astype(np.uint8)
    return small[:, order].astype(np.float64) if np.array_equal(small, counts) else counts[:, order]


def _area_under_roc(scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> ResampledMetric:
    """Prepare the share of pairs of a positive and a negative in which the positive scores more; ties count half."""
    ranking = _ranking(scores, is_positive)

    def resampled(counts: NDArray[np.float64]) -> Values:
        positives, negatives = ranking(counts)
        above = positives.cumsum(axis=1)
        won = np.einsum("ij,ij->i", negatives, above - positives / 2)
        return np.asarray(won / (above[:, -1] * negatives.sum(axis=1)))

    return resampled


def _roc_auc(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
    last = predictions.classes[-1]
    return _area_under_roc(_scores(predictions, last), np.asarray(y == last))


def _roc_auc_ovr(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
    assert predictions.proba is not None
    # With two classes scikit-learn looks at the last alone.
    first = 1 if len(predictions.classes) == 2 else 0
    columns = zip(predictions.classes[first:], predictions.proba.T[first:], strict=True)
    areas = [_area_under_roc(scores, np.asarray(y == label)) for label, scores in columns]
    return lambda counts: np.asarray(np.mean([area(counts) for area in areas], axis=0))


def _average_precision(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
    """Prepare the mean precision over the positives; NaN without any, where scikit-learn warns and gives 0."""
    ranking = _ranking(_scores(predictions, positive), np.asarray(y == positive))

    def resampled(counts: NDArray[np.float64]) -> Values:
        positives, negatives = ranking(counts)
        above = positives.cumsum(axis=1)
        precision = _divide(above, above + negatives.cumsum(axis=1))
        return np.asarray(np.einsum("ij,ij->i", positives, precision) / above[:, -1])

    return resampled


RATIOS: dict[str, _Ratio] = {
    "precision": lambda cells: (cells.hits, cells.predicted),
    "recall": lambda cells: (cells.hits, cells.true),
    "f1": lambda cells: (2 * cells.hits, cells.true + cells.predicted),
    "jaccard": lambda cells: (cells.hits, cells.true + cells.predicted - cells.hits),
}

RESAMPLED_METRICS: dict[str, Prepare] = {
    "accuracy": _mean_of(_is_right),
    "log_loss": _mean_of(_log_losses),
    "brier_score": _mean_of(_brier_losses),
    "balanced_accuracy": _of_cells(_balanced_accuracy),
    "matthews_corrcoef": _of_cells(_matthews_corrcoef),
    "positive_likelihood_ratio": _of_cells(_positive_likelihood_ratio),
    "negative_likelihood_ratio": _of_cells(_negative_likelihood_ratio),
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc_ovr,
    "average_precision": _average_precision,
    **{name: _of_positive_cells(partial(_macro, ratio)) for name, ratio in RATIOS.items()},
    **{f"{name}_macro": _of_cells(partial(_macro, ratio)) for name, ratio in RATIOS.items()},
    **{f"{name}_micro": _of_cells(partial(_micro, ratio)) for name, ratio in RATIOS.items()},
    **{f"{name}_weighted": _of_cells(partial(_weighted, ratio)) for name, ratio in RATIOS.items()},
}

FOR_TWO_CLASSES_ONLY = {"average_precision"}
"""Metrics that serve more classes too, and whose resampled form serves two only."""
