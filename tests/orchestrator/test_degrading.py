"""What fails on the way is seen everywhere, and nothing that was done is lost."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlwf import (
    CalibrationSpec,
    ClassifierModelSpec,
    FitError,
    GridSearchSpec,
    NumericFeatureSpec,
    TrackingError,
    get_workflow_summary,
    run_ml_workflow,
)
from mlwf.engine.model_file import load_model
from mlwf.modules.runs import find_run
from mlwf.orchestrator.api import run_experiment
from mlwf.specs.loading import load_experiment

NUMERIC = [NumericFeatureSpec(columns=["height", "weight"])]
TOO_MANY_NEIGHBOURS = "Expected n_neighbors <= n_samples_fit"
TUNING_FAILS = {
    "model": {"algorithm": "knn"},
    "tuning": {"strategy": "grid", "param_grid": {"classifier__n_neighbors": [1000, 2000]}},
}
CALIBRATION_FAILS = {"model": {"algorithm": "gaussian_nb"}, "calibration": {"holdout": 0.001}}
MODEL_PREDICTS_NOTHING = {"model": {"algorithm": "knn", "hyperparameters": {"n_neighbors": 1000}}}
MODEL_FAILS = {"model": {"algorithm": "logistic_regression", "hyperparameters": {"l1_ratio": 1.0}}}


@pytest.fixture
def run(tmp_path, mixed, empty_store, impatient):
    """Run an experiment file with these sections, tracked unless told otherwise."""
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")

    def run(*sections, on_progress=None, **more):
        written = {
            "data": {"path": "people.csv", "target": "size", "test_path": "test.csv"},
            "features": [{"type": "numeric", "columns": ["height", "weight"]}],
            "validation": {"cv_folds": 2},
            "tracking": {},
        }
        for section in (*sections, more):
            written |= section
        written["data"].pop("test_path")
        (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(written), "utf-8")
        spec, document = load_experiment(tmp_path / "experiment.yaml")
        return run_experiment(spec, document, runs_dir=tmp_path / "runs", on_progress=on_progress)

    run.folder = tmp_path
    return run


def kept(run):
    """Read what the one run left: its folder, and its summary."""
    folder = find_run(run.folder / "runs", "latest")
    return folder, json.loads(folder.file("summary.json").read_text("utf-8"))


def tracked(run):
    """Give the one run on the tracking store."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.folder}/mlflow.db")
    (found,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return found


def phase(summary, name):
    (found,) = (phase for phase in summary["phases"] if phase["name"] == name)
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("name", "options", "model", "words", "reason"),
    [
        (
            "tune",
            {"tuning_spec": GridSearchSpec(param_grid={"classifier__n_neighbors": [1000]})},
            ClassifierModelSpec(algorithm="knn"),
            "Tuning failed ({}). Proceeding without tuning.",
            f"none of the 1 candidates could be scored: ValueError: {TOO_MANY_NEIGHBOURS}",
        ),
        (
            "tune",
            {"tuning_spec": GridSearchSpec(param_grid={"classifier__l1_ratio": [1.0]})},
            ClassifierModelSpec(algorithm="logistic_regression"),
            "Tuning failed ({}). Proceeding without tuning.",
            "none of the 1 candidates could be scored: ValueError: ",
        ),
        (
            "calibrate",
            {"calibration_spec": CalibrationSpec(holdout=0.001)},
            ClassifierModelSpec(algorithm="gaussian_nb"),
            "Calibration failed ({}). Proceeding without.",
            "The test_size = 1 should be greater or equal to the number of classes = 2",
        ),
    ],
    ids=["knn", "logistic_regression", "holdout"],
)
def test_a_step_that_fails_is_told_in_the_guides_words(mixed, caplog, name, options, model, words, reason):
    X, y = mixed
    with caplog.at_level(logging.WARNING, "mlwf"):
        results = run_ml_workflow(NUMERIC, model, X, y, **options)
    plain = run_ml_workflow(NUMERIC, model, X, y)
    (found,) = (phase for phase in results["phases"] if phase.name == name)
    assert found.status == "degraded"
    assert found.reason.startswith(reason)
    assert words.format(found.reason) in caplog.messages
    assert get_workflow_summary(results)["degraded"] == {name: found.reason}
    assert results["cv_score"] == plain["cv_score"]
    assert not {"tuning_summary", "calibration_summary"} & set(results)


@pytest.mark.parametrize(
    ("section", "name"), [(TUNING_FAILS, "tune"), (CALIBRATION_FAILS, "calibrate")], ids=["tuning", "calibration"]
)
def test_a_degraded_run_is_seen_in_its_summary_and_on_mlflow(run, section, name):
    told = run(section)
    folder, summary = kept(run)
    status, reason = phase(summary, name)
    assert (folder.status, summary["status"], told["status"], status) == ("degraded",) * 4
    assert summary["summary"]["degraded"] == {name: reason}
    found = tracked(run)
    assert found.info.status == "FINISHED"
    assert found.data.tags["mlwf.status"] == "degraded"
    assert found.data.tags["mlwf.degraded"] == f"{name}: {reason}"
    assert summary["importances"]["available"]
    assert "mlwf.importances" not in found.data.tags


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (TUNING_FAILS, r"^Tuning failed: none of the 2 candidates could be scored: .* \(on_error: fail\)$"),
        (CALIBRATION_FAILS, r"^Calibration failed: The test_size = 1 should be .* \(on_error: fail\)$"),
        (MODEL_FAILS, r"^the model could not be fitted: ValueError: Solver lbfgs supports"),
    ],
    ids=["tuning", "calibration", "model"],
)
def test_a_failed_run_is_seen_in_its_summary_and_on_mlflow(run, section, message):
    with pytest.raises(FitError, match=message) as error:
        run(section, on_error="fail")
    folder, summary = kept(run)
    assert (folder.status, summary["status"]) == ("failed", "failed")
    assert summary["error"] == str(error.value)
    assert summary["phases"][-1]["status"] == "failed"
    found = tracked(run)
    assert found.info.status == "FAILED"
    assert found.data.tags["mlwf.status"] == "failed"
    assert found.data.tags["mlwf.error"] == str(error.value)


@pytest.mark.parametrize("section", [MODEL_FAILS, MODEL_PREDICTS_NOTHING], ids=["fit", "predict"])
def test_a_model_that_cannot_be_fitted_fails_the_run_whatever_on_error_says(run, section):
    with pytest.raises(FitError, match=r"^the model could not be fitted: ValueError: "):
        run(section, {"validation": {"strategy": "none"}}, tracking=None)
    folder, summary = kept(run)
    assert (folder.status, summary["status"]) == ("failed", "failed")
    assert not folder.file("model.skops").exists()


def test_candidates_that_fail_beside_others_are_told(run):
    summary = run(
        model={"algorithm": "knn"},
        tuning={"strategy": "grid", "param_grid": {"classifier__n_neighbors": [3, 1000]}},
        tracking=None,
    )
    assert summary["status"] == "done"
    assert summary["tuning"]["n_failed"] == 2
    assert summary["tuning"]["best_params"] == {"classifier__n_neighbors": 3}
    assert any(
        text.startswith(f"tuning: 2 fits failed and score NaN; ValueError: {TOO_MANY_NEIGHBOURS}")
        for text in summary["warnings"]
    )


@pytest.mark.parametrize("when", ["tune", "validate", "log"])
def test_a_store_that_vanishes_during_a_run_costs_nothing_but_the_tracking(run, when):
    def vanish(step):
        if step.phase == when:
            (run.folder / "mlflow.db").unlink(missing_ok=True)

    run(
        model={"algorithm": "gaussian_nb"},
        tuning={"strategy": "grid", "param_grid": {"classifier__var_smoothing": [1e-9, 1e-3]}},
        on_progress=vanish,
    )
    folder, summary = kept(run)
    assert (folder.status, summary["status"]) == ("degraded", "degraded")
    assert set(summary["tracking"]["missing"].values()) == {"the file of the store is gone"}
    assert {"model", "metrics", "end of run"} <= summary["tracking"]["missing"].keys()
    assert summary["tracking"]["error"].endswith(", end of run: the file of the store is gone")
    status, reason = phase(summary, "log")
    assert (status, reason[-31:]) == ("degraded", ": the file of the store is gone")
    assert {score["source"] for score in summary["scores"]} == {"cross_validation"}
    X = pd.read_csv(run.folder / "people.csv")[["height", "weight"]]
    assert len(load_model(folder.file("model.skops")).predict(X)) == len(X)


def test_a_store_that_vanishes_fails_the_run_at_its_end_where_asked(run):
    def vanish(step):
        if step.phase == "tune":
            (run.folder / "mlflow.db").unlink(missing_ok=True)

    with pytest.raises(TrackingError, match=r"mlflow\.db.*\(on_error: fail\)$"):
        run(model={"algorithm": "gaussian_nb"}, on_error="fail", on_progress=vanish)
    folder, summary = kept(run)
    assert (folder.status, summary["status"]) == ("failed", "failed")
    assert folder.file("model.skops").exists()
    assert summary["scores"]


def test_a_store_that_does_not_answer_is_told_before_the_first_fit(run):
    with pytest.raises(TrackingError, match=r"^http://127\.0\.0\.1:9: the tracking server cannot be reached"):
        run(tracking={"tracking_uri": "http://127.0.0.1:9"})
    assert kept(run)[1]["status"] == "failed"


def test_a_mistake_in_the_data_leaves_no_run(run):
    with pytest.raises(ValueError, match="bought"):
        run(data={"path": "people.csv", "target": "bought", "test_path": "-"})
    assert not list((run.folder / "runs").iterdir())
    from mlflow import MlflowClient

    assert len(MlflowClient(f"sqlite:///{run.folder}/mlflow.db").search_experiments()) == 1


def test_the_log_of_a_run_is_kept_with_it(run):
    run(TUNING_FAILS, tracking=None)
    log = Path(kept(run)[0].log_file).read_text("utf-8")
    assert "WARNING mlwf.orchestrator.training_phases: Tuning failed (none of the 2 candidates" in log
    assert "INFO mlwf.orchestrator.evaluation_phases: CV Accuracy: " in log
    assert logging.getLogger("mlwf").level == logging.NOTSET
