"""Calibration by fit requests equals scikit-learn's, and keeps every row out of its own calibrator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mlwf.errors import FitError
from mlwf.modules.calibration import calibrate, create_calibration
from mlwf.specs.experiment import CalibrationSpec
from mlwf.splitting.rows import Split, Table
from mlwf.splitting.splitters import fold_splitter, holdout_splitter
from tests.reference_fitter import ReferenceFitter

X, Y = make_classification(240, 6, n_informative=4, flip_y=0.2, random_state=0)
PIPELINE = Pipeline([("scaler", StandardScaler()), ("classifier", RandomForestClassifier(5, random_state=0))])
TABLE = Table(X, Y)
(OUTER,) = holdout_splitter(test_size=0.25, random_state=1)(TABLE, TABLE.all_rows)


@pytest.mark.parametrize("ensemble", [True, False], ids=["ensemble", "one model"])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_create_calibration_equals_calibrated_classifier_cv(method, ensemble):
    calibration = create_calibration(CalibrationSpec(method=method, ensemble=ensemble)).fit(PIPELINE, X, Y)
    reference = CalibratedClassifierCV(PIPELINE, method=method, ensemble=ensemble, cv=5).fit(X, Y)
    assert np.array_equal(calibration.calibrated_.predict_proba(X), reference.predict_proba(X))


@pytest.mark.parametrize("ensemble", [True, False], ids=["ensemble", "one model"])
def test_calibrate_predicts_without_models_what_its_model_predicts(ensemble):
    spec = CalibrationSpec(ensemble=ensemble, method="isotonic")
    folds = fold_splitter("stratified_kfold", n_splits=3, shuffle=True, random_state=0)
    with ReferenceFitter(TABLE, n_jobs=2) as fit:
        params = {"classifier__max_depth": 2}
        light = calibrate(spec, PIPELINE, params, TABLE, OUTER, folds, fit)
        kept = calibrate(spec, PIPELINE, params, TABLE, OUTER, folds, fit, keep_model=True)
    assert light.model is None
    assert np.array_equal(light.predictions.proba, kept.model.predict_proba(X[OUTER.test.index]))
    assert kept.model.estimator.get_params()["classifier__max_depth"] == 2


def test_calibrate_on_a_holdout_equals_a_frozen_model_calibrated_there():
    spec = CalibrationSpec(method="sigmoid", holdout=0.3)
    holdout = holdout_splitter(test_size=0.3, random_state=0)
    with ReferenceFitter(TABLE) as fit:
        trained = calibrate(spec, PIPELINE, {}, TABLE, OUTER, holdout, fit, keep_model=True)
        (inner,) = holdout(TABLE, OUTER.train)
        model = PIPELINE.__sklearn_clone__().fit(X[inner.train.index], Y[inner.train.index])
    ordered = np.array([row for row in OUTER.train.index if row in set(inner.test.index)])
    reference = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid").fit(X[ordered], Y[ordered])
    assert np.allclose(trained.model.predict_proba(X), reference.predict_proba(X), atol=1e-12)


def test_calibrate_is_not_moved_by_rows_outside_its_training_rows():
    spec = CalibrationSpec(method="isotonic")
    folds = fold_splitter("stratified_kfold", n_splits=3, shuffle=True, random_state=0)
    turned = Y.copy()
    turned[OUTER.test.index] = 1 - turned[OUTER.test.index]
    predicted = []
    for y in (Y, turned):
        table = Table(X, y)
        with ReferenceFitter(table) as fit:
            predicted.append(calibrate(spec, PIPELINE, {}, table, OUTER, folds, fit).predictions.proba)
    assert np.array_equal(*predicted)


def test_calibrate_gives_the_predictions_of_the_fold_models_before_calibration():
    folds = fold_splitter("stratified_kfold", n_splits=3, shuffle=True, random_state=0)
    train = OUTER.train.index
    with ReferenceFitter(TABLE) as fit:
        held_out = calibrate(CalibrationSpec(), PIPELINE, {}, TABLE, OUTER, folds, fit).out_of_fold
    theirs = StratifiedKFold(3, shuffle=True, random_state=0)
    predicted = cross_val_predict(PIPELINE, X[train], Y[train], cv=theirs, method="predict_proba")
    assert np.array_equal(held_out.rows.index, train)
    assert np.array_equal(held_out.predictions.proba, predicted)
    for fold, (_, test) in zip(held_out.folds, theirs.split(X[train], Y[train]), strict=True):
        assert np.array_equal(fold, test)


@pytest.mark.parametrize("keep", ["better", "always"])
def test_create_calibration_measures_and_keeps_what_the_spec_says(keep):
    calibration = create_calibration(CalibrationSpec(method="isotonic", keep=keep)).fit(PIPELINE, X, Y)
    summary = calibration.get_results_summary()
    predicted = cross_val_predict(PIPELINE, X, Y, cv=5, method="predict_proba")
    assert summary["kept"] is True
    assert summary["before"]["log_loss"] == pytest.approx(log_loss(Y, predicted))
    assert summary["after"]["log_loss"] < summary["before"]["log_loss"]
    assert (summary["cv_folds"], summary["holdout"], summary["n_rows"]) == (5, None, 240)


def test_calibrate_raises_the_error_of_a_fit():
    folds = fold_splitter("stratified_kfold", n_splits=3, shuffle=True, random_state=0)
    with ReferenceFitter(TABLE) as fit, pytest.raises(FitError, match="Expected n_neighbors"):
        calibrate(CalibrationSpec(), KNeighborsClassifier(500), {}, TABLE, Split(OUTER.train, OUTER.test), folds, fit)


def test_calibrate_reports_that_rows_are_too_few_to_hold_some_out():
    holdout = holdout_splitter(test_size=0.001, random_state=0)
    with (
        ReferenceFitter(TABLE) as fit,
        pytest.raises(FitError, match="should be greater or equal to the number of classes"),
    ):
        calibrate(CalibrationSpec(holdout=0.001), PIPELINE, {}, TABLE, OUTER, holdout, fit)


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        (CalibrationSpec(), 4),
        (CalibrationSpec(ensemble=False), 5),
        (CalibrationSpec(holdout=0.2), 1),
    ],
    ids=["ensemble", "one model", "holdout"],
)
def test_calibrate_requests_no_more_fits_than_it_needs(spec, fits):
    counted = []
    splitter = (
        holdout_splitter(test_size=0.2, random_state=0)
        if spec.holdout
        else fold_splitter("stratified_kfold", n_splits=4, shuffle=True, random_state=0)
    )
    with ReferenceFitter(TABLE, on_fit=lambda: counted.append(1)) as fit:
        calibrate(spec, PIPELINE, {}, TABLE, OUTER, splitter, fit)
    assert len(counted) == fits
