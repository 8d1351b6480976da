"""No row influences a score that is computed on it, and every score says how it was got."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedKFold

from mlwf import (
    CalibrationSpec,
    ClassifierModelSpec,
    GridSearchSpec,
    NumericFeatureSpec,
    ThresholdSpec,
    build_ml_pipeline,
    run_ml_workflow,
)
from mlwf.engine.engine import Engine
from mlwf.engine.model_file import load_model
from mlwf.modules.calibration import calibrate
from mlwf.modules.runs import find_run
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table
from mlwf.splitting.splitters import fold_splitter, holdout_splitter
from tests.reference_fitter import ReferenceFitter

BOOSTING = ClassifierModelSpec(algorithm="gradient_boosting", hyperparameters={"n_estimators": 4})
BALANCED = BOOSTING.model_copy(update={"class_weight": "balanced"})
TUNING = GridSearchSpec(param_grid={"classifier__max_depth": [1, 2]}, cv_folds=2)
CALIBRATION = CalibrationSpec(cv_folds=2)

WORKFLOWS = {
    "plain": (BOOSTING, {}),
    "auto": (BOOSTING, {"features": "auto"}),
    "tuned": (BOOSTING, {"tuning_spec": TUNING}),
    "calibrated": (BOOSTING, {"calibration_spec": CALIBRATION}),
    "single": (BOOSTING, {"calibration_spec": CalibrationSpec(cv_folds=2, ensemble=False)}),
    "holdout": (BOOSTING, {"calibration_spec": CalibrationSpec(holdout=0.3)}),
    "weighted": (BOOSTING, {"weighted": True}),
    "balanced": (BALANCED, {}),
    "everything": (
        BALANCED,
        {"features": "auto", "tuning_spec": TUNING, "calibration_spec": CALIBRATION, "weighted": True},
    ),
}


def spoilt(X, y, rows, rng):
    """Change features and labels of some rows beyond recognition, and leave the way in which rows are split alone."""
    X, y = X.copy(), y.copy()
    numbers, texts = X.select_dtypes("number").columns, X.select_dtypes(exclude="number").columns
    X.loc[rows, numbers] = rng.normal(1e4, 1e5, (len(rows), len(numbers)))
    X.loc[rows, texts] = "never seen"
    # A stratified split goes by the order of each class's rows: neighbours may swap their labels.
    swapped = 0
    for row in sorted(rows)[:-1]:
        if row + 1 in rows and y[row] != y[row + 1]:
            y[row], y[row + 1] = y[row + 1], y[row]
            swapped += 1
    assert swapped >= 2
    return X, y


@pytest.mark.parametrize(("model", "options"), WORKFLOWS.values(), ids=WORKFLOWS)
def test_a_held_out_row_has_no_say_in_the_model(mixed, mixed_features, model, options):
    X, y = mixed
    rng = np.random.default_rng(0)
    options = dict(options)
    features = options.pop("features", mixed_features)
    weight = rng.uniform(0.5, 2, len(y)) if options.pop("weighted", False) else None
    (split,) = holdout_splitter(test_size=0.2, random_state=42)(Table(X, y), Rows(np.arange(len(y))))
    X_spoilt, y_spoilt = spoilt(X, y, split.test.index, rng)
    weight_spoilt = None
    if weight is not None:
        weight_spoilt = weight.copy()
        weight_spoilt[split.test.index] = rng.uniform(5, 9, len(split.test))

    def run(X, y, weight):
        return run_ml_workflow(features, model, X, y, validation_strategy="train_test", sample_weight=weight, **options)

    before, after = run(X, y, weight), run(X_spoilt, y_spoilt, weight_spoilt)
    assert np.array_equal(before["pipeline"].predict_proba(X), after["pipeline"].predict_proba(X))
    assert before.get("tuning_summary") == after.get("tuning_summary")
    assert before["scores"] != after["scores"]


@pytest.mark.parametrize("ensemble", [True, False], ids=["ensemble", "single"])
def test_a_judged_row_has_no_say_in_its_folds_model_or_calibrators(mixed, mixed_features, ensemble):
    X, y = mixed
    folds = StratifiedKFold(3).split(X, y)
    pipeline = build_ml_pipeline(mixed_features, BOOSTING)
    for train, test in folds:
        X_spoilt, y_spoilt = spoilt(X, y, test, np.random.default_rng(0))
        said = []
        for table in (Table(X, y), Table(X_spoilt, y_spoilt)):
            with ReferenceFitter(table) as fit:
                trained = calibrate(
                    CalibrationSpec(ensemble=ensemble),
                    pipeline,
                    {},
                    table,
                    Split(Rows(train), NO_ROWS),
                    fold_splitter("stratified_kfold", n_splits=3, shuffle=True, random_state=1),
                    fit,
                    keep_model=True,
                )
            said.append(trained.model.predict_proba(X))
        assert np.array_equal(*said)


@pytest.mark.parametrize("strategy", ["cross_validation", "train_test"])
@pytest.mark.parametrize("tuned", [False, True], ids=["untuned", "tuned"])
def test_every_score_says_how_it_was_got(mixed, mixed_features, strategy, tuned):
    X, y = mixed
    results = run_ml_workflow(
        mixed_features,
        BOOSTING,
        X[:120],
        y[:120],
        strategy,
        X_test=X[120:],
        y_test=y[120:],
        tuning_spec=TUNING if tuned else None,
    )
    on_same_rows = tuned and strategy == "cross_validation"
    n_rows = {"cross_validation": 120, "train_test": 24, "test": 30}
    assert {score.source for score in results["scores"]} == {strategy, "test"}
    for score in results["scores"]:
        assert score.tuned_on_same_rows is (on_same_rows and score.source != "test")
        assert ("tuned on the same rows" in score.note) is score.tuned_on_same_rows
        assert score.n_rows == n_rows[score.source]
        assert f"of {score.n_rows} rows" in score.note
        assert score.baseline is not None


def test_a_tuning_that_failed_is_not_said_to_have_chosen(mixed, mixed_features):
    X, y = mixed
    results = run_ml_workflow(
        mixed_features,
        ClassifierModelSpec(algorithm="knn"),
        X,
        y,
        tuning_spec=GridSearchSpec(param_grid={"classifier__n_neighbors": [1000]}),
    )
    assert not any(score.tuned_on_same_rows for score in results["scores"])


def test_the_note_tells_of_inferred_features_and_weights(mixed):
    X, y = mixed
    results = run_ml_workflow("auto", BOOSTING, X, y, sample_weight=np.ones(len(y)))
    assert results["scores"][0].note == (
        "5-fold stratified cross-validation of 150 rows, not shuffled; features inferred on the same rows; "
        "weighted by sample_weight"
    )


def test_the_baseline_knows_only_the_class_shares_of_the_training_rows(mixed, mixed_features):
    X, y = mixed
    results = run_ml_workflow(mixed_features, BOOSTING, X, y, "train_test", validation_params={"metrics": ["log_loss"]})
    (split,) = holdout_splitter(test_size=0.2, random_state=42)(Table(X, y), Rows(np.arange(len(y))))
    share = (y[split.train.index] == "tall").mean()
    is_tall = y[split.test.index] == "tall"
    accuracy, log_loss = results["scores"]
    assert accuracy.baseline == (is_tall == (share > 0.5)).mean()
    assert log_loss.baseline == pytest.approx(-np.mean(np.where(is_tall, np.log(share), np.log(1 - share))))


def test_the_model_of_train_test_is_the_one_that_was_scored(mixed, mixed_features):
    X, y = mixed
    results = run_ml_workflow(mixed_features, BOOSTING, X, y, "train_test")
    (split,) = holdout_splitter(test_size=0.2, random_state=42)(Table(X, y), Rows(np.arange(len(y))))
    held_out = X.iloc[split.test.index], y[split.test.index]
    assert results["pipeline"].score(*held_out) == results["val_score"]
    assert not results["warnings"]


@pytest.mark.parametrize("calibration", [None, CALIBRATION], ids=["plain", "calibrated"])
def test_a_refit_ships_another_model_and_says_so(mixed, mixed_features, calibration):
    X, y = mixed
    options = {"calibration_spec": calibration}
    scored = run_ml_workflow(mixed_features, BOOSTING, X, y, "train_test", **options)
    refit = run_ml_workflow(mixed_features, BOOSTING, X, y, "train_test", validation_params={"refit": True}, **options)
    whole = run_ml_workflow(mixed_features, BOOSTING, X, y, "none", validation_params={"shuffle": False}, **options)
    assert refit["val_score"] == scored["val_score"]
    assert np.array_equal(refit["pipeline"].predict_proba(X), whole["pipeline"].predict_proba(X))
    assert refit["warnings"] == [
        "validation.refit: the shipped model was fitted again on all rows; the score is of the one before"
    ]


@pytest.mark.parametrize("algorithm", ["gaussian_nb", "gradient_boosting"])
def test_what_is_told_after_a_refit_is_of_the_model_that_ships(mixed, mixed_features, runs_dir, algorithm):
    X, y = mixed
    model = BOOSTING if algorithm == BOOSTING.algorithm else ClassifierModelSpec(algorithm=algorithm)
    stages = {
        "calibration_spec": CalibrationSpec(method="sigmoid", keep="better"),
        "threshold_spec": ThresholdSpec(scoring="f1"),
    }
    scored = run_ml_workflow(mixed_features, model, X, y, "train_test", **stages)
    refit = run_ml_workflow(
        mixed_features, model, X, y, "train_test", validation_params={"refit": True}, runs_dir=runs_dir, **stages
    )
    shipped, told = refit["pipeline"], refit["calibration_summary"]
    assert refit["threshold_summary"]["value"] == shipped.threshold != scored["pipeline"].threshold
    assert told["kept"] == isinstance(shipped.estimator, CalibratedClassifierCV)
    assert told["n_rows"] == refit["threshold_summary"]["n_rows"] == len(y) > scored["calibration_summary"]["n_rows"]
    assert told["rows"] == refit["threshold_summary"]["rows"] == ("all",)
    kept = "kept" if scored["calibration_summary"]["kept"] else "not kept"
    before = f"of the model before the refit (calibration {kept}, threshold {scored['pipeline'].threshold:.4f})"
    assert refit["scores"][0].note.endswith(before)
    folder = find_run(runs_dir, "latest")
    summary = folder.read_json("summary.json")
    assert summary["refit"]["scored_model"]["threshold"] == scored["pipeline"].threshold
    assert summary["rows"]["all"]["n_rows"] == len(y) == len(np.load(folder.file("splits.npz"))["all"])
    assert load_model(folder.file("model.skops")).threshold == shipped.threshold


def test_a_calibrator_sees_only_rows_that_its_model_did_not(mixed, mixed_features):
    X, y = mixed
    results = run_ml_workflow(mixed_features, BOOSTING, X, y, "none", calibration_spec=CalibrationSpec(cv_folds=3))
    pairs, folds = results["pipeline"].calibrated_classifiers_, StratifiedKFold(3).split(X, y)
    for pair, (train, test) in zip(pairs, folds, strict=True):
        fold_model = build_ml_pipeline(mixed_features, BOOSTING).fit(X.iloc[train], y[train])
        alone = CalibratedClassifierCV(FrozenEstimator(fold_model)).fit(X.iloc[test], y[test])
        assert np.array_equal(pair.predict_proba(X), alone.predict_proba(X))


# Every number of a run


def run_folder(tmp_path, X, y, **options):
    """Run a workflow with everything in a folder, and give its summary and the rows that its names stand for."""
    results = run_ml_workflow(
        "auto",
        BOOSTING,
        X[:120],
        y[:120],
        X_test=X[120:],
        y_test=y[120:],
        tuning_spec=TUNING,
        calibration_spec=CalibrationSpec(cv_folds=2, keep="always"),
        threshold_spec=ThresholdSpec(),
        runs_dir=tmp_path,
        **options,
    )
    folder = tmp_path / results["run_id"]
    rows = {name: set(index.tolist()) for name, index in np.load(folder / "splits.npz").items()}
    # The rows of the test set are of another table.
    rows["test"] = {f"test {row}" for row in range(30)}
    return json.loads((folder / "summary.json").read_text()), rows


def numbers_of(summary):
    """Give each number of a summary that rows were used for: its rows, what was chosen on which, its label."""
    scores = [score for score in summary["scores"] + summary["slices"] if score["value"] is not None]
    yield from (("score", score) for score in scores + summary["classes"])
    yield from ((name, summary[name]) for name in ("tuning", "calibration", "threshold"))


LABELS = {
    "hyperparameters": "tuned on the same rows",
    "features": "features inferred on the same rows",
    "calibration": "by the threshold of other folds",
}
"""What must stand beside a number when this was chosen on the rows that it was computed on."""

STRATEGIES = {
    "cross_validation": ("cross_validation", {}),
    "nested": ("cross_validation", {"nested": True}),
    "train_test": ("train_test", {}),
}


@pytest.mark.parametrize(("strategy", "params"), STRATEGIES.values(), ids=STRATEGIES)
def test_no_number_is_computed_on_rows_that_something_was_chosen_on_without_saying_so(
    tmp_path, mixed, strategy, params
):
    X, y = mixed
    params = {"slices": ["city"], "cv_folds": 3, **params} if strategy != "train_test" else {"slices": ["city"]}
    summary, rows = run_folder(tmp_path, X, y, validation_strategy=strategy, validation_params=params)
    seen = set()
    for kind, number in numbers_of(summary):
        assert number["rows"], number
        assert set(number["chosen"]) >= {"hyperparameters", "features"}, number
        met = {
            what
            for what, chosen_on in number["chosen"].items()
            for scored, chosen in zip(number["rows"], chosen_on, strict=True)
            if rows[scored] & rows[chosen]
        }
        unlabelled = {what for what in met if LABELS[what] not in number["note"]}
        assert not unlabelled, (kind, number)
        if kind == "score":
            assert number["tuned_on_same_rows"] is ("hyperparameters" in met)
            assert ("tuned on the same rows" in number["note"]) is ("hyperparameters" in met)
        seen |= {(kind, number.get("source", ""), what) for what in met}
    # The test above is of what meets: it must have met something, and nested and held-out scores nothing.
    assert ("tuning", "", "hyperparameters") in seen
    assert {what for kind, _, what in seen if kind == "score"} == (
        {"hyperparameters", "features"} if strategy == "cross_validation" and not params.get("nested") else set()
    )


def test_every_name_of_rows_is_counted_and_identified(tmp_path, mixed):
    X, y = mixed
    summary, rows = run_folder(tmp_path, X, y, validation_params={"cv_folds": 3})
    assert {name: part["n_rows"] for name, part in summary["rows"].items()} == {
        name: len(part) for name, part in rows.items() if part
    }
    named = {name for _, number in numbers_of(summary) for name in number["rows"]}
    assert named <= set(summary["rows"])


# Folds


def noting(requests):
    """Make a call of the engine that notes what it is asked."""
    result = Engine.__call__

    def noted(engine, asked):
        requests.extend(asked)
        return result(engine, asked)

    return noted


def people(n_people=40, n_rows=5):
    draw = np.random.default_rng(3)
    person = np.repeat(np.arange(n_people), n_rows)
    # What a person is like gives the person away; the label is the person's, and has nothing to do with it.
    X = pd.DataFrame(
        draw.normal(size=(n_people, 3))[person] + draw.normal(0, 0.01, (len(person), 3)), columns=list("abc")
    )
    return X, draw.permutation(np.arange(n_people) % 2)[person], person


GROUPED = {
    "cross_validation": ("cross_validation", {"metrics": ["accuracy"]}),
    "nested": ("cross_validation", {"nested": True, "metrics": ["accuracy"]}),
    "one_person_out": ("cross_validation", {"splitter": "leave_one_group_out", "metrics": ["accuracy"]}),
    "train_test": ("train_test", {"metrics": ["accuracy"], "test_size": 0.3}),
}


@pytest.mark.parametrize(("strategy", "params"), GROUPED.values(), ids=GROUPED)
def test_no_group_is_learnt_from_and_judged_at_any_stage(monkeypatch, strategy, params):
    X, y, person = people(12 if params.get("splitter") else 40)
    requests = []

    monkeypatch.setattr(Engine, "__call__", noting(requests))
    results = run_ml_workflow(
        [NumericFeatureSpec(columns=list("abc"))],
        ClassifierModelSpec(algorithm="decision_tree"),
        X,
        y,
        strategy,
        params,
        groups=person,
        tuning_spec=GridSearchSpec(param_grid={"classifier__max_depth": [2, 5]}),
        calibration_spec=CalibrationSpec(),
        threshold_spec=ThresholdSpec(),
    )
    scored = [
        (request.train, rows)
        for request in requests
        for rows in request.predict
        if not set(rows.index) <= set(request.train.index)
    ]
    assert len(scored) >= 10
    assert not any(set(person[train.index]) & set(person[rows.index]) for train, rows in scored)
    # Without groups each of these scores is close to 1.
    assert results["scores"][0].value < 0.75


@pytest.mark.parametrize("strategy", ["cross_validation", "train_test"])
def test_no_row_is_judged_by_what_learnt_from_later_ones_at_any_stage(monkeypatch, mixed, strategy):
    X, y = mixed
    # Days in no order, with ties.
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.random.default_rng(1).integers(0, 60, len(y)), unit="D")
    requests = []

    monkeypatch.setattr(Engine, "__call__", noting(requests))
    run_ml_workflow(
        [NumericFeatureSpec(columns=["height", "weight"])],
        BOOSTING,
        X,
        y,
        strategy,
        {"nested": True, "cv_folds": 3} if strategy == "cross_validation" else {"cv_folds": 3},
        time=time,
        tuning_spec=TUNING,
        calibration_spec=CALIBRATION,
        threshold_spec=ThresholdSpec(),
    )
    days = time.to_numpy()
    scored = [
        (request.train, rows)
        for request in requests
        for rows in request.predict
        if not set(rows.index) <= set(request.train.index)
    ]
    assert len(scored) >= 10
    assert all(days[train.index].max() < days[rows.index].min() for train, rows in scored)


def test_a_held_out_row_has_no_say_in_the_threshold_and_in_whether_a_calibration_is_kept(mixed, mixed_features):
    X, y = mixed
    (split,) = holdout_splitter(test_size=0.2, random_state=42)(Table(X, y), Rows(np.arange(len(y))))
    X_spoilt, y_spoilt = spoilt(X, y, split.test.index, np.random.default_rng(0))

    def run(X, y):
        return run_ml_workflow(
            mixed_features,
            BOOSTING,
            X,
            y,
            "train_test",
            calibration_spec=CalibrationSpec(cv_folds=3, keep="better"),
            threshold_spec=ThresholdSpec(scoring="f1"),
        )

    before, after = run(X, y), run(X_spoilt, y_spoilt)
    assert before["threshold_summary"] == after["threshold_summary"]
    assert before["calibration_summary"] == after["calibration_summary"]
    assert np.array_equal(before["pipeline"].predict(X), after["pipeline"].predict(X))
    assert before["scores"] != after["scores"]
