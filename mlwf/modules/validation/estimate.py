"""Estimate scores on rows that had no say in the model, beside those of a model that knows only the class shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Answer, Ask, Fitter
from mlwf.engine.chain import Chain, OutOfFold, Trained, at_once, stack
from mlwf.engine.predictions import Predictions
from mlwf.engine.rows import Rows, Split, Splitter, Table
from mlwf.errors import FitError
from mlwf.modules.validation.scores import (
    Circumstances,
    Folds,
    Sample,
    class_report,
    score_folds,
    score_sample,
    score_slices,
    wanted_metrics,
)
from mlwf.results import Judgement

BASELINE = Pipeline([("classifier", DummyClassifier(strategy="prior"))])
NO_SLICES: Mapping[str, NDArray[np.bool_]] = {}


def cross_validate(
    chain: Chain,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fit: Fitter,
    *,
    metrics: Sequence[str],
    positive_class: Any = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    choices: Callable[[Trained], Mapping[str, Any]] | None = None,
    circumstances: Circumstances,
) -> Judgement:
    """Repeat the chain on every fold of `rows` and score the rows that it did not see.

    Without tuning and calibration the scores are those of scikit-learn's `cross_val_score` on the same folds, each with
    a corrected resampled t interval. Slices are scored on the predictions of all folds together.

    Parameters
    ----------
    slices
        For each slice which rows of the table are in it: booleans of shape (n_samples,).
    choices
        What to tell of each fold's chain.

    Raises
    ------
    FitError
        A fit failed.
    """
    splits = splitter(table, rows)
    trained = at_once(lambda split: chain(split, fit), splits)
    known = baselines(table, splits, fit)
    said = _stacked([part.predictions for part in trained], splits, rows)
    floor = _stacked(known, splits, rows)
    judged = Folds(
        parts=[
            Sample(
                part.predictions,
                floor_of_fold,
                table.y_of(split.test),
                table.weight_of(split.test),
                None,
                split.test.index,
            ).weighted()
            for part, floor_of_fold, split in zip(trained, known, splits, strict=True)
            if part.predictions is not None
        ],
        test_to_train=float(np.mean([len(split.test) / len(split.train) for split in splits])),
    )
    wanted = wanted_metrics(metrics, table.classes, positive_class)
    index = said.rows.index
    pooled = replace(circumstances, note=f"{circumstances.note}; all folds together")
    whole = Sample(
        said.predictions,
        floor.predictions,
        table.y_of(said.rows),
        table.weight_of(said.rows),
        # A row that was judged twice is no further evidence.
        index if table.groups is None and len(np.unique(index)) < len(index) else table.groups_of(said.rows),
        index,
    )
    counting = whole.weighted()
    scores, problems = score_folds(judged, wanted, circumstances, counting.n_rows)
    return Judgement(
        source=circumstances.source,
        scores=scores,
        predictions=said.predictions,
        y=whole.y,
        note=circumstances.note,
        problems=problems,
        slices=score_slices(whole, {name: mask[index] for name, mask in slices.items()}, wanted, pooled),
        choices=() if choices is None else tuple(choices(part) for part in trained),
        **class_report(counting),
    )


def judge(
    predictions: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    baseline: Predictions,
    metrics: Sequence[str],
    positive_class: Any = None,
    groups: NDArray[Any] | None = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    circumstances: Circumstances,
) -> Judgement:
    """Score predictions of rows that had no say in the model: a hold-out or a test set.

    Intervals are of a bootstrap of the rows, or of whole groups. `slices` say which of the judged
    rows are in each slice: booleans of shape (n_rows,).
    """
    wanted = wanted_metrics(metrics, predictions.classes, positive_class)
    sample = Sample(predictions, baseline, y, weight, groups, np.arange(len(y)))
    counting = sample.weighted()
    scores, problems = score_sample(counting, wanted, circumstances)
    return Judgement(
        source=circumstances.source,
        scores=scores,
        predictions=predictions,
        y=y,
        note=circumstances.note,
        problems=problems,
        slices=score_slices(sample, slices, wanted, circumstances),
        **class_report(counting),
    )


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


def _stacked(said: Sequence[Predictions | None], splits: Sequence[Split], rows: Rows) -> OutOfFold:
    return stack([Answer(predictions=(part,)) for part in said if part is not None], splits, rows)
