"""By which models, and on which rows, the importances of a run are measured; a fit is made where there is no model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mlwf import (
    CalibrationSpec,
    CandidateModelSpec,
    ClassifierModelSpec,
    EnsembleSpec,
    GridSearchSpecBuilder,
    NumericFeatureSpec,
    ThresholdSpec,
    run_ml_workflow,
)
from mlwf.orchestrator import evaluation_phases, run_importances

DRAW = np.random.default_rng(0)
X = pd.DataFrame({"signal": DRAW.normal(size=150), "noise": DRAW.normal(size=150)})
Y = pd.Series(np.where(X["signal"] + DRAW.normal(0, 0.4, 150) > 0, "yes", "no"), name="y")
FEATURES = [NumericFeatureSpec(columns=["signal", "noise"])]
BAYES = ClassifierModelSpec(algorithm="gaussian_nb")
TUNED = {
    "tuning_spec": GridSearchSpecBuilder()
    .set_param_grid({"classifier__var_smoothing": [1e-9, 1e-3]})
    .set_cv_folds(3)
    .build()
}
SIGMOID = {"calibration_spec": CalibrationSpec(method="sigmoid")}
TEST = {"X_test": X, "y_test": Y}
FOLDS = "out-of-fold predictions of 150 rows, each by a model of other folds"


def importances_of(model=BAYES, strategy="cross_validation", **options):
    results = run_ml_workflow(FEATURES, model, X, Y, strategy, options.pop("params", {"cv_folds": 3}), **options)
    return results["importances"]


@pytest.mark.parametrize(
    ("options", "n_models", "n_rows", "note"),
    [
        ({}, 3, 150, FOLDS),
        (TUNED, 3, 150, f"{FOLDS}; tuned on the same rows"),
        (SIGMOID, 3, 150, FOLDS),
        (SIGMOID | {"threshold_spec": ThresholdSpec(scoring="f1")}, 3, 150, FOLDS),
        (TUNED | {"params": {"cv_folds": 3, "nested": True}}, 3, 150, f"{FOLDS}; tuned on the same rows"),
        ({"params": {"cv_folds": 3, "n_repeats": 2, "splitter": "repeated_stratified_kfold"}}, 3, 150, FOLDS),
        (TEST, 1, 150, "test set of 150 rows that no step before saw"),
        (
            {"strategy": "train_test", "params": {"refit": True}},
            1,
            30,
            "hold-out of 30 rows, split off before anything was fitted; of the model before the refit",
        ),
    ],
    ids=["plain", "tuned", "calibrated", "calibrated, with a threshold", "nested", "repeated", "test set", "refit"],
)
def test_they_are_measured_on_rows_that_the_model_did_not_learn_from(options, n_models, n_rows, note):
    found = importances_of(**options)
    assert (found["n_models"], found["n_rows"], found["note"]) == (n_models, n_rows, note)
    assert found["columns"][0]["columns"] == ("signal",)
    assert all(first["value"] >= second["value"] for first, second in pairwise(found["columns"]))


def test_the_average_of_several_models_has_importances_too():
    models = {
        "bayes": CandidateModelSpec(algorithm="gaussian_nb"),
        "linear": CandidateModelSpec(algorithm="logistic_regression"),
    }
    found = importances_of(models, ensemble_spec=EnsembleSpec(size=5, keep="always"))
    assert found["available"]
    assert found["columns"][0]["columns"] == ("signal",)


def test_no_fit_is_made_for_them_where_models_are_kept(monkeypatch):
    def count(**options):
        phases = run_ml_workflow(FEATURES, BAYES, X, Y, validation_params={"cv_folds": 3}, **options)["phases"]
        return [phase.fits for phase in phases]

    with_importances = count(**TUNED)
    monkeypatch.setattr(evaluation_phases, "add_importances", lambda run: run)
    assert count(**TUNED) == with_importances


def test_where_the_run_keeps_no_model_of_a_fold_one_is_fitted():
    found = importances_of(calibration_spec=CalibrationSpec(method="sigmoid", ensemble=False))
    note = "out-of-fold predictions of 50 rows, each by a model of other folds; 1 model of a fold fitted for this alone"
    assert (found["n_models"], found["n_fitted"], found["note"]) == (1, 1, note)
    assert found["columns"][0]["columns"] == ("signal",)


def test_a_member_of_an_ensemble_that_is_not_kept_is_stood_for_by_the_best_of_its_model():
    grid = {"strategy": "grid", "param_grid": {"classifier__n_neighbors": [2, 4, 8, 16]}}
    models = {
        "near": CandidateModelSpec(algorithm="knn", tuning=grid),
        "tree": CandidateModelSpec(algorithm="decision_tree", hyperparameters={"max_leaf_nodes": 4}),
    }
    found = importances_of(models, ensemble_spec=EnsembleSpec(size=5, keep="always"))
    assert (found["n_models"], found["n_rows"], found["n_fitted"]) == (3, 150, 0)
    assert 0 < found["share_as_shipped"] < 1


def test_without_a_validation_the_models_of_the_search_serve():
    assert importances_of(strategy="none", params={}, **TUNED)["note"] == f"{FOLDS}; tuned on the same rows"
    assert importances_of(strategy="none", params={}) == {"available": False, "note": run_importances.NO_ROWS}


def test_a_model_that_fails_on_shuffled_rows_does_not_stop_the_run(monkeypatch):
    def fail(*args, **options):
        raise ValueError("no such combination")

    monkeypatch.setattr(run_importances, "measure_importances", fail)
    found = importances_of()
    assert found == {"available": False, "note": "they could not be measured: no such combination"}
