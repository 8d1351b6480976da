"""A run on a real Dask cluster gives the results of a local one, whatever becomes of a worker."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from mlwf.engine.model_file import load_model
from mlwf.modules.runs import find_run

PATIENCE = 120.0
EXPERIMENT = {
    "name": "people",
    "data": {"path": "people.csv", "target": "size"},
    "model": {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 150}},
    "tuning": {"strategy": "grid", "param_grid": {"classifier__max_depth": [2, 3, 4, 5, 6, 7]}},
    "validation": {"cv_folds": 4, "metrics": ["accuracy", "log_loss"]},
    "findings": {"ignore": ["leakage"]},
}
UNLIKE = {"run_id", "started_at", "seconds", "phases", "fits", "files", "warnings"}


@pytest.fixture
def folder(tmp_path, mixed):
    X, y = mixed
    pd.concat([X.assign(size=y)] * 8, ignore_index=True).to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def dask(what, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(folder):
    """Start a scheduler and two workers, as a person would on three machines; give its address and the workers."""
    told = folder / "scheduler.json"
    scheduler = dask("scheduler", "--host=127.0.0.1", "--port=0", f"--scheduler-file={told}")
    while not told.exists() or not told.read_text():
        time.sleep(0.05)
    address = json.loads(told.read_text())["address"]
    folders = [folder / f"worker{number}" for number in range(2)]
    workers = [dask("worker", address, "--nthreads=1", "--no-nanny", f"--local-directory={each}") for each in folders]
    yield address, workers
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def start(folder, runs, **sections):
    (folder / f"{runs}.yaml").write_text(yaml.safe_dump({**EXPERIMENT, **sections}), "utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "mlwf", "train", f"{runs}.yaml", "--format=json", f"--runs-dir={runs}"],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process, folder, runs):
    """Give all that a run found, without the times."""
    told, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    summary = json.loads(told)
    run = find_run(folder / runs, summary["run_id"])
    candidates = run.read_json("candidates.json")
    model = load_model(run.file("model.skops"))
    return {
        "summary": {key: value for key, value in summary.items() if key not in UNLIKE},
        "candidates": {key: value for key, value in candidates.items() if "time" not in key},
        "predictions": model.predict_proba(pd.read_csv(folder / "people.csv")).tolist(),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kills", [False, True], ids=["all live", "one is killed"])
def test_a_cluster_finds_what_a_local_run_finds(folder, cluster, kills):
    address, workers = cluster
    expected = ended(start(folder, "local"), folder, "local")
    process = start(folder, "remote", compute={"backend": "dask", "address": address})
    if kills:
        began = time.monotonic()
        idle = psutil.Process(workers[0].pid).cpu_times().user
        while psutil.Process(workers[0].pid).cpu_times().user < idle + 3:
            assert time.monotonic() - began < PATIENCE
            assert process.poll() is None
            time.sleep(0.02)
        workers[0].kill()
    found = ended(process, folder, "remote")
    assert found == expected
    assert np.isfinite(found["predictions"]).all()


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_said_before_anything_is_computed(folder):
    began = time.monotonic()
    process = start(folder, "remote", compute={"backend": "dask", "address": "tcp://127.0.0.1:9"})
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("compute.address: no Dask scheduler answers at tcp://127.0.0.1:9")
    assert "fits done" not in said
    assert time.monotonic() - began < 30
