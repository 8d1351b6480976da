"""A run that was killed goes on where it was: the same result to the bit, and no fit made twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.engine.model_file import load_model
from mlwf.modules.runs import find_run

PATIENCE = 120.0
EXPERIMENT = {
    "data": {"path": "people.csv", "target": "size"},
    "model": {"hyperparameters": {"n_estimators": 60}},
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


@pytest.fixture
def folder(tmp_path, mixed):
    X, y = mixed
    # Twice, so that a fit takes long enough to be met in the middle.
    pd.concat([X.assign(size=y)] * 6, ignore_index=True).to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def start(folder, *options, runs="runs", **sections):
    (folder / "experiment.yaml").write_text(yaml.safe_dump({**EXPERIMENT, **sections}), "utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "mlwf", "train", "experiment.yaml", "--format=json", f"--runs-dir={runs}", *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def train(folder, *options, **sections):
    process = start(folder, *options, **sections)
    told, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return json.loads(told)


def result_of(folder, summary, runs="runs"):
    """Give all that a run found, without the times."""
    run = find_run(folder / runs, summary["run_id"])
    candidates = run.read_json("candidates.json")
    return {
        "summary": {key: value for key, value in summary.items() if key not in UNLIKE},
        "candidates": {key: value for key, value in candidates.items() if "time" not in key},
    }


def said_by(folder, summary, runs="runs"):
    model = load_model(find_run(folder / runs, summary["run_id"]).file("model.skops"))
    return model.predict_proba(pd.read_csv(folder / "people.csv"))


def n_recorded(folder):
    return sum(1 for _ in Path(folder, "runs", ".fits").glob("v*/*/*.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("results", [1, 12, 45, 60], ids=["early", "in the search", "late", "in the validation"])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(folder, results):
    whole = train(folder, runs="whole")
    process = start(folder)
    began = time.monotonic()
    while n_recorded(folder) < results and process.poll() is None:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = train(folder)
    assert result_of(folder, again) == result_of(folder, whole, "whole")
    assert np.array_equal(said_by(folder, again), said_by(folder, whole, "whole"))
    fits = again["fits"]
    assert fits["asked"] == whole["fits"]["asked"]
    assert fits["recorded"] > 0
    # A fit answers two candidates of the search at most, and two are made at the same time.
    done_before = whole["fits"]["fitted"] - fits["fitted"]
    assert 0 <= done_before <= whole["fits"]["fitted"]
    assert fits["fitted"] + fits["recorded"] <= whole["fits"]["asked"]


def test_the_same_command_again_fits_nothing(folder):
    first, second = train(folder), train(folder)
    assert result_of(folder, first) == result_of(folder, second)
    assert second["fits"]["fitted"] == 0
    assert second["fits"]["recorded"] == second["fits"]["asked"] == first["fits"]["asked"]


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
    train(folder)
    first = n_recorded(folder)
    changed = train(folder, **sections)
    assert changed["fits"]["fitted"] + first == n_recorded(folder)
    if "calibration" not in sections:
        assert changed["fits"]["fitted"] == 0


def test_a_calibration_that_is_added_later_uses_the_models_that_are_there(folder):
    plain = {"tuning": None, "model": {"hyperparameters": {"n_estimators": 5}}}
    first = train(folder, **plain, calibration=None)
    second = train(folder, **plain)
    by_phase = {phase["name"]: phase["fits"] for phase in second["phases"]}
    assert first["fits"]["fitted"] > 0
    assert (by_phase["fit"], by_phase["calibrate"]) == (0, 0)


def test_a_wider_grid_fits_what_is_new(folder):
    train(folder)
    grid = {"classifier__n_estimators": [20, 60], "classifier__max_depth": [1, 2, 3, 4, 5]}
    wider = train(folder, tuning={"strategy": "grid", "param_grid": grid})
    (tuned,) = [phase for phase in wider["phases"] if phase["name"] == "tune"]
    assert tuned["fits"] == 4


def test_fresh_fits_all_anew_and_finds_the_same(folder):
    first = train(folder)
    fresh = train(folder, "--fresh")
    assert (fresh["fits"]["recorded"], fresh["fits"]["fitted"]) == (0, first["fits"]["fitted"])
    assert result_of(folder, first) == result_of(folder, fresh)
    assert train(folder)["fits"]["fitted"] == 0
