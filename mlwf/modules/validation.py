"""Estimate scores on rows that had no say in the model, beside those of a model that knows only the class shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Ask, Fitter, Predictions, gather
from mlwf.engine.chain import Chain, at_once
from mlwf.engine.rows import Rows, Split, Splitter, Table
from mlwf.engine.scoring import build_scorer, score
from mlwf.errors import FitError
from mlwf.results import Judgement, Score, Source
from mlwf.specs.catalogue import metric_scorer

BASELINE = Pipeline([("classifier", DummyClassifier(strategy="prior"))])


@dataclass(frozen=True)
class Circumstances:
    """What must be said beside every number."""

    source: Source
    note: str
    tuned_on_same_rows: bool = False


def cross_validate(
    chain: Chain,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fit: Fitter,
    *,
    metrics: Sequence[str],
    positive_class: Any = None,
    circumstances: Circumstances,
) -> Judgement:
    """Repeat the chain on every fold of `rows` and score the rows that it did not see.

    Without tuning and calibration the scores are those of scikit-learn's `cross_val_score` on the same folds.
    Raises FitError when a fit failed.
    """
    splits = splitter(table, rows)
    trained = at_once(lambda split: chain(split, fit), splits)
    said = [part.predictions for part in trained if part.predictions is not None]
    folds = [rows.positions_of(split.test) for split in splits]
    judged = [
        _Fold(predictions, table.y_of(split.test), table.weight_of(split.test), baseline)
        for predictions, split, baseline in zip(said, splits, baselines(table, splits, fit), strict=True)
    ]
    scores, problems = _score(judged, metrics, table.classes, positive_class, circumstances)
    order = np.sort(np.concatenate(folds))
    return Judgement(
        source=circumstances.source,
        scores=scores,
        predictions=gather(said, folds),
        y=table.y_of(rows.take(order)),
        note=circumstances.note,
        problems=problems,
    )


def judge(
    predictions: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    baseline: Predictions,
    metrics: Sequence[str],
    positive_class: Any = None,
    circumstances: Circumstances,
) -> Judgement:
    """Score predictions of rows that had no say in the model: a hold-out or a test set."""
    folds = [_Fold(predictions, y, weight, baseline)]
    scores, problems = _score(folds, metrics, predictions.classes, positive_class, circumstances)
    return Judgement(circumstances.source, scores, predictions, y, circumstances.note, problems)


def baselines(table: Table, splits: Sequence[Split], fit: Fitter) -> list[Predictions]:
    """Predict the rows of each split by the class shares of its training rows."""
    # Classes that are weighted alike would be equally frequent to it, and easier to do better than.
    answers = fit([Ask(BASELINE, {}, split.train, (split.test,), class_weighted=False) for split in splits])
    for answer in answers:
        if answer.error:
            raise FitError(answer.error)
    return [answer.predictions[0] for answer in answers]


def default_metrics(classes: NDArray[Any], *, has_probabilities: bool) -> list[str]:
    """List the metrics reported when none are named: those that the model and the number of classes allow."""
    binary = len(classes) == 2
    metrics = ["accuracy", "balanced_accuracy"]
    if binary or has_probabilities:
        metrics.append("roc_auc" if binary else "roc_auc_ovr")
    return [*metrics, "log_loss"] if has_probabilities else metrics


@dataclass(frozen=True, eq=False)
class _Fold:
    predictions: Predictions
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    baseline: Predictions


class _Metric:
    """A metric in natural sign: `log_loss` is scikit-learn's neg_log_loss turned round."""

    def __init__(self, name: str, classes: NDArray[Any], positive_class: Any) -> None:
        scorer = metric_scorer(name) or name
        self._sign = 1 if scorer == name else -1
        self._scorer = build_scorer(scorer, classes=classes, positive_class=positive_class)

    def __call__(self, predictions: Predictions, fold: _Fold) -> float:
        return self._sign * score(self._scorer, predictions, fold.y, weight=fold.weight)


def _score(
    folds: Sequence[_Fold],
    metrics: Sequence[str],
    classes: NDArray[Any],
    positive_class: Any,
    circumstances: Circumstances,
) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    scores, problems = [], []
    # The guide's cv_score, val_score and test_accuracy are accuracies, whatever else was asked for.
    for name in dict.fromkeys(["accuracy", *metrics]):
        metric = _Metric(name, classes, positive_class)
        try:
            values = [metric(fold.predictions, fold) for fold in folds]
            if not np.isfinite(values).all():
                raise ValueError("it is not defined for rows like these")
        except Exception as error:
            problems.append(f"{name} could not be computed: {error}")
            values = []
        scores.append(
            Score(
                metric=name,
                source=circumstances.source,
                value=float(np.mean(values)) if values else None,
                std=float(np.std(values)) if len(values) > 1 else None,
                folds=tuple(values) if len(values) > 1 else (),
                baseline=_baseline(metric, folds),
                n_rows=sum(len(fold.y) for fold in folds),
                note=circumstances.note,
                tuned_on_same_rows=circumstances.tuned_on_same_rows,
            )
        )
    return tuple(scores), tuple(problems)


def _baseline(metric: _Metric, folds: Sequence[_Fold]) -> float | None:
    try:
        mean = float(np.mean([metric(fold.baseline, fold) for fold in folds]))
    except Exception:  # a metric that needs decision values, say, which class shares have not
        return None
    return mean if np.isfinite(mean) else None
