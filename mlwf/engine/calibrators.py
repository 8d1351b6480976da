"""Calibrators fitted from stored predictions, bit for bit as CalibratedClassifierCV fits them itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV

from mlwf.errors import FitError, raise_if_bug
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.scoring import PrecomputedClassifier, positions


def fit_calibrators(
    judged: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    folds: Sequence[NDArray[np.intp]],
    method: Literal["sigmoid", "isotonic", "temperature"],
    ensemble: bool,
) -> CalibratedClassifierCV:
    """Fit calibrators on predictions for rows that the predicting model did not see.

    `judged`, `y` and `weight` hold the same rows; `folds` holds the positions that each model judged. With `ensemble`
    each fold gets a calibrator of its own, without it one calibrator is fitted on all rows. The models are missing
    from the result: `with_models` puts fitted ones in, `with_predictions` stored predictions.

    Raises FitError for what scikit-learn cannot calibrate.

    Sources: Platt 1999 (sigmoid), Zadrozny & Elkan 2002 (isotonic), Guo et al. 2017 (temperature).
    """
    # One Replay stands for every fold's model: each row was judged once, so a fold's rows find their own model's word.
    calibrated = CalibratedClassifierCV(
        PrecomputedClassifier(judged), method=method, cv=[(fold, fold) for fold in folds], ensemble=ensemble
    )
    with _calibrating():
        return calibrated.fit(positions(len(y)), y, sample_weight=weight)


def with_models(calibrated: CalibratedClassifierCV, models: Sequence[Any], *, estimator: Any, cv: Any) -> Any:
    """Put the fitted models in, one for each calibrator, and what scikit-learn says of how they were fitted."""
    shipped = _with_estimators(calibrated, models)
    shipped.set_params(estimator=estimator, cv=cv)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(models[0], name):
            setattr(shipped, name, getattr(models[0], name))
    return shipped


def with_predictions(calibrated: CalibratedClassifierCV, predictions: Sequence[Predictions]) -> Predictions:
    """Calibrate stored predictions, one set of the same rows for each calibrator, and average them."""
    replaying = _with_estimators(calibrated, [PrecomputedClassifier(part) for part in predictions])
    X = positions(len(predictions[0]))
    with _calibrating():
        return Predictions(
            classes=np.asarray(calibrated.classes_),
            labels=np.asarray(replaying.predict(X)),
            proba=np.asarray(replaying.predict_proba(X)),
        )


@contextmanager
def _calibrating() -> Iterator[None]:
    """Turn what scikit-learn raises for the scores or the rows into a FitError."""
    try:
        yield
    except Exception as error:
        raise_if_bug(error)
        raise FitError(str(error)) from error


def _with_estimators(calibrated: CalibratedClassifierCV, estimators: Sequence[Any]) -> Any:
    result = copy.copy(calibrated)
    # `calibrated_classifiers_` is documented; that its items hold their model as `estimator` is not:
    # tests/engine/test_calibrators.py compares with scikit-learn's own calibration and breaks if this changes.
    result.calibrated_classifiers_ = [copy.copy(pair) for pair in calibrated.calibrated_classifiers_]
    for pair, estimator in zip(result.calibrated_classifiers_, estimators, strict=True):
        pair.estimator = estimator
    return result
