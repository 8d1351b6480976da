"""What a store does to a run: each part is sent by itself, the run is ended, and `mlwf push` sends the rest."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlwf.errors import TrackingError, UsageError
from mlwf.modules.runs import find_run
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.mlflow_logger import push_run
from mlwf.orchestrator.prediction import predict_table
from mlwf.specs.loading import load_experiment


@pytest.fixture
def train(tmp_path, mixed, empty_store, impatient):
    """Train on a store of its own, which a callback may take away, and give the run's folder."""
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")

    def train(*, on_progress=None, **sections):
        written = {
            "data": {"path": "people.csv", "target": "size"},
            "features": [{"type": "numeric", "columns": ["height", "weight"]}],
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"cv_folds": 2},
            "tracking": {"registered_model_name": "sizes", "alias": "champion"},
            **sections,
        }
        (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(written), "utf-8")
        spec, document = load_experiment(tmp_path / "experiment.yaml")
        run_experiment(spec, document, runs_dir=tmp_path / "runs", on_progress=on_progress)
        return find_run(tmp_path / "runs", "latest")

    train.folder = tmp_path
    return train


@pytest.fixture
def taken_away(train):
    """Give what takes the store away when a phase begins, and what brings it back."""
    store, away = train.folder / "mlflow.db", train.folder / "away.db"

    def take(step):
        if step.phase == "validate" and store.exists():
            store.rename(away)

    def bring_back():
        store.unlink(missing_ok=True)  # MLflow makes an empty file where there is none
        away.rename(store)

    return take, bring_back


def summary_of(folder):
    return json.loads(folder.file("summary.json").read_text("utf-8"))


def run_on(folder, uri):
    from mlflow import MlflowClient

    client = MlflowClient(uri, registry_uri=uri)
    return client, client.get_run(summary_of(folder)["tracking"]["run_id"])


def test_push_sends_what_a_store_that_was_away_did_not_take_and_once(train, taken_away):
    take, bring_back = taken_away
    folder = train(on_progress=take)
    summary = summary_of(folder)
    assert (folder.status, summary["tracking"]["version"]) == ("degraded", None)
    assert {"metrics", "files", "plots", "model", "registration", "end of run"} <= summary["tracking"]["missing"].keys()
    bring_back()
    assert status_on(train.folder / "mlflow.db") == "RUNNING"

    assert {"metrics", "files", "plots", "model", "registration", "tags", "end of run"} <= {*push_run(folder)}
    assert push_run(folder) == []

    client, run = run_on(folder, f"sqlite:///{train.folder}/mlflow.db")
    assert (run.info.status, run.data.tags["mlwf.status"]) == ("FINISHED", "done")
    assert "mlwf.missing" not in run.data.tags
    assert run.data.metrics["cv_accuracy"] == pytest.approx(summary["scores"][0]["value"])
    assert {"config.yaml", "plots", "summary.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    assert client.get_model_version_by_alias("sizes", "champion").run_id == run.info.run_id
    now = summary_of(folder)
    assert (folder.status, now["status"], now["tracking"]["version"]) == ("done", "done", "1")
    assert (now["tracking"]["missing"], now["tracking"]["error"]) == ({}, None)
    assert json.loads(Path(client.download_artifacts(run.info.run_id, "summary.json")).read_text())["status"] == "done"
    assert [path.name for path in folder.file("tracking").iterdir()] == ["state.json"]
    assert predicted(train, "models:/sizes@champion") == predicted(train, folder.run_id)


def predicted(train, named):
    out = train.folder / "predicted.csv"
    uri = f"sqlite:///{train.folder}/mlflow.db"
    predict_table(named, str(train.folder / "people.csv"), out, runs_dir=train.folder / "runs", tracking_uri=uri)
    return pd.read_csv(out)["prediction"].tolist()


def status_on(path):
    """Read the status of the one run without MLflow, whose connections would outlive the file."""
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT status FROM runs").fetchall()
    return row[0]


def test_push_of_a_run_that_the_store_has_sends_nothing(train):
    folder = train()
    assert [path.name for path in folder.file("tracking").iterdir()] == ["state.json"]
    assert push_run(folder) == []


def test_push_says_that_the_store_is_still_away_and_loses_nothing(train, taken_away):
    take, bring_back = taken_away
    folder = train(on_progress=take)
    (train.folder / "mlflow.db").unlink(missing_ok=True)
    (train.folder / "mlflow.db").write_text("no database, but long enough to look like one\n" * 9)
    with pytest.raises(TrackingError, match=r"mlflow\.db: this is not a SQLite file that MLflow could use"):
        push_run(folder)
    assert summary_of(folder)["status"] == "degraded"
    bring_back()
    assert "model" in push_run(folder)


def test_push_says_that_the_store_does_not_have_the_run(train, taken_away):
    take, bring_back = taken_away
    folder = train(on_progress=take)
    bring_back()
    state = folder.file("tracking/state.json")
    content = json.loads(state.read_text("utf-8"))
    content["known"]["run_id"] = "0" * 32
    state.write_text(json.dumps(content), "utf-8")
    with pytest.raises(TrackingError, match=r"mlflow\.db: looking for run 0+ failed: Run with id=0+ not found$"):
        push_run(folder)


@pytest.mark.parametrize("sections", [{"tracking": None}, {"tracking": {"enabled": False}}], ids=["none", "disabled"])
def test_push_refuses_a_run_that_was_not_tracked(train, sections):
    folder = train(**sections)
    with pytest.raises(UsageError) as caught:
        push_run(folder)
    assert str(caught.value) == f"{folder.path}: the run has no MLflow run: its experiment has no tracking section"


def test_push_ends_a_run_that_was_killed_outright(train):
    folder = train()
    state = folder.file("tracking/state.json")
    content = json.loads(state.read_text("utf-8"))
    del content["known"]["ended"]
    state.write_text(json.dumps(content), "utf-8")
    folder.file("summary.json").unlink()
    folder.end("killed")
    # As it is left by `kill -9`.
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{train.folder}/mlflow.db")
    client.update_run(content["known"]["run_id"], status="RUNNING")
    assert push_run(folder) == ["end of run"]
    run = client.get_run(content["known"]["run_id"])
    assert (run.info.status, run.data.tags["mlwf.status"]) == ("KILLED", "killed")
