"""A run ends when its time limit says so, with what there was time for, and what there was none for is reported."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from math import ceil
from time import monotonic

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import make_classification

from mlwf import ClassifierModelSpec, ComputeSpec, run_ml_workflow
from mlwf.cli.boundary import run
from mlwf.errors import ConfigError
from mlwf.modules.runs import find_run
from mlwf.orchestrator.api import plan_experiment, run_experiment
from mlwf.specs.base import parse_seconds
from mlwf.specs.loading import load_experiment

BOOSTER = {"algorithm": "hist_gradient_boosting", "hyperparameters": {"max_iter": 400}}
SEARCH = {
    "strategy": "grid",
    "scoring": "neg_log_loss",
    "param_grid": {"classifier__max_iter": [5, 20, 100, 400], "classifier__max_leaf_nodes": [4, 15, 31]},
}


def write_letters(path, n_rows):
    X, y = make_classification(n_rows, 16, n_informative=12, n_classes=26, n_clusters_per_class=1, random_state=0)
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))[y]
    pd.DataFrame(X, columns=[f"f{number}" for number in range(16)]).assign(letter=letters).to_csv(path, index=False)


@pytest.fixture
def letters(tmp_path, monkeypatch):
    """Give what runs an experiment on rows of 26 classes, or plans it, and how long that takes."""
    monkeypatch.chdir(tmp_path)

    def run(limit, *, n_rows=3000, call=run_experiment, **sections):
        write_letters("letters.csv", n_rows)
        written = {
            "data": {"path": "letters.csv", "target": "letter"},
            "features": [{"type": "numeric", "columns": [f"f{number}" for number in range(16)]}],
            "model": BOOSTER,
            "tuning": SEARCH,
            "findings": {"ignore": ["leakage"]},
            "compute": {"time_limit": limit},
            **sections,
        }
        written = {key: section for key, section in written.items() if section is not None}
        (tmp_path / "letters.yaml").write_text(yaml.safe_dump(written), "utf-8")
        spec, document = load_experiment(tmp_path / "letters.yaml")
        started = monotonic()
        result = call(spec, document, runs_dir=tmp_path / "runs")
        return result, monotonic() - started

    return run


@pytest.mark.parametrize("call", [run_experiment, plan_experiment], ids=["train", "plan"])
def test_a_limit_too_short_for_one_model_is_refused_with_the_shortest_that_would_do(letters, tmp_path, call):
    with pytest.raises(ConfigError) as error:
        letters("3s", n_rows=600, call=call, tuning={**SEARCH, "param_grid": {"classifier__max_iter": [40_000]}})
    (problem,) = error.value.problems
    assert problem.where.endswith("letters.yaml:2:15")
    assert (problem.key, problem.message) == ("compute.time_limit", "is '3s', too short for even one model")
    shortest = problem.hint.removeprefix("the shortest that would do is ")
    assert parse_seconds(shortest) > 30
    # A mistake that is found before the first fit leaves no run.
    assert call is plan_experiment or not list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_a_limit_too_short_for_the_fits_is_long_enough_where_the_cache_has_them(letters):
    search = {"strategy": "grid", "param_grid": {"classifier__max_depth": [8]}}
    model = {"algorithm": "random_forest", "hyperparameters": {"n_estimators": 150}}
    run = partial(letters, n_rows=600, model=model, tuning=search, validation={"cv_folds": 20})
    _, seconds = run("10m")
    # Half of that would not do for the fits, and this is a third of it.
    summary, _ = run(f"{ceil(0.3 * seconds)}s")
    assert summary["fits"]["fitted"] <= 1


def test_a_call_has_the_same_limit_and_ends_before_anything_is_fitted(mixed, mixed_features):
    model = ClassifierModelSpec(hyperparameters={"max_iter": 1_000_000, "early_stopping": False})
    with pytest.raises(ConfigError, match=r"compute\.time_limit: is '3s', too short for even one model"):
        run_ml_workflow(mixed_features, model, *mixed, compute_spec=ComputeSpec(time_limit="3s"))


def test_a_search_that_cannot_be_finished_is_cut_and_that_is_reported(letters, tmp_path):
    summary, seconds = letters(
        "8s",
        n_rows=900,
        tuning={**SEARCH, "param_grid": {"classifier__max_iter": [1, 2, 40_000]}},
        validation={"cv_folds": 3},
    )
    assert seconds < 1.2 * 8 + 10
    assert summary["time_limit"] == {"seconds": 8.0, "cut": ["tune"]}
    assert summary["tuning"]["n_candidates"] == 2
    assert summary["tuning"]["is_timed_out"] is True
    assert summary["tuning"]["stopped"] == (
        "cut by compute.time_limit, which is 8 s: 2 of 3 candidates were tried, the cheapest first; "
        "a faster machine tries more"
    )
    assert f"tuning: {summary['tuning']['stopped']}" in summary["warnings"]
    assert summary["status"] == "done"


@pytest.mark.slow
def test_a_longer_limit_goes_on_from_what_the_cut_run_has_fitted(letters):
    rounds = {"classifier__max_iter": [1, 2, 40_000]}
    sections = {"n_rows": 900, "tuning": {**SEARCH, "param_grid": rounds}, "validation": {"cv_folds": 3}}
    first, _ = letters("8s", **sections)
    again, _ = letters("9s", **sections)
    assert first["fits"]["recorded"] == 0
    assert again["fits"]["recorded"] >= 6
    assert again["tuning"]["best_params"] == first["tuning"]["best_params"]
    assert again["scores"] == first["scores"]


def test_a_limit_that_suffices_changes_nothing(letters):
    sections = {
        "n_rows": 600,
        "model": {"algorithm": "gaussian_nb"},
        "tuning": {"strategy": "grid", "param_grid": {"classifier__var_smoothing": [1e-9, 1e-3, 0.1]}},
        "validation": {"cv_folds": 3},
    }
    limited, _ = letters("1h", **sections)
    free, _ = letters(None, **sections)
    assert limited["time_limit"] == {"seconds": 3600.0, "cut": []}
    assert free["time_limit"] is None
    assert (limited["scores"], limited["tuning"]) == (free["scores"], free["tuning"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"calibration": {"method": "sigmoid"}},
        {"validation": {"nested": True, "cv_folds": 3}},
        {
            "tuning": {
                "strategy": "halving",
                "scoring": "neg_log_loss",
                "param_grid": {
                    "classifier__learning_rate": [0.03, 0.1, 0.3],
                    "classifier__max_leaf_nodes": [4, 15, 31],
                },
            }
        },
        {
            "tuning": {
                "strategy": "optuna",
                "scoring": "neg_log_loss",
                "n_iter": 24,
                "param_distributions": {
                    "classifier__max_iter": [5, 20, 100, 400],
                    "classifier__learning_rate": {"loguniform": [0.03, 0.3]},
                },
            }
        },
        {
            "model": None,
            "models": {
                "linear": {"algorithm": "logistic_regression"},
                "boosted": {**BOOSTER, "tuning": {key: SEARCH[key] for key in ("strategy", "param_grid")}},
                "forest": {"algorithm": "extra_trees"},
            },
            "ensemble": {"size": 10},
            "tuning": None,
        },
    ],
    ids=["plain", "calibrated", "nested", "halving", "optuna", "models"],
)
def test_a_run_of_26_classes_and_400_rounds_ends_in_time(letters, sections):
    limit = 20.0
    summary, seconds = letters(limit, n_rows=1500, **sections)
    assert seconds < 1.2 * limit + 10
    assert summary["status"] in {"done", "degraded"}
    assert summary["time_limit"]["cut"]
    # On a busy machine there may be no time for two folds, which is reported.
    assert summary["scores"] or "validate" in summary["time_limit"]["cut"]


@pytest.mark.slow
def test_the_shortest_limit_that_is_named_suffices(letters):
    sections = {"n_rows": 600, "tuning": {**SEARCH, "param_grid": {"classifier__max_iter": [60]}}}
    limit, summary, seconds = "1s", None, 0.0
    for _ in range(3):  # a machine that has become busier since names a longer one
        try:
            summary, seconds = letters(limit, **sections)
            break
        except ConfigError as error:
            (problem,) = error.problems
            limit = problem.hint.removeprefix("the shortest that would do is ")
    assert limit != "1s"
    assert summary["tuning"]["n_candidates"] == 1
    assert seconds < 1.2 * parse_seconds(limit) + 10


def test_the_command_takes_a_limit_and_refuses_one_that_is_none(letters, tmp_path, capsys):
    write_letters("letters.csv", 600)
    (tmp_path / "e.yaml").write_text(
        "data: {path: letters.csv, target: letter}\nmodel: {algorithm: gaussian_nb}\n", "utf-8"
    )
    assert run(["train", "e.yaml", "--time-limit", "soon"]) == 2
    assert capsys.readouterr().err == (
        "--set compute.time_limit  compute.time_limit: is 'soon'; accepted: seconds above 0, or a text such as 90s, "
        "10m or 1h30m\n"
    )
    assert run(["train", "e.yaml", "--quiet", "--time-limit", "5m"]) == 0
    assert "Time limit   5 min 0 s\n" in capsys.readouterr().out
    folder = find_run(tmp_path / "runs", "latest")
    assert yaml.safe_load(folder.file("config.yaml").read_text("utf-8"))["compute"]["time_limit"] == "5m"


def test_a_command_does_not_wait_for_a_fit_that_cannot_be_ended():
    code = """
import sys, threading, time
from mlwf.processes import STRAGGLERS
thread = threading.Thread(target=time.sleep, args=(60,))
thread.start()
STRAGGLERS.add(thread)
sys.argv = ["mlwf", "--version"]
from mlwf.cli.boundary import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stdout[:5], done.stderr) == (0, "mlwf ", "")
