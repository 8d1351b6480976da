"""Calibrators fitted from stored predictions, bit for bit as CalibratedClassifierCV fits them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV

from mlwf.errors import FitError, raise_if_bug
from mlwf.evaluation.predictions import PrecomputedClassifier, Predictions, positions
from mlwf.sklearn_compat import put_calibrators, with_estimators

FitCalibrator = Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64] | None], Any]
"""Fits a calibrator for one class: takes the scores of shape (n_rows,), whether each row is of the class, and the
weights or None; gives an object with `predict(scores)`."""


@dataclass(frozen=True)
class CalibrationMethod:
    """How scores become probabilities."""

    sklearn_method: Literal["sigmoid", "isotonic", "temperature"]
    """scikit-learn's method, or the one that `fit_one` stands in for."""
    fit_one: FitCalibrator | None = None
    """Fits the calibrators where scikit-learn does not know the method, one for each class, or one for two classes."""


METHODS = {
    "sigmoid": CalibrationMethod("sigmoid"),
    "isotonic": CalibrationMethod("isotonic"),
    "temperature": CalibrationMethod("temperature"),
}
"""The methods, by `calibration.method`."""


def fit_calibrators(
    predictions: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    folds: Sequence[NDArray[np.intp]],
    method: str,
    ensemble: bool,
) -> CalibratedClassifierCV:
    """Fit calibrators on predictions for rows that the predicting model did not see.

    `predictions`, `y` and `weight` hold the same rows; `folds` holds the positions that each model predicted. With
    `ensemble` each fold gets a calibrator of its own, without it one calibrator is fitted on all rows. The models are
    missing from the result: `with_models` puts fitted ones in, `with_predictions` stored predictions.

    Raises FitError for what scikit-learn cannot calibrate.

    Sources: Platt 1999 (sigmoid), Zadrozny & Elkan 2002 (isotonic), Guo et al. 2017 (temperature).
    """
    chosen = METHODS[method]
    # One classifier stands for every fold's model: each row was predicted once, by its own fold's model.
    calibrated = CalibratedClassifierCV(
        PrecomputedClassifier(predictions),
        method=chosen.sklearn_method,
        cv=[(fold, fold) for fold in folds],
        ensemble=ensemble,
    )
    with _fit_errors():
        calibrated.fit(positions(len(y)), y, sample_weight=weight)
        if chosen.fit_one is not None:
            parts = folds if ensemble else [np.arange(len(y))]
            for pair, rows in zip(calibrated.calibrated_classifiers_, parts, strict=True):
                part_weight = None if weight is None else weight[rows]
                put_calibrators(pair, _fit_each(chosen.fit_one, predictions.take(rows), y[rows], part_weight))
    return calibrated


def _fit_each(
    fit_one: FitCalibrator, predictions: Predictions, y: NDArray[Any], weight: NDArray[np.float64] | None
) -> list[Any]:
    """Fit a calibrator for each column of scores, which are those that CalibratedClassifierCV gives to predict."""
    decision, proba = predictions.decision, predictions.proba
    scores = np.asarray(proba if decision is None else decision).reshape(len(y), -1)
    is_binary = len(predictions.classes) == 2
    classes = predictions.classes[-1:] if is_binary else predictions.classes
    columns = scores[:, -1:] if is_binary else scores
    return [fit_one(column, y == label, weight) for column, label in zip(columns.T, classes, strict=True)]


def with_models(calibrated: CalibratedClassifierCV, models: Sequence[Any], *, estimator: Any, cv: Any) -> Any:
    """Put the fitted models in, one for each calibrator, and the parameters that describe how they were fitted."""
    shipped = with_estimators(calibrated, models)
    shipped.set_params(estimator=estimator, cv=cv)
    copy_input_names(models[0], shipped)
    return shipped


def copy_input_names(fitted: Any, wrapper: Any) -> None:
    """Let a wrapper that is made of a fitted estimator know the columns that this was fitted on."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(fitted, name):
            setattr(wrapper, name, getattr(fitted, name))


def with_predictions(calibrated: CalibratedClassifierCV, predictions: Sequence[Predictions]) -> Predictions:
    """Calibrate stored predictions, one set of the same rows for each calibrator, and average them."""
    precomputed = with_estimators(calibrated, [PrecomputedClassifier(part) for part in predictions])
    X = positions(len(predictions[0]))
    with _fit_errors():
        return Predictions(
            classes=np.asarray(calibrated.classes_),
            labels=np.asarray(precomputed.predict(X)),
            proba=np.asarray(precomputed.predict_proba(X)),
        )


@contextmanager
def _fit_errors() -> Iterator[None]:
    """Turn what scikit-learn raises for the scores or the rows into a FitError."""
    try:
        yield
    except Exception as error:
        raise_if_bug(error)
        raise FitError(str(error)) from error
