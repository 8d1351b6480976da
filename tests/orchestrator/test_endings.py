"""However a run ends, it is marked so within seconds: in its folder, on MLflow, and by its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from mlwf.modules.runs import find_run
from mlwf.modules.tracking import mark_stale_runs
from mlwf.modules.tracking.mlflow_store import open_store

PATIENCE = 60.0
LONG = {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 1_000_000}}
"""One fit that outlasts every test, in compiled code."""


@pytest.fixture
def start(tmp_path, mixed, empty_store):
    """Start `mlwf train` in a process of its own, and wait until a phase has begun."""
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    processes = []

    def start(phase, **sections):
        experiment = {"data": {"path": "people.csv", "target": "size"}, "tracking": {}, **sections}
        (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(experiment), "utf-8")
        process = mlwf(tmp_path, "train", "experiment.yaml")
        processes.append(process)
        said = ""
        for line in process.stderr:
            said += line
            if phase in line:
                return process
        raise AssertionError(said)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def mlwf(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mlwf", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def tracked(folder):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def listed(folder):
    rows = json.loads(mlwf(folder, "runs", "--format", "json").communicate(timeout=PATIENCE)[0])
    return [row["status"] for row in rows]


STOPS = {
    "interrupted while searching": (signal.SIGINT, 130, "searching parameters"),
    "terminated while fitting": (signal.SIGTERM, 143, "fitting the model"),
}
SECTIONS = {
    "searching parameters": {"tuning": {"strategy": "grid", "param_grid": {"classifier__max_depth": [1, 2]}}},
    "fitting the model": {},
}


@pytest.mark.parametrize(
    ("number", "code", "phase"),
    STOPS.values(),
    ids=STOPS,
)
def test_a_run_that_is_told_to_stop_ends_as_killed_in_seconds(start, tmp_path, number, code, phase):
    process = start(phase, model=LONG, **SECTIONS[phase])
    time.sleep(0.3)
    told = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - told < 10
    assert (process.returncode, stdout) == (code, "")
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert stderr.splitlines()[-1] == f"{word}; the same command continues it"
    folder = find_run(tmp_path / "runs", "latest")
    summary = folder.read_json("summary.json")
    assert (folder.status, summary["status"]) == ("killed", "killed")
    assert summary["error"] == word
    assert (summary["phases"][-1]["status"], summary["phases"][-1]["reason"]) == ("failed", word)
    (run,) = tracked(tmp_path)
    assert run.info.status == "KILLED"
    assert run.data.tags["mlwf.status"] == "killed"


def test_a_run_that_is_killed_outright_is_known_as_killed(start, tmp_path):
    process = start("fitting the model", model=LONG)
    assert listed(tmp_path) == ["running"]
    process.kill()
    process.communicate()
    assert listed(tmp_path) == ["killed"]
    assert [run.info.status for run in tracked(tmp_path)] == ["RUNNING"]
    mark_stale_runs(open_store(f"sqlite:///{tmp_path}/mlflow.db"))
    assert [run.info.status for run in tracked(tmp_path)] == ["KILLED"]


@pytest.mark.slow
def test_the_next_run_marks_one_that_was_killed_outright(start, tmp_path):
    process = start("fitting the model", model=LONG)
    process.kill()
    process.communicate()
    process = start("estimating the score", model={"algorithm": "gaussian_nb"})
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert sorted(run.info.status for run in tracked(tmp_path)) == ["FINISHED", "KILLED"]
    assert listed(tmp_path) == ["done", "killed"]
