"""One fit of one system, as a process of its own: `python quality_fit.py SYSTEM FOLDER SECONDS CORES CLOCK`.

The folder has `train.parquet` and `test.parquet`, whose column `target` holds classes from 0; `probabilities.npy` and
`fit.json` are written there. This file runs in the environments of other systems too: it imports nothing of mlwf
before the system is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

TARGET = "target"

Predict = Callable[[pd.DataFrame], Any]
"""From columns to probabilities, (n_samples, n_classes)."""

SINGLE: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"model": {"algorithm": "hist_gradient_boosting"}},
    "gradient_boosting": {"model": {"algorithm": "gradient_boosting"}},
    "logistic_regression": {"model": {"algorithm": "logistic_regression", "hyperparameters": {"max_iter": 1000}}},
    "random_forest": {"model": {"algorithm": "random_forest", "hyperparameters": {"n_estimators": 300}}},
    "tuned_lightgbm": {
        "model": {"algorithm": "lightgbm"},
        "tuning": {
            "strategy": "grid",
            "scoring": "neg_log_loss",
            "param_grid": {
                "classifier__n_estimators": [25, 50, 100, 200, 400],
                "classifier__learning_rate": [0.03, 0.1],
                "classifier__num_leaves": [7, 31],
            },
        },
    },
}
"""Experiments with one model, without what each has in common."""
PORTFOLIO: dict[str, Any] = {"model": {"algorithm": "auto"}}


def main(system: str, folder: str, seconds: str, cores: str, clock: str) -> None:
    """Fit, predict, and write what came of it; with the clock `cpu` a limit is one of CPU seconds by cores."""
    if clock == "cpu":
        begun = time.time()
        time.time = lambda: begun + time.process_time() / int(cores)
    place = Path(folder)
    train, test = (pd.read_parquet(place / f"{part}.parquet") for part in ("train", "test"))
    started = perf_counter()
    predict, note = FITS.get(system, fit_mlwf)(system, place, train, float(seconds), int(cores))
    fitted = perf_counter()
    probabilities = np.asarray(predict(test.drop(columns=TARGET)), dtype=float)
    np.save(place / "probabilities.npy", probabilities)
    thousand = test.drop(columns=TARGET).iloc[np.arange(1000) % len(test)].reset_index(drop=True)
    begun = perf_counter()
    predict(thousand)
    found = {"fit_seconds": fitted - started, "predict_seconds": perf_counter() - begun, "note": note}
    (place / "fit.json").write_text(json.dumps(found), encoding="utf-8")


def fit_mlwf(system: str, place: Path, train: pd.DataFrame, seconds: float, cores: int) -> tuple[Predict, str]:
    """Train by mlwf's command line; the file of the model is loaded by skops alone."""
    import skops.io

    experiment: dict[str, Any] = {
        "data": {"path": "train.parquet", "target": TARGET},
        "compute": {"n_jobs": cores},
        **SINGLE.get(system, PORTFOLIO),
    }
    if system not in SINGLE:
        experiment["compute"]["time_limit"] = seconds
    # JSON is YAML.
    (place / "experiment.yaml").write_text(json.dumps(experiment), encoding="utf-8")
    command = [sys.executable, "-m", "mlwf", "train", "experiment.yaml", "--quiet"]
    ended = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"mlwf train ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    (model_file,) = place.glob("runs/*/model.skops")
    model = skops.io.load(model_file, trusted=skops.io.get_untrusted_types(file=model_file))
    return model.predict_proba, type(model).__name__


def fit_flaml(system: str, place: Path, train: pd.DataFrame, seconds: float, cores: int) -> tuple[Predict, str]:
    """Fit by FLAML."""
    from flaml import AutoML

    automl = AutoML()
    automl.fit(
        X_train=train.drop(columns=TARGET),
        y_train=train[TARGET],
        task="classification",
        metric="log_loss",
        time_budget=seconds,
        n_jobs=cores,
        seed=0,
        verbose=0,
    )
    return automl.predict_proba, str(automl.best_estimator)


def fit_autogluon(system: str, place: Path, train: pd.DataFrame, seconds: float, cores: int) -> tuple[Predict, str]:
    """Fit by AutoGluon with its preset of medium quality."""
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor(label=TARGET, eval_metric="log_loss", path=str(place / "autogluon"), verbosity=0)
    predictor.fit(train, presets="medium_quality", time_limit=seconds, num_cpus=cores)

    def predict(X: pd.DataFrame) -> Any:
        table = predictor.predict_proba(X)
        return table[sorted(table.columns)]

    return predict, str(predictor.model_best)


FITS = {"flaml": fit_flaml, "autogluon": fit_autogluon}
"""Systems that are not mlwf."""

if __name__ == "__main__":
    main(*sys.argv[1:])
