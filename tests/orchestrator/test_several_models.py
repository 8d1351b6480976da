"""Several models in one experiment: the best ships, or an average, and every score says what was chosen on its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlwf import (
    CalibrationSpec,
    CandidateModelSpec,
    EnsembleSpec,
    GridSearchSpec,
    SelectionSpec,
    ThresholdSpec,
    run_ml_workflow,
)
from mlwf.errors import ConfigError, FitError
from mlwf.modules.runs import find_run
from mlwf.specs.loading import load_experiment
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import holdout_splitter
from tests.orchestrator.test_honesty import spoilt

MODELS = {
    "linear": CandidateModelSpec(
        algorithm="logistic_regression", tuning=GridSearchSpec(param_grid={"classifier__C": [0.1, 1.0]})
    ),
    "bayes": CandidateModelSpec(algorithm="gaussian_nb"),
    "tree": CandidateModelSpec(algorithm="decision_tree", hyperparameters={"max_depth": 3}),
}
FOLDS = {"cv_folds": 3}
NESTED = {**FOLDS, "nested": True}
ALWAYS = EnsembleSpec(size=8, keep="always")


@pytest.fixture(scope="module")
def shipped(mixed, mixed_features, tmp_path_factory):
    """Give the results of a run that ships an ensemble, and its folder."""
    runs = tmp_path_factory.mktemp("runs")
    results = run_ml_workflow(
        mixed_features, MODELS, *mixed, validation_params=FOLDS, ensemble_spec=ALWAYS, runs_dir=runs
    )
    return results, find_run(runs, "latest")


def test_the_best_of_several_models_ships(mixed, mixed_features):
    results = run_ml_workflow(mixed_features, MODELS, *mixed, validation_params=FOLDS)
    board = results["leaderboard"]
    assert [model["name"] for model in board["models"]] == ["linear", "bayes", "tree"]
    assert [model["weight"] for model in board["models"]] == [1, 0, 0]
    assert results["algorithm"] == "logistic_regression"
    assert results["tuning_summary"]["best_params"] == {"classifier__C": results["pipeline"][-1].C}


def test_a_choice_among_models_is_labelled_also_where_none_is_tuned(mixed, mixed_features):
    models = {name: MODELS[name] for name in ("bayes", "tree")}
    results = run_ml_workflow(mixed_features, models, *mixed, validation_params=FOLDS)
    assert {score.provenance.labels for score in results["scores"]} == {("model",)}
    assert "chosen among several models on the same rows" in results["scores"][0].note
    assert results["scores"][0].tuned_on_same_rows


def test_a_nested_validation_repeats_the_choice_in_each_fold(mixed, mixed_features, tmp_path):
    results = run_ml_workflow(
        mixed_features, MODELS, *mixed, validation_params=NESTED, ensemble_spec=ALWAYS, runs_dir=tmp_path
    )
    assert {score.provenance.labels for score in results["scores"]} == {()}
    assert "train" not in results["scores"][0].chosen["ensemble"]
    chosen = [fold["models"] for fold in find_run(tmp_path, "latest").read_json("summary.json")["folds"]]
    assert all(models.keys() <= MODELS.keys() and sum(models.values()) == pytest.approx(1) for models in chosen)


def test_an_ensemble_ships_as_scikit_learns_vote(shipped, mixed):
    results, _ = shipped
    vote, (X, _) = results["pipeline"], mixed
    assert type(vote).__name__ == "VotingClassifier"
    members = results["leaderboard"]["ensemble"]["members"]
    assert sum(member["weight"] for member in members) == pytest.approx(1)
    parts = [member["weight"] * model.predict_proba(X) for member, model in zip(members, vote.estimators_, strict=True)]
    assert np.allclose(vote.predict_proba(X), sum(parts))
    assert results["algorithm"] == "ensemble"


def test_a_shipped_ensemble_loads_without_mlwf(shipped, mixed, tmp_path):
    results, run = shipped
    X, _ = mixed
    X.to_pickle(tmp_path / "X.pkl")
    code = (
        "import sys, json, pandas as pd, skops.io as sio\n"
        "file = sys.argv[1]\n"
        "model = sio.load(file, trusted=sio.get_untrusted_types(file=file))\n"
        "proba = model.predict_proba(pd.read_pickle(sys.argv[2]))\n"
        "assert not any(name.split('.')[0] == 'mlwf' for name in sys.modules)\n"
        "print(json.dumps(proba.tolist()))\n"
    )
    command = [sys.executable, "-c", code, str(run.file("model.skops")), str(tmp_path / "X.pkl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert np.array_equal(np.array(json.loads(done.stdout)), results["pipeline"].predict_proba(X))


def test_the_folder_has_the_models_and_their_candidates(shipped):
    _, run = shipped
    assert set(run.read_json("candidates.json")) == set(MODELS)
    config = yaml.safe_load(run.file("config.yaml").read_text())
    assert config["models"]["tree"] == {"algorithm": "decision_tree", "hyperparameters": {"max_depth": 3}}
    assert "model" not in config
    assert run.read_json("summary.json")["selection"]["ensemble"]["kept"]


def test_an_ensemble_costs_no_fit_but_those_of_its_members(mixed, mixed_features, tmp_path):
    run_ml_workflow(mixed_features, MODELS, *mixed, validation_strategy="none", runs_dir=tmp_path)
    results = run_ml_workflow(
        mixed_features, MODELS, *mixed, validation_strategy="none", ensemble_spec=ALWAYS, runs_dir=tmp_path
    )
    made = {phase.name: phase.fits for phase in results["phases"]}
    members = len(results["leaderboard"]["ensemble"]["members"])
    assert made["tune"] == 0
    assert made["fit"] in {members, members - 1}


def test_calibration_and_threshold_follow_the_ensemble(mixed, mixed_features):
    results = run_ml_workflow(
        mixed_features, MODELS, *mixed, validation_params=FOLDS, ensemble_spec=ALWAYS,
        calibration_spec=CalibrationSpec(cv_folds=3), threshold_spec=ThresholdSpec(),
    )  # fmt: skip
    assert type(results["pipeline"]).__name__ == "FixedThresholdClassifier"
    assert {"model", "ensemble", "hyperparameters"} <= results["calibration_summary"]["chosen"].keys()
    losses = results["leaderboard"]["ensemble"]["log_loss"], results["calibration_summary"]["before"]["log_loss"]
    # The calibration is measured on predictions by weights of other folds, as the ensemble itself is.
    assert losses[0] == pytest.approx(losses[1])


def test_a_model_that_fails_degrades_the_run_and_the_others_go_on(mixed, mixed_features):
    broken = CandidateModelSpec(algorithm="knn", hyperparameters={"n_neighbors": 1000})
    results = run_ml_workflow(mixed_features, {**MODELS, "broken": broken}, *mixed, validation_params=FOLDS)
    (tune,) = [phase for phase in results["phases"] if phase.name == "tune"]
    assert tune.status == "degraded"
    assert tune.reason.startswith("broken: none of the 1 candidates could be scored: ValueError: Expected n_neighbors")
    assert results["leaderboard"]["models"][-1]["error"]
    assert results["algorithm"] == "logistic_regression"


def test_models_that_all_fail_end_the_run(mixed, mixed_features):
    broken = CandidateModelSpec(algorithm="knn", hyperparameters={"n_neighbors": 1000})
    with pytest.raises(FitError, match=r"none of the models could be scored: a: none of .*; b: none of "):
        run_ml_workflow(mixed_features, {"a": broken, "b": broken}, *mixed, validation_params=FOLDS)


def test_with_on_error_fail_one_model_that_fails_ends_the_run(mixed, mixed_features):
    broken = CandidateModelSpec(algorithm="knn", hyperparameters={"n_neighbors": 1000})
    with pytest.raises(FitError, match="Models failed: broken: none of"):
        run_ml_workflow(mixed_features, {**MODELS, "broken": broken}, *mixed, validation_params=FOLDS, on_error="fail")


# So many neighbours are found among the training rows of the run's folds, and not among those of the folds inside them.
FEW_ROWS = {**MODELS, "near": CandidateModelSpec(algorithm="knn", hyperparameters={"n_neighbors": 80})}


def test_a_nested_fold_does_without_a_model_that_fails_there(mixed, mixed_features):
    results = run_ml_workflow(mixed_features, FEW_ROWS, *mixed, validation_params=NESTED)
    (warning,) = {warning for warning in results["warnings"] if "a fold of the nested validation" in warning}
    assert warning.startswith("a fold of the nested validation did without the model near: none of the 1 candidates")


def test_with_on_error_fail_a_model_that_fails_in_a_nested_fold_ends_the_run(mixed, mixed_features):
    with pytest.raises(FitError, match="in a fold of the nested validation the model near failed: none of"):
        run_ml_workflow(mixed_features, FEW_ROWS, *mixed, validation_params=NESTED, on_error="fail")


def test_the_scorer_that_all_are_compared_by_is_one(mixed, mixed_features):
    results = run_ml_workflow(
        mixed_features, MODELS, *mixed, validation_params=FOLDS, selection_spec=SelectionSpec(scoring="roc_auc")
    )
    assert results["leaderboard"]["scoring"] == "roc_auc"
    assert all(0.5 < model["score"] <= 1 for model in results["leaderboard"]["models"])


def test_a_held_out_row_has_no_say_in_the_choice_or_the_weights(mixed, mixed_features):
    X, y = mixed
    (split,) = holdout_splitter(test_size=0.2, random_state=42)(Table(X, y), Rows(np.arange(len(y))))
    other = spoilt(X, y, split.test.index, np.random.default_rng(0))
    before, after = (
        run_ml_workflow(mixed_features, MODELS, *data, "train_test", ensemble_spec=ALWAYS, validation_params=FOLDS)
        for data in ((X, y), other)
    )
    assert before["leaderboard"]["ensemble"] == after["leaderboard"]["ensemble"]
    assert np.array_equal(before["pipeline"].predict_proba(X), after["pipeline"].predict_proba(X))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {a: {algorithm: svc}}", "is 'svc', and the models are compared by neg_log_loss"),
        ("models: {a: {algorithm: knn}}\nselection: {scoring: neg_log_los}", "did you mean neg_log_loss?"),
        ("models: {a: {algorithm: knn, hyperparameter: {}}}", "models.a.hyperparameter: unknown key"),
        ("models: {a: {algorithm: knn}}\nmodel: {algorithm: knn}", "model.algorithm: contradicts models"),
        ("models: {}", "models: is empty"),
        ("ensemble: {size: 3}", "ensemble: has no effect: there is one model"),
        ("models: {a: {algorithm: knn}, a: {algorithm: mlp}}", "models.a: duplicate key"),
        ("model: {algorithm: auto, hyperparameters: {C: 1}}", "has no effect with algorithm: auto"),
        ("models: {a: {algorithm: auto}}", "models.a.algorithm: is 'auto'"),
    ],
)
def test_a_wrong_list_of_models_is_one_located_line(text, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(f"data: {{path: d.csv, target: y}}\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load_experiment(Path("x.yaml"))
    assert problem in str(error.value)
    assert str(error.value).startswith("x.yaml:")
