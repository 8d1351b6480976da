"""Every kind of model and target that an experiment can name goes through a whole workflow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from mlwf import (
    CalibrationSpec,
    CategoricalFeatureSpec,
    ClassifierModelSpec,
    ConfigError,
    DataError,
    GridSearchSpec,
    NumericFeatureSpec,
    build_ml_pipeline,
    run_ml_workflow,
)
from mlwf.engine.label_codes import with_label_codes
from mlwf.engine.model_file import load_model
from mlwf.orchestrator.api import run_experiment
from mlwf.specs.catalogue import ALGORITHMS, takes_sample_weight
from mlwf.specs.loading import load_experiment

SMALL = {
    "gradient_boosting": {"n_estimators": 3},
    "hist_gradient_boosting": {"max_iter": 3},
    "random_forest": {"n_estimators": 3},
    "extra_trees": {"n_estimators": 3},
    "mlp": {"hidden_layer_sizes": [4], "solver": "lbfgs", "max_iter": 2000, "alpha": 1.0},
    "lightgbm": {"n_estimators": 3},
    "xgboost": {"n_estimators": 3},
    "catboost": {"iterations": 3},
}
WEIGHING = [name for name in ALGORITHMS if takes_sample_weight(name)]
NOT_WEIGHING = [name for name in ALGORITHMS if not takes_sample_weight(name)]


def spec(algorithm, **more):
    return ClassifierModelSpec(algorithm=algorithm, hyperparameters=SMALL.get(algorithm, {}), **more)


def values(results):
    return {score.metric: score.value for score in results["scores"]}


@pytest.mark.parametrize("features", ["auto", "written"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_goes_through_a_whole_workflow(mixed, mixed_features, algorithm, features):
    X, y = mixed
    used = "auto" if features == "auto" else mixed_features
    results = run_ml_workflow(used, spec(algorithm), X, y, "train_test", X_test=X[:30], y_test=y[:30])
    assert [phase.status for phase in results["phases"]] == [
        "done", "done", "skipped", "done", "skipped", "skipped", "done", "done", "done", "skipped",
    ]  # fmt: skip
    metrics = {"accuracy", "balanced_accuracy", "roc_auc"} | (set() if algorithm == "svc" else {"log_loss"})
    assert set(values(results)) == metrics
    assert all(np.isfinite(score.value) for score in results["scores"])
    assert set(results["test_predictions"]) <= {"short", "tall"}
    assert not results["warnings"]


@pytest.mark.parametrize("calibrated", [False, True], ids=["plain", "calibrated"])
def test_svc_has_probabilities_once_it_is_calibrated(mixed, mixed_features, calibrated):
    X, y = mixed
    calibration = CalibrationSpec(cv_folds=3) if calibrated else None
    results = run_ml_workflow(mixed_features, spec("svc"), X, y, calibration_spec=calibration)
    assert hasattr(results["pipeline"], "predict_proba") is calibrated
    assert ("log_loss" in values(results)) is calibrated
    assert values(results)["roc_auc"] > 0.5


def test_svc_without_calibration_refuses_a_metric_of_probabilities_before_any_fit(mixed, mixed_features):
    X, y = mixed
    with pytest.raises(ConfigError, match=r"validation\.metrics"):
        run_ml_workflow(mixed_features, spec("svc"), X, y, validation_params={"metrics": ["log_loss"]})


@pytest.mark.parametrize("algorithm", ["gradient_boosting", "svc", "logistic_regression"])
@pytest.mark.parametrize("calibrated", [False, True], ids=["plain", "calibrated"])
def test_three_classes_of_texts_go_through(penguins, algorithm, calibrated):
    X, y = penguins.drop(columns="species"), penguins["species"]
    results = run_ml_workflow(
        "auto",
        spec(algorithm),
        X,
        y,
        validation_params={"cv_folds": 3},
        calibration_spec=CalibrationSpec(method="isotonic") if calibrated else None,
    )
    metrics = {"accuracy", "balanced_accuracy"}
    if algorithm != "svc" or calibrated:
        metrics |= {"roc_auc_ovr", "log_loss"}
    assert set(values(results)) == metrics
    assert values(results)["accuracy"] > 0.9
    assert list(results["pipeline"].classes_) == ["Adelie", "Chinstrap", "Gentoo"]


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (lambda y: y == "tall", [False, True]),
        (lambda y: np.where(y == "tall", 7, -3), [-3, 7]),
        (lambda y: np.where(y == "tall", 1.0, 0.0), [0, 1]),
        (lambda y: np.where(y == "tall", "tall", "short"), ["short", "tall"]),
    ],
    ids=["booleans", "numbers", "floats", "texts"],
)
def test_classes_stay_what_they_are(mixed, mixed_features, target, classes):
    X, y = mixed
    results = run_ml_workflow(mixed_features, spec("gradient_boosting"), X, target(y), "train_test")
    expected = run_ml_workflow(mixed_features, spec("gradient_boosting"), X, y, "train_test")
    assert list(results["pipeline"].classes_) == classes
    assert type(results["pipeline"].predict(X[:1])[0]) in {np.bool_, np.int64, str, np.str_}
    assert values(results) == values(expected)


@pytest.mark.parametrize("positive", ["short", "tall"])
def test_f1_speaks_of_the_positive_class(mixed, mixed_features, positive):
    X, y = mixed
    results = run_ml_workflow(
        mixed_features,
        spec("gradient_boosting"),
        X,
        y,
        "none",
        X_test=X,
        y_test=y,
        positive_class=positive,
        validation_params={"metrics": ["f1", "precision", "recall", "roc_auc"]},
    )
    predicted = results["test_predictions"]
    assert values(results)["f1"] == f1_score(y, predicted, pos_label=positive)
    probability = results["pipeline"].predict_proba(X)[:, 1]
    assert values(results)["roc_auc"] == roc_auc_score(y == "tall", probability)


def test_a_positive_class_that_does_not_occur_is_refused(mixed, mixed_features):
    X, y = mixed
    with pytest.raises(DataError, match="positive_class is the text 'huge', which does not occur"):
        run_ml_workflow(mixed_features, spec("gradient_boosting"), X, y, positive_class="huge")


@pytest.mark.parametrize("algorithm", WEIGHING)
def test_sample_weights_reach_the_fits(mixed, mixed_features, algorithm):
    X, y = mixed
    weight = np.where(X["weight"] > 70, 5.0, 0.5)
    results = run_ml_workflow(mixed_features, spec(algorithm), X, y, "none", sample_weight=weight)
    pipeline = with_label_codes(build_ml_pipeline(mixed_features, spec(algorithm)))
    pipeline.fit(X, y, classifier__sample_weight=weight)
    assert np.array_equal(results["pipeline"].predict(X), pipeline.predict(X))
    unweighted = run_ml_workflow(mixed_features, spec(algorithm), X, y, "none")["pipeline"]
    said = "predict_proba" if hasattr(pipeline, "predict_proba") else "decision_function"
    assert not np.array_equal(getattr(unweighted, said)(X), getattr(pipeline, said)(X))


def test_sample_weights_reach_the_reported_scores(mixed, mixed_features):
    X, y = mixed
    weight = np.where(X["weight"] > 70, 5.0, 0.5)
    results = run_ml_workflow(mixed_features, spec("gradient_boosting"), X, y, sample_weight=weight)
    expected = {"accuracy": [], "balanced_accuracy": [], "roc_auc": [], "log_loss": []}
    for train, test in StratifiedKFold(5).split(X, y):
        pipeline = build_ml_pipeline(mixed_features, spec("gradient_boosting"))
        pipeline.fit(X.iloc[train], y[train], classifier__sample_weight=weight[train])
        labels, proba = pipeline.predict(X.iloc[test]), pipeline.predict_proba(X.iloc[test])
        weighted = {"sample_weight": weight[test]}
        expected["accuracy"].append(accuracy_score(y[test], labels, **weighted))
        expected["balanced_accuracy"].append(balanced_accuracy_score(y[test], labels, **weighted))
        expected["roc_auc"].append(roc_auc_score(y[test] == "tall", proba[:, 1], **weighted))
        expected["log_loss"].append(log_loss(y[test], proba, **weighted))
    assert {score.metric: list(score.folds) for score in results["scores"]} == expected


@pytest.mark.parametrize("algorithm", NOT_WEIGHING)
@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
def test_weights_that_would_have_no_effect_are_refused(mixed, mixed_features, algorithm, how):
    X, y = mixed
    weights = {"sample_weight": np.ones(len(y))} if how == "sample_weight" else {}
    model = spec(algorithm, class_weight="balanced" if how == "class_weight" else None)
    with pytest.raises(ConfigError, match=rf"{how}: has no effect: {algorithm} cannot weigh rows"):
        run_ml_workflow(mixed_features, model, X, y, **weights)


@pytest.mark.parametrize("algorithm", ["logistic_regression", "random_forest", "gradient_boosting", "gaussian_nb"])
def test_balanced_class_weights_are_those_of_each_fits_rows(mixed, mixed_features, algorithm):
    X, y = mixed
    X, y = X[:100], y[:100]
    results = run_ml_workflow(mixed_features, spec(algorithm, class_weight="balanced"), X, y)
    expected = []
    for train, test in StratifiedKFold(5).split(X, y):
        shares = {label: len(train) / (2 * (y[train] == label).sum()) for label in ("short", "tall")}
        pipeline = build_ml_pipeline(mixed_features, spec(algorithm))
        pipeline.fit(X.iloc[train], y[train], classifier__sample_weight=np.array([shares[label] for label in y[train]]))
        expected.append(pipeline.score(X.iloc[test], y[test]))
    assert list(results["scores"][0].folds) == expected


@pytest.mark.parametrize("algorithm", ["logistic_regression", "gradient_boosting"])
def test_class_weights_can_be_given(mixed, mixed_features, algorithm):
    X, y = mixed
    model = spec(algorithm, class_weight={"tall": 9.0, "short": 1})
    results = run_ml_workflow(mixed_features, model, X, y, "none")
    pipeline = build_ml_pipeline(mixed_features, spec(algorithm))
    pipeline.fit(X, y, classifier__sample_weight=np.where(y == "tall", 9.0, 1.0))
    assert np.array_equal(results["pipeline"].predict_proba(X), pipeline.predict_proba(X))


def test_class_weights_of_unknown_classes_are_refused(mixed, mixed_features):
    X, y = mixed
    model = spec("logistic_regression", class_weight={"tal": 9.0})
    with pytest.raises(DataError) as error:
        run_ml_workflow(mixed_features, model, X, y)
    assert str(error.value) == "model.class_weight.tal: is no class of target; accepted: 'short', 'tall'"


def test_folds_that_leave_a_class_unlearnt_are_refused(mixed, mixed_features):
    X, y = mixed
    order = np.argsort(y, kind="stable")
    with pytest.raises(DataError) as error:
        run_ml_workflow(
            mixed_features,
            spec("gaussian_nb"),
            X.iloc[order],
            y[order],
            validation_params={"splitter": "kfold", "cv_folds": 2},
        )
    assert str(error.value) == (
        "validation.splitter: kfold leaves class 'tall' no row to learn from in 1 of 2 folds; "
        "stratified_kfold keeps each class in all"
    )


def test_class_and_sample_weights_multiply(mixed, mixed_features):
    X, y = mixed
    weight = np.linspace(0.5, 2, len(y))
    model = spec("logistic_regression", class_weight={"tall": 3.0})
    results = run_ml_workflow(mixed_features, model, X, y, "none", sample_weight=weight)
    pipeline = build_ml_pipeline(mixed_features, spec("logistic_regression"))
    pipeline.fit(X, y, classifier__sample_weight=np.where(y == "tall", 3.0, 1.0) * weight)
    assert np.array_equal(results["pipeline"].predict_proba(X), pipeline.predict_proba(X))


def test_an_array_is_addressed_by_position_in_the_order_of_the_specs(mixed):
    X, y = mixed
    features = [CategoricalFeatureSpec(columns=["city"]), NumericFeatureSpec(columns=["height", "weight"])]
    array = X[["city", "height", "weight"]].to_numpy(dtype=object)
    results = run_ml_workflow(features, spec("gradient_boosting"), array, y)
    assert values(results) == values(run_ml_workflow(features, spec("gradient_boosting"), X, y))


def test_results_do_not_depend_on_the_number_of_jobs(mixed, mixed_features):
    X, y = mixed

    def run(n_jobs):
        return run_ml_workflow(
            mixed_features,
            spec("hist_gradient_boosting"),
            X,
            y,
            tuning_spec=GridSearchSpec(
                param_grid={"classifier__max_depth": [1, 2], "classifier__max_iter": [2, 3]}, n_jobs=n_jobs
            ),
            calibration_spec=CalibrationSpec(),
            validation_params={"cv_folds": 2},
        )

    one, four = run(1), run(4)
    assert one["scores"] == four["scores"]
    assert one["tuning_summary"] == four["tuning_summary"]
    assert np.array_equal(one["pipeline"].predict_proba(X), four["pipeline"].predict_proba(X))


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "random_forest"])
def test_an_experiment_file_gives_the_same_with_any_number_of_jobs(mixed, tmp_path, algorithm):
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)
    model = {"algorithm": algorithm, "hyperparameters": SMALL[algorithm]}
    written = {"data": {"path": "people.csv", "target": "size"}, "model": model, "calibration": {}}
    written["validation"] = {"cv_folds": 2}
    (tmp_path / "experiment.yaml").write_text(json.dumps(written), "utf-8")

    def run(n_jobs):
        spec, document = load_experiment(tmp_path / "experiment.yaml", [f"compute.n_jobs={n_jobs}"])
        summary = run_experiment(spec, document, runs_dir=tmp_path / str(n_jobs))
        return summary["scores"], load_model(Path(summary["files"]["model"])).predict_proba(X)

    (scores, proba), (other_scores, other_proba) = run(1), run(4)
    assert scores == other_scores
    assert np.array_equal(proba, other_proba)
