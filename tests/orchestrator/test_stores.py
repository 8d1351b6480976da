"""Which store a run is tracked on and why, and that every command finds the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from mlwf import ClassifierModelSpec, MLflowSpec, run_ml_workflow
from mlwf.cli.run_lookup import find_model_store, find_summary
from mlwf.errors import ConfigError, RunNotFoundError
from mlwf.modules.runs import find_run
from mlwf.orchestrator.api import run_experiment
from mlwf.specs.loading import load_experiment, load_resolved, store_of_run


@pytest.fixture
def experiment(tmp_path, mixed, empty_store, monkeypatch):
    """Write an experiment into a folder, `configs`, below the one that is worked in, and give its file."""
    X, y = mixed
    folder = tmp_path / "configs"
    folder.mkdir()
    X.assign(size=y).to_csv(folder / "people.csv", index=False)
    monkeypatch.chdir(tmp_path)

    def write(**tracking):
        written = {
            "data": {"path": "people.csv", "target": "size"},
            "features": [{"type": "numeric", "columns": ["height", "weight"]}],
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"cv_folds": 2},
            "tracking": tracking,
        }
        (folder / "experiment.yaml").write_text(yaml.safe_dump(written), "utf-8")
        return folder / "experiment.yaml"

    write.folder = tmp_path
    write.store = lambda name: shutil.copy(empty_store, tmp_path / name)
    return write


def train(file):
    spec, document = load_experiment(file)
    summary = run_experiment(spec, document, runs_dir=file.parents[1] / "runs")
    return find_run(file.parents[1] / "runs", "latest"), summary["tracking"]


@pytest.mark.parametrize(
    ("written", "variable", "store", "origin"),
    [
        ({}, None, "configs/mlflow.db", "default"),
        ({}, "sqlite:///theirs.db", "theirs.db", "MLFLOW_TRACKING_URI"),
        ({"tracking_uri": "sqlite:///ours.db"}, "sqlite:///theirs.db", "configs/ours.db", "tracking.tracking_uri"),
    ],
    ids=["neither", "the environment", "the file first"],
)
def test_a_run_says_which_store_it_is_tracked_on_and_why(experiment, monkeypatch, written, variable, store, origin):
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    experiment.store(store)
    folder, tracking = train(experiment(registered_model_name="sizes", **written))
    uri = f"sqlite:///{experiment.folder}/{store}"
    assert (tracking["tracking_uri"], tracking["tracking_uri_from"]) == (uri, origin)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_of_run(folder.file("config.yaml")) == uri
    # From any folder, and without a word of the store.
    runs_dir = experiment.folder / "runs"
    assert find_model_store("models:/sizes/1", runs_dir=runs_dir, tracking_uri=None) == uri
    with pytest.raises(RunNotFoundError, match=f"and {uri} has no run '0000'"):
        find_summary("0000", runs_dir=runs_dir, tracking_uri=None)
    for place, address in ((runs_dir, None), (experiment.folder / "others", uri)):
        assert find_summary("models:/sizes/1", runs_dir=place, tracking_uri=address)["run_id"] == folder.run_id


def test_a_store_of_the_environment_that_is_none_is_told_where_it_is_written(experiment, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://somewhere")
    with pytest.raises(ConfigError) as caught:
        load_experiment(experiment())
    assert str(caught.value) == (
        "MLFLOW_TRACKING_URI  is 'ftp://somewhere', which is no store of MLflow; accepted: sqlite:///FILE, "
        "http://HOST:PORT"
    )
    load_experiment(experiment(enabled=False))


def test_a_login_of_the_environment_is_not_written_down(experiment, monkeypatch):
    from mlwf.orchestrator.mlflow_logger import MLflowLogger
    from mlwf.orchestrator.run_log import RunLog

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    spec, document = load_experiment(experiment())
    written = MLflowLogger(spec, RunLog(), folder=None, document=document).without_secrets(spec)
    assert written.tracking.tracking_uri == "http://127.0.0.1:9"
    path = experiment.folder / "config.yaml"
    path.write_text(yaml.safe_dump(written.model_dump(mode="json")), "utf-8")
    assert store_of_run(path) == "http://me:secret@127.0.0.1:9"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert store_of_run(path) == "http://127.0.0.1:9"
    assert load_resolved(path).tracking.tracking_uri == "http://127.0.0.1:9"


def test_a_run_from_python_obeys_the_environment(experiment, monkeypatch, mixed):
    X, y = mixed
    experiment.store("theirs.db")
    uri = f"sqlite:///{experiment.folder}/theirs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from python")
    results = run_ml_workflow(
        feature_specs="auto",
        model_spec=ClassifierModelSpec(algorithm="gaussian_nb"),
        X=X,
        y=y,
        mlflow_spec=MLflowSpec(),
        validation_strategy="none",
    )
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    assert client.get_experiment(client.get_run(results["mlflow_run_id"]).info.experiment_id).name == "from python"


@pytest.mark.slow
def test_a_run_inside_mlflow_run_is_mlflows_own(experiment):
    file = experiment()
    experiment.store("theirs.db")
    uri = f"sqlite:///{experiment.folder}/theirs.db"
    command = f"{sys.executable} -m mlwf train experiment.yaml --format json --runs-dir ../runs"
    (file.parent / "MLproject").write_text(f"name: sizes\nentry_points:\n  main:\n    command: '{command}'\n")
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(file.parent), "--env-manager", "local", "--experiment-name", "job"],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("job").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["cv_accuracy"] > 0
    summary = json.loads(find_run(experiment.folder / "runs", "latest").file("summary.json").read_text("utf-8"))
    assert summary["tracking"]["run_id"] == run.info.run_id
