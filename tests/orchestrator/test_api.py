"""What `run_ml_workflow` makes of its arguments, and what it refuses before any fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    FixedThresholdClassifier,
    PredefinedSplit,
    StratifiedGroupKFold,
    TimeSeriesSplit,
    cross_val_score,
)

from mlwf import (
    CalibrationSpec,
    CategoricalFeatureSpec,
    ClassifierModelSpec,
    ConfigError,
    DataError,
    DataSpec,
    FeatureStoreSpec,
    FeatureViewSpec,
    GateSpec,
    NumericFeatureSpec,
    ThresholdSpec,
    build_ml_pipeline,
    run_ml_workflow,
)
from mlwf.evaluation.scored_rows import read_scored_rows

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
    folder = tmp_path / "runs" / results["run_id"]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {".fits", folder.name}
    assert (results["run"].path, results["run"].status) == (folder, "done")
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "data.json", "environment.txt", "model.skops", "profile.json", "run.log", "splits.npz",
        "state.json", "summary.json", "table_schema.json", "training_rows.npz",
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["cross_validation", "train_test"])
def test_the_scores_follow_from_the_predictions_that_a_run_keeps(mixed, tmp_path, strategy):
    X, y = mixed
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    groups = np.arange(len(X)) // 2
    results = run_ml_workflow(
        NUMERIC, BAYES, X, y, strategy, {"metrics": ["accuracy"]}, X_test=X, y_test=y, sample_weight=weight,
        groups=groups, runs_dir=tmp_path,
    )  # fmt: skip
    folder = tmp_path / results["run_id"]
    index = dict(np.load(folder / "splits.npz"))
    for score in results["scores"]:
        rows = read_scored_rows(folder / "predictions" / f"{score.source}.npz")
        assert rows.classes[rows.y].tolist() == np.asarray(y)[rows.index].astype(str).tolist()
        is_right, counts = rows.y == rows.predicted, np.ones(len(y)) if rows.weight is None else rows.weight
        if score.source == "cross_validation":
            parts = [np.isin(rows.index, index[name]) for name in score.rows]
            assert score.value == pytest.approx(np.mean([np.average(is_right[at], weights=counts[at]) for at in parts]))
        else:
            assert score.value == pytest.approx(np.average(is_right, weights=counts))
        # Rows of weight 0 are kept, and the two rows of a group stay together.
        assert score.source == "test" or (rows.weight.min() == 0 and len(np.unique(rows.units)) == len(rows) / 2)


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


@pytest.mark.parametrize("name", ["groups", "time", "fold"])
def test_what_label_rows_carry_is_named_by_the_store(mixed, store, name):
    with pytest.raises(DataError) as refused:
        run_ml_workflow(NUMERIC, BAYES, None, None, feature_store_spec=store, **{name: np.arange(150)})
    assert str(refused.value) == (
        f"{name}: cannot be given with a feature store; that of label rows is a column: "
        f"feature_store_spec.labels.{name} names it"
    )


# How rows are split


def scores_of(mixed, cv, order=None, **options):
    """Give what scikit-learn scores, on the rows in that order."""
    X, y = mixed
    order = np.arange(len(y)) if order is None else order
    return cross_val_score(build_ml_pipeline(NUMERIC, BAYES), X.iloc[order], y[order], cv=cv, **options).tolist()


def test_groups_are_kept_together_as_scikit_learn_does(mixed):
    people = np.random.default_rng(0).integers(0, 30, 150)
    results = run_ml_workflow(NUMERIC, BAYES, *mixed, groups=people)
    assert list(results["scores"][0].folds) == scores_of(mixed, StratifiedGroupKFold(5), groups=people)
    assert results["scores"][0].note == (
        "5-fold stratified cross-validation of 150 rows, groups of (groups) kept together"
    )


def test_time_splits_the_rows_as_scikit_learn_does_when_they_are_in_order(mixed):
    time = np.random.default_rng(0).permutation(150)
    results = run_ml_workflow(NUMERIC, BAYES, *mixed, validation_params={"cv_folds": 4, "gap": 3}, time=time)
    expected = scores_of(mixed, TimeSeriesSplit(4, gap=3), order=np.argsort(time))
    assert list(results["scores"][0].folds) == expected
    named = run_ml_workflow(
        NUMERIC, BAYES, *mixed, validation_params={"cv_folds": 4, "gap": 3}, time=np.datetime64("2024-01-01") + time
    )
    assert named["scores"] == results["scores"]


def test_named_folds_are_those_of_scikit_learn(mixed):
    fold = np.random.default_rng(0).integers(0, 3, 150)
    results = run_ml_workflow(NUMERIC, BAYES, *mixed, fold=fold)
    assert list(results["scores"][0].folds) == scores_of(mixed, PredefinedSplit(fold))
    named = run_ml_workflow(NUMERIC, BAYES, *mixed, fold=np.array(["a", "b", "c"])[fold])
    assert named["scores"] == results["scores"]


SPLITS = {
    "folds are given": (
        {"fold": np.arange(150) % 3, "validation_params": {"cv_folds": 4}},
        ConfigError,
        "validation.cv_folds: has no effect with splitter predefined_split (from data.fold); leave it out",
    ),
    "groups and time": (
        {"groups": np.arange(150) % 9, "time": np.arange(150)},
        ConfigError,
        (
            "data.groups: competes with data.time: validation.splitter must say which of the two draws the folds; "
            "accepted: stratified_group_kfold (time has no part), time_series_split (groups are kept apart too)"
        ),
    ),
    "groups that are not kept": (
        {"groups": np.arange(150) % 9, "validation_params": {"splitter": "stratified_kfold"}},
        ConfigError,
        (
            "validation.splitter: is 'stratified_kfold', which would train and evaluate on rows of one group "
            "(data.groups); accepted: stratified_group_kfold, leave_one_group_out, time_series_split, predefined_split"
        ),
    ),
    "no groups": (
        {"validation_params": {"splitter": "leave_one_group_out"}},
        ConfigError,
        "validation.splitter: is 'leave_one_group_out', which needs data.groups; name the column there",
    ),
    "too few groups": (
        {"groups": np.arange(149)},
        DataError,
        "(in memory)  groups: has 149 rows and X has 150",
    ),
    "a missing time": (
        {"time": [None, *range(149)]},
        DataError,
        "(in memory)  time: 1 of 150 values missing, and every row needs a time",
    ),
}


@pytest.mark.parametrize(("options", "kind", "message"), SPLITS.values(), ids=SPLITS)
def test_a_split_that_cannot_be_is_refused(mixed, options, kind, message):
    with pytest.raises(kind) as refused:
        run_ml_workflow(NUMERIC, BAYES, *mixed, **options)
    assert str(refused.value) == message


# Calibration, threshold and gates


def test_a_calibration_is_kept_unless_its_spec_says_better(mixed):
    model = ClassifierModelSpec(algorithm="logistic_regression")
    summaries = {
        keep: run_ml_workflow(
            NUMERIC, model, *mixed, "none", calibration_spec=CalibrationSpec(method="isotonic", cv_folds=3, **keep_as)
        )["calibration_summary"]
        for keep, keep_as in (("left out", {}), ("always", {"keep": "always"}), ("better", {"keep": "better"}))
    }
    assert {keep: summary["kept"] for keep, summary in summaries.items()} == {
        "left out": True, "always": True, "better": False,
    }  # fmt: skip
    assert summaries["left out"] == summaries["always"]
    assert summaries["left out"]["reason"].startswith("as `keep: always` asks; out-of-fold log loss ")


def test_a_threshold_travels_with_the_model(mixed):
    X, y = mixed
    results = run_ml_workflow(
        NUMERIC, BAYES, X, y, "none", threshold_spec=ThresholdSpec(scoring="f1"), X_test=X, y_test=y
    )
    plain = run_ml_workflow(NUMERIC, BAYES, X, y, "none")
    threshold = results["threshold_summary"]
    assert threshold["scoring"] == "f1"
    assert isinstance(results["pipeline"], FixedThresholdClassifier)
    tall = plain["pipeline"].predict_proba(X)[:, 1] >= threshold["value"]
    assert results["test_predictions"].tolist() == np.where(tall, "tall", "short").tolist()
    assert results["pipeline"].predict(X).tolist() == results["test_predictions"].tolist()
    assert (results["threshold_enabled"], plain["threshold_enabled"]) == (True, False)
    assert "threshold_summary" not in plain


def test_a_threshold_is_that_of_the_positive_class(mixed):
    X, y = mixed
    options = {"threshold_spec": ThresholdSpec(scoring="precision"), "positive_class": "short"}
    results = run_ml_workflow(NUMERIC, BAYES, X, y, "none", **options)
    assert results["pipeline"].pos_label == "short"
    short = results["pipeline"].predict_proba(X)[:, 0] >= results["threshold_summary"]["value"]
    assert results["pipeline"].predict(X).tolist() == np.where(short, "short", "tall").tolist()


def test_gates_are_judged_and_raise_nothing(mixed):
    gates = [GateSpec(metric="accuracy", min=0.6), GateSpec(metric="accuracy", min=0.99, bound="lower")]
    results = run_ml_workflow(NUMERIC, BAYES, *mixed, gates=gates)
    assert [(gate.passed, gate.source) for gate in results["gates"]] == [
        (True, "cross_validation"), (False, "cross_validation"),
    ]  # fmt: skip
    assert results["gates"][1].asked == "accuracy at least 0.99 (lower end of its 95 % interval)"
    assert results["pipeline"] is not None
    assert not run_ml_workflow(NUMERIC, BAYES, *mixed, "none")["gates"]


def test_a_gate_on_test_rows_needs_them(mixed):
    gate = GateSpec(metric="accuracy", min=0.5, source="test")
    with pytest.raises(DataError) as refused:
        run_ml_workflow(NUMERIC, BAYES, *mixed, gates=[gate])
    assert str(refused.value) == "gates.0.source: is 'test', and the run has no test set; accepted: cross_validation"
    X, y = mixed
    results = run_ml_workflow(NUMERIC, BAYES, X, y, gates=[gate], X_test=X, y_test=y)
    assert [gate.source for gate in results["gates"]] == ["test"]
