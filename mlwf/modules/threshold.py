"""Choose the decision threshold on predictions of rows that the model was not trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import FixedThresholdClassifier

from mlwf.engine.calibrators import copy_input_names
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel
from mlwf.evaluation.metrics import build_metric
from mlwf.evaluation.predictions import Predictions
from mlwf.results import ThresholdResult
from mlwf.specs.experiment import ThresholdSpec
from mlwf.splitting.rows import Table, distinct_rows

MOST_CANDIDATES = 500
"""Thresholds that are tried; with more different scores, their quantiles."""

ROUNDING = 1e-9
"""Scores that differ by less, or by less of what they are, are equally good."""

Response = Literal["predict_proba", "decision_function"]


def choose_threshold(
    spec: ThresholdSpec, out_of_fold: OutOfFold, table: Table, *, positive_class: Any = None, ordered: bool = False
) -> ThresholdResult:
    """Choose the threshold that makes `spec.scoring` best over out-of-fold predictions of two classes.

    The reported score is cross-fitted: each fold is scored with the threshold that the other folds choose, or with
    `ordered` the folds before it; NaN when no fold has others. Among equally good thresholds the one nearest to the
    classifier's own is taken.
    """
    response, scores, own = _scores(out_of_fold.predictions, positive_class)
    y, weight = table.y_of(out_of_fold.rows), table.weight_of(out_of_fold.rows)
    is_positive = np.asarray(y == _positive(out_of_fold.predictions, positive_class))
    weights = np.ones(len(scores)) if weight is None else weight
    candidates = _candidates(scores, own)
    rate = rate_cells(spec.scoring)

    def cells(positions: NDArray[np.intp]) -> NDArray[np.float64]:
        return _cells(scores[positions], is_positive[positions], weights[positions], candidates)

    def best(positions: NDArray[np.intp]) -> int:
        rates = rate(cells(positions))
        # Sums of weights differ by rounding where they are equal on paper.
        least = rates.max() - ROUNDING * max(1.0, abs(rates.max()))
        return int(min(np.flatnonzero(rates >= least), key=lambda at: abs(candidates[at] - own)))

    crossed, usual = np.zeros((1, 4)), np.zeros((1, 4))
    default = int(np.flatnonzero(candidates == own)[0])
    for number, fold in enumerate(out_of_fold.folds):
        others = out_of_fold.others(number, ordered=ordered)
        if len(others):
            found = cells(fold)
            crossed += found[best(others)]
            usual += found[default]
    score, default_score = (np.where(np.isfinite(each), each, np.nan).item() for each in (rate(crossed), rate(usual)))
    return ThresholdResult(
        scoring=spec.scoring,
        value=float(candidates[best(np.arange(len(scores)))]),
        response=response,
        score=score,
        default_score=default_score,
        n_rows=len(distinct_rows(out_of_fold.rows.index)),
    )


def with_threshold(trained: TrainedModel, threshold: ThresholdResult, *, positive_class: Any = None) -> TrainedModel:
    """Apply the threshold to a trained model: wrap the model, and label its predictions anew."""
    model, predictions = trained.model, trained.predictions
    if predictions is not None:
        positive = _positive(predictions, positive_class)
        (negative,) = (label for label in predictions.classes.tolist() if label != positive)
        _, scores, _ = _scores(predictions, positive_class)
        labels = np.where(scores >= threshold.value, np.array(positive, predictions.classes.dtype), negative)
        predictions = replace(predictions, labels=labels.astype(predictions.classes.dtype))
    if model is not None:
        positive = model.classes_[-1] if positive_class is None else positive_class
        wrapped = FixedThresholdClassifier(
            model,
            threshold=threshold.value,
            pos_label=positive.item() if hasattr(positive, "item") else positive,
            response_method=threshold.response,
        )
        copy_input_names(model, wrapped)
        model = wrapped
    return replace(trained, predictions=predictions, model=model, threshold=threshold)


def _positive(predictions: Predictions, positive_class: Any) -> Any:
    return predictions.classes[-1] if positive_class is None else positive_class


def _scores(predictions: Predictions, positive_class: Any) -> tuple[Response, NDArray[np.float64], float]:
    """Give the scores that a threshold cuts, greater for a likelier positive, and the classifier's own threshold."""
    column = int(np.flatnonzero(predictions.classes == _positive(predictions, positive_class))[0])
    if predictions.proba is not None:
        return "predict_proba", predictions.proba[:, column], 0.5
    assert predictions.decision is not None
    return "decision_function", predictions.decision if column else -predictions.decision, 0.0


def _candidates(scores: NDArray[np.float64], own: float) -> NDArray[np.float64]:
    """List thresholds between the scores that occur, the classifier's own among them."""
    seen = np.unique(scores)
    if len(seen) > MOST_CANDIDATES:
        seen = np.unique(np.quantile(seen, np.linspace(0, 1, MOST_CANDIDATES)))
    return np.unique([*((seen[1:] + seen[:-1]) / 2), own])


def _cells(
    scores: NDArray[np.float64],
    is_positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    candidates: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weigh the rows of (true, predicted) negative and positive for each threshold; shape (n_candidates, 4)."""
    order = np.argsort(scores)
    first_positive = np.searchsorted(scores[order], candidates, side="left")

    def below(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
        summed = np.concatenate([[0.0], np.cumsum((weights * mask)[order])])
        return summed[first_positive], float(summed[-1])

    true_negative, negatives = below(~is_positive)
    false_negative, positives = below(is_positive)
    return np.column_stack([true_negative, negatives - true_negative, false_negative, positives - false_negative])


def rate_cells(scoring: str) -> Any:
    """Make the function that scores weights of (true, predicted) negative and positive, of shape (n, 4).

    Greater is better; undefined scores are the worst.
    """
    metric = build_metric(scoring, classes=np.array([0, 1]), positive_class=1)
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    cell_labels = Predictions(np.array([0, 1]), predicted)

    def rate(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        rates = metric.resampled(cell_labels, true, cells)
        return np.where(np.isnan(rates), -np.inf, rates if metric.info.greater_is_better else -rates)

    return rate
