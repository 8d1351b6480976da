"""The scores of a workflow are the very scores of plain scikit-learn, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split

from mlwf import (
    CalibrationSpec,
    ClassifierModelSpec,
    GridSearchSpec,
    NumericFeatureSpec,
    build_ml_pipeline,
    run_ml_workflow,
)

MODEL = ClassifierModelSpec(algorithm="gradient_boosting", hyperparameters={"n_estimators": 5, "subsample": 0.7})
GRID = {"classifier__max_depth": [1, 3], "classifier__learning_rate": [0.1, 0.5]}


@pytest.fixture(params=["frame", "array"])
def rows(request, mixed, mixed_features):
    """Give X, y, features and scikit-learn's pipeline, for a DataFrame and for an array."""
    X, y = mixed
    if request.param == "frame":
        return X, y, mixed_features, build_ml_pipeline(mixed_features, MODEL)
    X = X[["height", "weight"]].to_numpy()
    features = [NumericFeatureSpec(columns=["height"]), NumericFeatureSpec(columns=["weight"], scaler="robust")]
    return X, y, features, build_ml_pipeline(features, MODEL, by_position=True)


@pytest.mark.parametrize("cv_folds", [3, 5])
def test_cross_validation_equals_cross_val_score(rows, cv_folds):
    X, y, features, pipeline = rows
    results = run_ml_workflow(features, MODEL, X, y, validation_params={"cv_folds": cv_folds})
    scores = cross_val_score(pipeline, X, y, cv=cv_folds, scoring="accuracy")
    assert results["scores"][0].folds == tuple(scores)
    assert (results["cv_score"], results["cv_std"]) == (scores.mean(), scores.std())


@pytest.mark.parametrize(
    ("metric", "scorer", "sign"),
    [("roc_auc", "roc_auc", 1), ("log_loss", "neg_log_loss", -1), ("brier_score", "neg_brier_score", -1)],
)
def test_reported_metrics_equal_cross_val_score(mixed, mixed_features, metric, scorer, sign):
    X, y = mixed
    y = (y == "tall").astype(int)  # scikit-learn's own scorers refuse texts here
    results = run_ml_workflow(mixed_features, MODEL, X, y, validation_params={"metrics": [metric]})
    scores = cross_val_score(build_ml_pipeline(mixed_features, MODEL), X, y, cv=5, scoring=scorer)
    (found,) = (score for score in results["scores"] if score.metric == metric)
    assert found.folds == tuple(sign * scores)


def test_shuffled_folds_equal_cross_val_score(mixed, mixed_features):
    X, y = mixed
    results = run_ml_workflow(mixed_features, MODEL, X, y, validation_params={"shuffle": True}, random_state=3)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    scores = cross_val_score(build_ml_pipeline(mixed_features, MODEL, random_state=3), X, y, cv=folds)
    assert results["scores"][0].folds == tuple(scores)


def test_tuning_and_calibration_equal_the_chain_of_scikit_learn(rows):
    X, y, features, pipeline = rows
    results = run_ml_workflow(
        features,
        MODEL,
        X,
        y,
        validation_params={"cv_folds": 5},
        tuning_spec=GridSearchSpec(param_grid=GRID),
        calibration_spec=CalibrationSpec(),
    )
    search = GridSearchCV(pipeline, GRID, cv=5, scoring="accuracy").fit(X, y)
    chain = CalibratedClassifierCV(search.best_estimator_, cv=5)
    scores = cross_val_score(chain, X, y, cv=5, scoring="accuracy")
    assert results["tuning_summary"]["best_params"] == search.best_params_
    assert results["tuning_summary"]["best_score"] == search.best_score_
    assert results["scores"][0].folds == tuple(scores)
    assert np.array_equal(results["pipeline"].predict_proba(X), chain.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration_without_ensemble_equals_scikit_learns(mixed, mixed_features, method):
    X, y = mixed
    spec = CalibrationSpec(method=method, ensemble=False, cv_folds=3)
    results = run_ml_workflow(mixed_features, MODEL, X, y, calibration_spec=spec, validation_params={"cv_folds": 2})
    chain = CalibratedClassifierCV(build_ml_pipeline(mixed_features, MODEL), method=method, cv=3, ensemble=False)
    assert results["scores"][0].folds == tuple(cross_val_score(chain, X, y, cv=2, scoring="accuracy"))
    assert np.array_equal(results["pipeline"].predict_proba(X), chain.fit(X, y).predict_proba(X))


def test_train_test_equals_a_stratified_split_of_scikit_learn(rows):
    X, y, features, pipeline = rows
    results = run_ml_workflow(features, MODEL, X, y, validation_strategy="train_test", test_size=0.3, random_state=42)
    X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.3, random_state=42, stratify=y)
    assert results["val_score"] == pipeline.fit(X_train, y_train).score(X_val, y_val)
    assert np.array_equal(results["pipeline"].predict_proba(X), pipeline.predict_proba(X))
