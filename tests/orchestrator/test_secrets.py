"""A value from the environment is in nothing that a run prints, logs or stores."""

from __future__ import annotations

import pytest

from mlwf.errors import MlwfError
from mlwf.orchestrator.api import run_experiment
from mlwf.specs.loading import load_experiment

ROWS = "age,plan,churned\n" + "".join(f"{20 + i}.5,{'ab'[i % 2]},{'no' if i % 3 else 'yes'}\n" for i in range(60))
SECRET = "hush-table"


def experiment(tmp_path, monkeypatch, text):
    monkeypatch.setenv("TABLE", f"{SECRET}.csv")
    monkeypatch.setenv("STORE", f"http://127.0.0.1:9/{SECRET}")
    (tmp_path / f"{SECRET}.csv").write_text(ROWS)
    (tmp_path / "e.yaml").write_text(text)
    return load_experiment(tmp_path / "e.yaml")


def test_run_keeps_a_path_from_the_environment_to_itself(tmp_path, monkeypatch):
    text = 'data: {path: "${env:TABLE}", target: churned}\nmodel: {algorithm: gaussian_nb}\n'
    spec, document = experiment(tmp_path, monkeypatch, text)
    summary = run_experiment(spec, document, runs_dir=tmp_path / "runs")
    assert summary["data"]["source"].endswith("${env:TABLE}")
    (run,) = (tmp_path / "runs").glob("2*")
    files = (file for file in run.rglob("*") if file.is_file())
    written = [file.name for file in files if SECRET.encode() in file.read_bytes()]
    assert written == []


@pytest.mark.slow
def test_mlflow_is_not_told_a_path_from_the_environment(tmp_path, monkeypatch):
    text = (
        'data: {path: "${env:TABLE}", target: churned}\nmodel: {algorithm: gaussian_nb}\n'
        "tracking: {tracking_uri: 'sqlite:///mlflow.db'}\n"
    )
    spec, document = experiment(tmp_path, monkeypatch, text)
    assert run_experiment(spec, document, runs_dir=tmp_path / "runs")["status"] == "done"
    stored = [tmp_path / "mlflow.db", *(path for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file())]
    assert [path.name for path in stored if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "text",
    [
        'data: {path: "no-${env:TABLE}", target: churned}\n',
        'data: {path: "${env:TABLE}", target: churnd}\n',
        'data: {path: "${env:TABLE}", target: churned}\ntracking: {tracking_uri: "${env:STORE}"}\n',
    ],
    ids=["missing file", "missing column", "unreachable server"],
)
def test_errors_do_not_tell_a_value_from_the_environment(tmp_path, monkeypatch, text):
    spec, document = experiment(tmp_path, monkeypatch, text)
    with pytest.raises(MlwfError) as raised:
        run_experiment(spec, document, runs_dir=tmp_path / "runs")
    assert SECRET not in str(raised.value)
    assert "${env:" in str(raised.value)
    files = [file for file in (tmp_path / "runs").rglob("*") if file.is_file()]
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []
