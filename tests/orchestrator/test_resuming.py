"""A run that was killed goes on where it was: the same result to the bit, and no fit made twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli.boundary import run
from mlwf.engine.model_file import load_model
from mlwf.modules.runs import find_run

PATIENCE = 120.0
EXPERIMENT = {
    "data": {"path": "people.csv", "target": "size"},
    "model": {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 60}},
    "tuning": {
        "strategy": "grid",
        "param_grid": {"classifier__n_estimators": [20, 60], "classifier__max_depth": [1, 2, 3, 4]},
    },
    "calibration": {"method": "sigmoid", "keep": "always"},
    "validation": {"cv_folds": 4, "metrics": ["accuracy", "log_loss"]},
    "compute": {"n_jobs": 2},
    "findings": {"ignore": ["leakage"]},
}
UNLIKE = {"run_id", "started_at", "seconds", "phases", "fits", "files", "warnings"}
"""What differs between two runs that do the same."""


@pytest.fixture(scope="module")
def data(tmp_path_factory, mixed):
    X, y = mixed
    path = tmp_path_factory.mktemp("data") / "people.csv"
    # Twice, so that a fit takes long enough to be met in the middle.
    pd.concat([X.assign(size=y)] * 6, ignore_index=True).to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path, data):
    shutil.copy(data, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """Give a folder in which the experiment was trained once, and the summary of that run."""
    path = tmp_path_factory.mktemp("trained")
    shutil.copy(data, path)
    return path, train(path)


@pytest.fixture
def first(trained, folder):
    """Give the summary of a run that was trained in `folder` before."""
    path, summary = trained
    shutil.copytree(path, folder, dirs_exist_ok=True)
    return moved(summary, path, folder)


COMMAND = ["train", "experiment.yaml", "--format=json", "--runs-dir=runs"]


def write(folder, **sections):
    (folder / "experiment.yaml").write_text(yaml.safe_dump({**EXPERIMENT, **sections}), "utf-8")


def start(folder):
    """Start `mlwf train` in a process of its own."""
    write(folder)
    return subprocess.Popen(
        [sys.executable, "-m", "mlwf", *COMMAND], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def train(folder):
    """Train in a process of its own, and give the summary."""
    process = start(folder)
    told, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return json.loads(told)


def train_here(folder, *options, **sections):
    """Train in this process, and give the summary."""
    write(folder, **sections)
    with contextlib.chdir(folder):
        assert run([*COMMAND, "--quiet", *options]) == 0
    return find_run(folder / "runs", "latest").read_json("summary.json")


def moved(summary, old, new):
    """Give a summary as it would be had the run been in another folder."""
    return json.loads(json.dumps(summary).replace(str(old), str(new)))


def result_of(folder, summary):
    """Give all that a run found, without the times."""
    candidates = find_run(folder / "runs", summary["run_id"]).read_json("candidates.json")
    return {
        "summary": {key: value for key, value in summary.items() if key not in UNLIKE},
        "candidates": {key: value for key, value in candidates.items() if "time" not in key},
    }


def said_by(folder, summary):
    model = load_model(find_run(folder / "runs", summary["run_id"]).file("model.skops"))
    return model.predict_proba(pd.read_csv(folder / "people.csv"))


def n_recorded(folder):
    return sum(1 for _ in Path(folder, "runs", ".fits").glob("v*/*/*.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("results", [1, 12, 45, 60], ids=["early", "in the search", "late", "in the validation"])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(folder, trained, results):
    uninterrupted, whole = trained
    expected = result_of(uninterrupted, whole)
    process = start(folder)
    began = time.monotonic()
    while n_recorded(folder) < results and process.poll() is None:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = n_recorded(folder)
    again = train(folder)
    assert moved(result_of(folder, again), folder, uninterrupted) == expected
    assert np.array_equal(said_by(folder, again), said_by(uninterrupted, whole))
    fits = again["fits"]
    assert fits["asked"] == whole["fits"]["asked"]
    assert fits["recorded"] > 0
    # A fit gives the results of two candidates at most, and two are made at the same time. Of the best candidate the
    # models of five folds are needed too, which the cache may lack.
    spared = whole["fits"]["fitted"] - fits["fitted"]
    assert (kept - 2) / 2 - 5 <= spared <= kept
    assert fits["fitted"] + fits["recorded"] <= whole["fits"]["asked"]


def test_the_same_command_again_fits_nothing(folder, first):
    second = train(folder)
    assert result_of(folder, first) == result_of(folder, second)
    assert second["fits"]["fitted"] == 0
    assert second["fits"]["recorded"] == second["fits"]["asked"] == first["fits"]["asked"]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    "sections",
    [
        {"calibration": {"method": "isotonic", "keep": "always"}},
        {"calibration": None},
        {"threshold": {"scoring": "f1"}},
        {"validation": {"cv_folds": 4, "metrics": ["accuracy", "roc_auc", "brier_score"], "slices": ["grade"]}},
        {"gates": [{"metric": "accuracy", "min": 0.1}]},
        {"calibration": {"method": "sigmoid", "keep": "better"}},
    ],
    ids=["calibration", "no calibration", "threshold", "metrics and slices", "gates", "keep"],
)
def test_what_is_computed_from_predictions_repeats_no_fit(folder, sections):
    before = n_recorded(folder)
    assert before > 0
    changed = train_here(folder, **sections)
    assert changed["fits"]["fitted"] + before == n_recorded(folder)
    if "calibration" not in sections:
        assert changed["fits"]["fitted"] == 0


def test_a_calibration_that_is_added_later_uses_the_models_that_are_there(folder):
    plain = {"tuning": None, "model": {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 5}}}
    first = train_here(folder, **plain, calibration=None)
    second = train_here(folder, **plain)
    by_phase = {phase["name"]: phase["fits"] for phase in second["phases"]}
    assert first["fits"]["fitted"] > 0
    assert (by_phase["fit"], by_phase["calibrate"]) == (0, 0)


@pytest.mark.usefixtures("first")
def test_a_wider_grid_fits_what_is_new(folder):
    grid = {"classifier__n_estimators": [20, 60], "classifier__max_depth": [1, 2, 3, 4, 5]}
    wider = train_here(folder, tuning={"strategy": "grid", "param_grid": grid})
    (tuned,) = [phase for phase in wider["phases"] if phase["name"] == "tune"]
    assert tuned["fits"] == 4


def test_fresh_fits_all_anew_and_finds_the_same(folder):
    plain = {"tuning": None, "model": {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 5}}}
    first, fresh = train_here(folder, **plain), train_here(folder, "--fresh", **plain)
    assert (fresh["fits"]["recorded"], fresh["fits"]["fitted"]) == (0, first["fits"]["fitted"])
    assert result_of(folder, first) == result_of(folder, fresh)
    assert train_here(folder, **plain)["fits"]["fitted"] == 0
