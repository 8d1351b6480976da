"""What the guide's call makes of its arguments, and what it refuses before any fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf import (
    CategoricalFeatureSpec,
    ClassifierModelSpec,
    ConfigError,
    DataError,
    DataSpec,
    FeatureStoreSpec,
    FeatureViewSpec,
    NumericFeatureSpec,
    run_ml_workflow,
)

NUMERIC = [NumericFeatureSpec(columns=["height", "weight"])]
BAYES = ClassifierModelSpec(algorithm="gaussian_nb")


@pytest.mark.parametrize(
    ("strategy", "params", "problems"),
    [
        (
            "cross-validation",
            None,
            "validation.strategy: is 'cross-validation'; accepted: cross_validation, none, train_test",
        ),
        ("cross_validation", {"folds": 5}, "validation.folds: unknown key; did you mean cv_folds?"),
        (
            "cross_validation",
            {"cv_folds": 1, "metrics": []},
            "validation.cv_folds: is 1; accepted: at least 2\nvalidation.metrics: is empty",
        ),
        (
            "none",
            {"test_size": 0.5},
            "validation.test_size: has no effect with strategy none; write strategy: train_test, or leave it out",
        ),
    ],
    ids=["strategy", "unknown", "range", "no effect"],
)
def test_a_wrong_validation_is_told_in_full(mixed, strategy, params, problems):
    X, y = mixed
    with pytest.raises(ConfigError) as error:
        run_ml_workflow(NUMERIC, BAYES, X, y, strategy, params)
    assert str(error.value) == problems


def test_hyperparameters_are_checked_before_any_fit(mixed):
    X, y = mixed
    with pytest.raises(ConfigError, match=r"^model\.hyperparameters\.var_smoothin: "):
        run_ml_workflow(
            NUMERIC, ClassifierModelSpec(algorithm="gaussian_nb", hyperparameters={"var_smoothin": 1}), X, y
        )


def test_the_model_is_named_after_its_algorithm_where_it_has_no_name(mixed):
    X, y = mixed
    assert run_ml_workflow(NUMERIC, BAYES, X, y, "none")["model_name"] == "gaussian_nb"


def test_test_size_only_speaks_of_train_test(mixed):
    X, y = mixed
    results = run_ml_workflow(NUMERIC, BAYES, X, y, "train_test", None, 0.3)
    assert results["scores"][0].n_rows == 45
    assert run_ml_workflow(NUMERIC, BAYES, X, y, "cross_validation", None, 0.3)["scores"][0].n_rows == 150


def test_validation_params_win_over_the_shorter_way(mixed):
    X, y = mixed
    results = run_ml_workflow(NUMERIC, BAYES, X, y, "train_test", {"test_size": 0.4})
    assert results["scores"][0].n_rows == 60


def test_auto_features_need_names(mixed):
    X, y = mixed
    with pytest.raises(DataError, match="auto needs a DataFrame"):
        run_ml_workflow("auto", BAYES, X[["height", "weight"]].to_numpy(), y)


def test_a_run_is_kept_where_a_folder_is_named(mixed, tmp_path):
    X, y = mixed
    results = run_ml_workflow(NUMERIC, BAYES, X, y, "none", runs_dir=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == results["run_id"]
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "data.json", "environment.txt", "model.skops", "run.log", "splits.npz", "state.json",
        "summary.json",
    }  # fmt: skip


def test_nothing_is_written_where_no_folder_is_named(mixed, tmp_path, monkeypatch):
    X, y = mixed
    monkeypatch.chdir(tmp_path)
    run_ml_workflow(NUMERIC, BAYES, X, y)
    assert not list(tmp_path.iterdir())


def test_the_callers_data_stay_as_they_are(mixed, mixed_features):
    X, y = mixed
    X_before, y_before = X.copy(), y.copy()
    run_ml_workflow(mixed_features, BAYES, X, y)
    pd.testing.assert_frame_equal(X, X_before)
    assert np.array_equal(y, y_before)


@pytest.fixture
def store(mixed, tmp_path):
    """Give a Feast repo with the heights and weights of people, and label rows that name the people."""
    X, y = mixed
    people = X.assign(person=np.arange(len(X)))
    people[["person", "height", "weight"]].to_parquet(tmp_path / "people.parquet")
    people.assign(size=y, importance=1.0)[["person", "city", "size", "importance"]].to_parquet(
        tmp_path / "labels.parquet"
    )
    view = FeatureViewSpec(name="people", source=str(tmp_path / "people.parquet"), entity="person")
    return FeatureStoreSpec(
        repo_path=str(tmp_path / "repo"),
        views=[view],
        initialize=True,
        labels=DataSpec(path=str(tmp_path / "labels.parquet"), target="size"),
    )


def test_features_of_a_store_give_the_results_of_the_same_table(mixed, store):
    X, y = mixed
    features = [*NUMERIC, CategoricalFeatureSpec(columns=["city"])]
    test = {"X_test": X[:40], "y_test": y[:40], "positive_class": "short", "validation_params": {"metrics": ["f1"]}}
    joined = run_ml_workflow(features, BAYES, None, None, feature_store_spec=store, **test)
    plain = run_ml_workflow(features, BAYES, X, y, **test)
    assert joined["scores"] == plain["scores"]
    assert joined["test_accuracy"] == plain["test_accuracy"]
    assert joined["feature_store_enabled"] is True


def test_a_store_without_label_rows_or_with_weights_elsewhere_is_refused(mixed, store):
    _, y = mixed
    with pytest.raises(DataError) as no_labels:
        run_ml_workflow(NUMERIC, BAYES, None, None, feature_store_spec=store.model_copy(update={"labels": None}))
    assert str(no_labels.value) == (
        "feature_store_spec.labels: names no label rows; accepted: a DataSpec with path and target"
    )
    with pytest.raises(DataError) as weights:
        run_ml_workflow(NUMERIC, BAYES, None, None, feature_store_spec=store, sample_weight=np.ones(len(y)))
    assert str(weights.value) == (
        "sample_weight: cannot be given with a feature store; that of label rows is a column: "
        "feature_store_spec.labels.sample_weight names it"
    )


def test_a_store_that_is_not_enabled_is_left_alone(mixed, store):
    X, y = mixed
    results = run_ml_workflow(NUMERIC, BAYES, X, y, feature_store_spec=store.model_copy(update={"enabled": False}))
    assert results["feature_store_enabled"] is False
