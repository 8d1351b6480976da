"""Calibrators fitted from stored predictions equal scikit-learn's own, bit for bit."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlwf.engine.calibrators import METHODS, CalibrationMethod, fit_calibrators, with_models, with_predictions
from mlwf.engine.requests import FitRequest
from mlwf.evaluation.predictions import gather, predict
from mlwf.specs.experiment import CalibrationSpec
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

CLASSIFIERS = {
    "logistic_regression": LogisticRegression(),
    "svc": SVC(),
    "gaussian_nb": GaussianNB(),
    "gradient_boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
}


@pytest.mark.parametrize("ensemble", [True, False], ids=["ensemble", "one model"])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], ["a", "b", "c"]], ids=["binary", "strings", "multiclass"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_calibrators_equal_calibrated_classifier_cv(labels, classifier, method, ensemble, weighted):
    X, codes = make_classification(150, 6, n_informative=5, n_redundant=0, n_classes=len(labels), random_state=0)
    y = np.array(labels, dtype=object if isinstance(labels[0], str) else int)[codes]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    # A Pipeline cannot route weights through CalibratedClassifierCV, so the weighted reference is a bare classifier.
    estimator = classifier if weighted else Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    reference = CalibratedClassifierCV(clone(estimator), method=method, cv=folds, ensemble=ensemble)
    reference.fit(X, y, sample_weight=weight)

    table = Table(X, y, weight)
    splits = fold_splitter("stratified_kfold", n_splits=4, shuffle=True, random_state=3)(table, table.all_rows)
    with ReferenceFitter(table, n_jobs=2) as fit:
        results = fit([FitRequest(estimator, {}, split.train, (split.test,), keep_model=True) for split in splits])
        (whole,) = fit([FitRequest(estimator, {}, table.all_rows, keep_model=True)])
    positions = [split.test.index for split in splits]
    predictions = gather([result.predictions[0] for result in results], positions)
    calibrated = fit_calibrators(predictions, y, weight=weight, folds=positions, method=method, ensemble=ensemble)
    models = [result.model for result in results] if ensemble else [whole.model]

    shipped = with_models(calibrated, models, estimator=estimator, cv=4)
    stored = with_predictions(calibrated, [predict(model, X) for model in models])

    assert np.array_equal(shipped.predict_proba(X), reference.predict_proba(X))
    assert np.array_equal(shipped.predict(X), reference.predict(X))
    assert np.array_equal(stored.proba, reference.predict_proba(X))
    assert np.array_equal(stored.labels, reference.predict(X))
    assert shipped.n_features_in_ == reference.n_features_in_
    assert shipped.cv == 4


def _fit_isotonic(scores, is_class, weight):
    return IsotonicRegression(out_of_bounds="clip").fit(scores, is_class.astype(float), weight)


@pytest.mark.parametrize("ensemble", [True, False], ids=["ensemble", "one model"])
@pytest.mark.parametrize("classifier", [GaussianNB(), LogisticRegression()], ids=["probabilities", "decision values"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_method_that_scikit_learn_lacks_is_an_entry(monkeypatch, n_classes, classifier, ensemble):
    """Isotonic regression in the place of the sigmoid's calibrators gives the isotonic calibration."""
    monkeypatch.setitem(METHODS, "own", CalibrationMethod("sigmoid", _fit_isotonic))
    X, y = make_classification(150, 6, n_informative=5, n_redundant=0, n_classes=n_classes, random_state=0)
    predictions = predict(clone(classifier).fit(X[::2], y[::2]), X)
    folds = [np.arange(0, 150, 2), np.arange(1, 150, 2)]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))

    def calibrate(method):
        fitted = fit_calibrators(predictions, y, weight=weight, folds=folds, method=method, ensemble=ensemble)
        return with_predictions(fitted, [predictions] * (2 if ensemble else 1))

    assert np.array_equal(calibrate("own").proba, calibrate("isotonic").proba)


def test_every_method_of_the_spec_has_its_entry():
    assert set(get_args(CalibrationSpec.model_fields["method"].annotation)) == set(METHODS)
