"""A run is an object: what its folder keeps, as frames, when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, log_loss

import mlwf
from mlwf.errors import RunNotFoundError
from mlwf.modules.runs import create_run
from mlwf.orchestrator.api import run_experiment
from mlwf.specs.loading import load_experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mixed):
    """Train two models with a search each, by weighted rows with a slice, and give the folder."""
    folder = tmp_path_factory.mktemp("loaded")
    X, y = mixed
    people = X.assign(size=y, counts=1.0)
    people.iloc[:100].to_csv(folder / "people.csv", index=False)
    people.iloc[100:].to_csv(folder / "test.csv", index=False)
    search = {"strategy": "grid", "param_grid": {"classifier__var_smoothing": [1e-9, 1e-6]}}
    experiment = {
        "name": "people <b>",
        "data": {"path": "people.csv", "test_path": "test.csv", "target": "size", "sample_weight": "counts"},
        "features": [{"type": "numeric", "columns": ["height", "weight"]}],
        "models": {"one": {"algorithm": "gaussian_nb", "tuning": search}, "other": {"algorithm": "decision_tree"}},
        "validation": {"cv_folds": 2, "metrics": ["accuracy", "log_loss"], "slices": ["grade"]},
        "gates": [{"metric": "accuracy", "min": 1}],
    }
    (folder / "people.yaml").write_text(yaml.safe_dump(experiment), "utf-8")
    run_experiment(*load_experiment(folder / "people.yaml"), runs_dir=folder / "runs")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return mlwf.load_run("latest", runs_dir=folder / "runs")


def test_a_run_is_loaded_by_its_folder_too(run):
    assert mlwf.load_run(run.path).run_id == run.run_id == run.summary["run_id"]
    assert repr(run) == f"<mlwf.Run {run.run_id} 'people <b>' done>"


def test_scores_are_a_frame(run):
    assert run.scores[["source", "metric"]].values.tolist() == [
        [source, metric] for source in ("cross_validation", "test") for metric in ("accuracy", "log_loss")
    ]
    first, written = run.scores.iloc[0], run.summary["scores"][0]
    assert (first["value"], first["low"]) == (written["value"], written["interval"]["low"])
    assert first["better_by"] == written["difference"]["value"]
    assert {"grade = a", "grade = b"} == {*run.slices["slice"]}


def test_predictions_are_those_that_were_scored(run):
    test = run.predictions.query("source == 'test'")
    scores = run.scores.query("source == 'test'").set_index("metric")["value"]
    chances = test[["probability_short", "probability_tall"]].to_numpy()
    assert accuracy_score(test["label"], test["prediction"]) == pytest.approx(scores["accuracy"])
    assert log_loss(test["label"], chances) == pytest.approx(scores["log_loss"])
    assert (test["row"].tolist(), {*test["weight"]}) == ([*range(50)], {1.0})


def test_candidates_name_their_model(run):
    assert {*run.candidates["model"]} >= {"one"}
    one = run.candidates.query("model == 'one'")
    assert {each["classifier__var_smoothing"] for each in one["params"]} == {1e-9, 1e-6}


def test_the_model_predicts_what_the_run_kept(run, folder):
    rows = pd.read_csv(folder / "test.csv")
    kept = run.predictions.query("source == 'test'")["prediction"].tolist()
    assert run.model.predict(rows[[*run.model.feature_names_in_]]).tolist() == kept


def test_a_notebook_shows_gates_and_scores_and_no_markup_of_the_data(run):
    html = run._repr_html_()
    assert "<b>people &lt;b&gt;</b> done" in html
    assert "<li>not met: accuracy at least 1; got 0." in html
    assert f"<td>{run.scores['value'][0]:.4f}</td>" in html
    assert run.report.startswith("<!doctype html>")


def test_a_run_that_has_nothing_yet_is_empty(tmp_path):
    run = mlwf.load_run(create_run(tmp_path, "early").path)
    assert (run.status, run.summary) == ("running", {})
    assert [len(frame) for frame in (run.scores, run.slices, run.predictions, run.candidates)] == [0, 0, 0, 0]
    assert run.run_id in run._repr_html_()
    with pytest.raises(RunNotFoundError, match="ended before it had a model"):
        run.model  # noqa: B018


def test_an_unknown_run_is_an_error_with_the_nearest(folder, run):
    with pytest.raises(RunNotFoundError, match=f"the newest: {run.run_id}"):
        mlwf.load_run("nowhere", runs_dir=folder / "runs")


def test_loading_imports_nothing_heavy(run):
    code = f"import sys, mlwf; mlwf.load_run({str(run.path)!r}).summary; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "sklearn", "mlflow"} & {*loaded}
