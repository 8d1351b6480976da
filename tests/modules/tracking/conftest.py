"""Real SQLite stores: one is made, and copied for who needs its own; one whole run is logged and looked at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline

from mlwf.evaluation.predictions import Predictions
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tracking import MLflowTracker, TrackedDataset, TrackedRows, create_mlflow_tracker
from mlwf.processes import this_process
from mlwf.provenance import Protocol, Provenance
from mlwf.results import (
    CalibrationError,
    CalibrationResult,
    ColumnImportance,
    Difference,
    Evaluation,
    Finding,
    GateResult,
    Importances,
    Interval,
    PhaseResult,
    ReliabilityBin,
    Score,
    TuningResult,
)
from mlwf.run_result import RunInputs, RunLogEntries, RunResult, ShippedModel
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import CategoricalFeatureSpec, NumericFeatureSpec
from mlwf.specs.tracking import MLflowSpec

DIGEST = "0123456789abcdef" * 4
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN_ID = "20260101-120000-abcd"
MODEL_SPEC = ClassifierModelSpec(algorithm="decision_tree")

StoreAt = Callable[[Path], str]


TUNED = Provenance(
    "cross_validation",
    344,
    Protocol("kfold", n_folds=3),
    ("fold_0_test", "fold_1_test", "fold_2_test"),
    {"hyperparameters": ("train", "train", "train")},
    ("hyperparameters",),
)


def _score(
    metric: str,
    value: float | None,
    *,
    std: float | None = None,
    interval: tuple[float, float] | None = None,
    baseline: float | None = None,
    where: str | None = None,
) -> Score:
    return Score(
        metric=metric,
        provenance=TUNED,
        value=value,
        std=std,
        folds=(),
        interval=interval and Interval(*interval, 0.95, "corrected resampled t"),
        baseline=baseline,
        difference=None,
        n_rows=200,
        slice=where,
    )


def _make_calibration(**changed: Any) -> CalibrationResult:
    """Give a calibration that mends probabilities that were too sure."""

    def error(strength: float, log_loss: float) -> CalibrationError:
        shares = np.linspace(0.05, 0.95, 12)
        predicted = 0.5 + np.clip(strength * (shares - 0.5), -0.49, 0.49)
        bins = [
            ReliabilityBin(float(p), float(o), max(0, float(o) - 0.08), min(1, float(o) + 0.08), 40)
            for p, o in zip(predicted, shares, strict=True)
        ]
        return CalibrationError(log_loss, 0.11, 0.04, bins)

    default = {
        "reason": "log loss better by 0.021 [0.012, 0.030]",
        "before": error(1.4, 0.412),
        "after": error(1.05, 0.391),
        "difference": Difference(0.021, None, None),
        "provenance": Provenance(None, 480, Protocol("calibration")),
    }
    return CalibrationResult("isotonic", ensemble=True, cv_folds=5, holdout=None, n_rows=480, **{**default, **changed})


def _make_tracker(tracking_uri: str, **spec: Any) -> MLflowTracker:
    """Make a tracker of a run of this process."""
    run_id = spec.pop("run_id", RUN_ID)
    process = spec.pop("process", this_process())
    return create_mlflow_tracker(
        MLflowSpec(tracking_uri=tracking_uri, **spec), MODEL_SPEC, name="penguins", run_id=run_id, process=process
    )


@pytest.fixture(scope="session")
def make_calibration() -> Callable[..., CalibrationResult]:
    """Give a function that makes a measured calibration."""
    return _make_calibration


@pytest.fixture(scope="session")
def make_tracker() -> Callable[..., MLflowTracker]:
    """Give a function that makes a tracker of a run of this process at a store."""
    return _make_tracker


@pytest.fixture(scope="session")
def store_at(empty_store: Path) -> StoreAt:
    """Give a function that puts a new store into a folder."""

    def copy(folder: Path) -> str:
        shutil.copy(empty_store, folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"

    return copy


@pytest.fixture
def tracking_uri(store_at: StoreAt, tmp_path: Path) -> str:
    """Give the address of a store with nothing in it."""
    return store_at(tmp_path)


@dataclass(frozen=True)
class Tracked:
    """A run that was logged with all there is."""

    tracker: MLflowTracker
    client: Any
    model: Any
    X: pd.DataFrame
    search: GridSearchCV

    @property
    def run(self) -> Any:
        """The run as the store has it."""
        return self.client.get_run(self.tracker.run_id)

    def artifact(self, name: str) -> Path:
        """Fetch a file of the run."""
        return Path(self.client.download_artifacts(self.tracker.run_id, name))


@pytest.fixture(scope="session")
def tracked(store_at: StoreAt, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Log a search over penguins, a validation and a degraded calibration, with everything that a run can have."""
    folder = tmp_path_factory.mktemp("tracked")
    data = pd.read_csv(Path(__file__).parents[3] / "configs/data/penguins.csv")
    X, y = data.drop(columns="species"), data["species"].to_numpy()
    features = [
        NumericFeatureSpec(columns=["bill_length_mm", "bill_depth_mm", "body_mass_g"]),
        CategoricalFeatureSpec(columns=["island", "sex"]),
    ]
    pipeline = Pipeline([("preprocessor", build_preprocessor(features)), ("classifier", build_classifier(MODEL_SPEC))])
    search = GridSearchCV(pipeline, {"classifier__max_depth": [1, 3, None]}, cv=3).fit(X, y)
    model = search.best_estimator_
    proba = cross_val_predict(model, X, y, cv=3, method="predict_proba")
    classes = np.unique(y)
    evaluation = Evaluation(
        provenance=TUNED,
        scores=(
            _score("accuracy", 0.97, std=0.01, interval=(0.95, 0.99), baseline=0.44),
            _score("log_loss", 0.2),
            _score("roc_auc_ovr", None),
        ),
        predictions=Predictions(classes, classes[proba.argmax(axis=1)], proba),
        y=y,
        slices=(
            _score("accuracy", 0.9, interval=(0.8, 1.0), where="island = Dream"),
            _score("accuracy", 0.95, where="body_mass_g > 5000"),
            _score("accuracy", 0.85, where="body_mass_g < 5000"),
            _score("accuracy", None, where="island = Torgersen"),
        ),
    )
    tracker = _make_tracker(store_at(folder), registered_model_name="penguins", alias="challenger")
    tracker.start_run()
    tracker.log_params({"algorithm": "decision_tree", "n_samples": len(X)})
    tuning = TuningResult(
        "grid", "accuracy", search.best_params_, search.best_score_, 0, 3, 0, 3, cv_results=search.cv_results_
    )
    inputs = RunInputs("tumours", 5, "cross_validation", 3, True, True, False, False)
    phases = (PhaseResult("calibration", "degraded", "too few rows of Chinstrap", 0.1, 0),)
    result = RunResult(
        "penguins",
        NOW,
        inputs=inputs,
        tuning=tuning,
        model=ShippedModel(model, calibration=_make_calibration()),
        validation=evaluation,
        importances=Importances((ColumnImportance(("bill_length_mm",), 0.2),), provenance=evaluation.provenance),
        partial_dependence={"version": 1, "n_rows": 0, "classes": [], "columns": []},
        gates=(
            GateResult("accuracy at least 0.9", "0.9700 [0.9500, 0.9900]", passed=True, source="cross_validation"),
            GateResult("no finding leakage", "island alone tells it", passed=False, source=None),
        ),
        findings=(
            Finding("leakage", "error", "island alone tells it", "#leakage"),
            Finding("leakage", "error", "sex alone tells it", "#leakage"),
            Finding("rare_class", "warning", "Chinstrap has 9 rows", "#rare_class"),
        ),
        log=RunLogEntries(phases=phases),
    )
    datasets = [
        TrackedDataset(X, y, "penguins", DIGEST, str(folder / "penguins.csv"), "species"),
        TrackedDataset(X.head(30), y[:30], "unseen", DIGEST[::-1], None, "species", "test"),
    ]
    tracker.log_workflow_results(
        result,
        X_sample=X.head(100),
        register_model=True,
        rows=TrackedRows(datasets, np.arange(len(X), dtype=np.uint64) + 2**60),
        texts={"config.yaml": "name: penguins\n", "environment.txt": "scikit-learn==1.9.1\n"},
    )
    tracker.log_summary({"run_id": RUN_ID, "cv_score": np.float64(0.97), "spread": np.nan, "classes": classes})
    tracker.end_run(status="FINISHED")
    return Tracked(tracker, tracker.connect().client, model, X, search)
