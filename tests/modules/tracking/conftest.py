"""Real SQLite stores: one is made, and copied for who needs its own; one whole run is logged and looked at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Predictions
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tracking import MLflowTracker, TrackedDataset, create_mlflow_tracker
from mlwf.modules.tracking.store import open_store
from mlwf.processes import this_process
from mlwf.results import Judgement, Score
from mlwf.specs.features import CategoricalFeatureSpec, NumericFeatureSpec
from mlwf.specs.model import ClassifierModelSpec
from mlwf.specs.tracking import MLflowSpec

DIGEST = "0123456789abcdef" * 4
RUN_ID = "20260101-120000-abcd"
MODEL_SPEC = ClassifierModelSpec(algorithm="decision_tree")

StoreAt = Callable[[Path], str]


def _make_tracker(tracking_uri: str, **spec: Any) -> MLflowTracker:
    """Make a tracker of a run of this process."""
    run_id = spec.pop("run_id", RUN_ID)
    process = spec.pop("process", this_process())
    return create_mlflow_tracker(
        MLflowSpec(tracking_uri=tracking_uri, **spec), MODEL_SPEC, name="penguins", run_id=run_id, process=process
    )


@pytest.fixture(scope="session")
def make_tracker() -> Callable[..., MLflowTracker]:
    """Give a function that makes a tracker of a run of this process at a store."""
    return _make_tracker


@pytest.fixture(scope="session")
def store_at(tmp_path_factory: pytest.TempPathFactory) -> StoreAt:
    """Give a function that puts a new store into a folder."""
    template = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{template}")

    def copy(folder: Path) -> str:
        shutil.copy(template, folder / "mlflow.db")
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
    note = "3-fold cross-validation, out-of-fold"
    scores = [("accuracy", 0.97, 0.01, 0.44), ("log_loss", 0.2, None, None), ("roc_auc_ovr", None, None, None)]
    judgement = Judgement(
        source="cross_validation",
        scores=tuple(
            Score(name, "cross_validation", value, std, (), baseline, len(y), note, tuned_on_same_rows=True)
            for name, value, std, baseline in scores
        ),
        predictions=Predictions(classes, classes[proba.argmax(axis=1)], proba),
        y=y,
        note=note,
    )
    tracker = _make_tracker(store_at(folder), registered_model_name="penguins", alias="challenger")
    tracker.start_run()
    tracker.log_params({"algorithm": "decision_tree", "n_samples": len(X)})
    tracker.log_workflow_results(
        results={
            "pipeline": model,
            "cv_score": 0.97,
            "cv_std": 0.01,
            "validation_strategy": "cross_validation",
            "tuning_summary": {
                "strategy": "grid",
                "scoring": "accuracy",
                "best_params": search.best_params_,
                "best_score": search.best_score_,
                "n_candidates": 3,
            },
        },
        X_sample=X.head(100),
        register_model=True,
        judgements=[judgement],
        datasets=[
            TrackedDataset(X, y, "penguins", DIGEST, str(folder / "penguins.csv"), "species"),
            TrackedDataset(X.head(30), y[:30], "unseen", DIGEST[::-1], None, "species", "test"),
        ],
        candidates=search.cv_results_,
        config="name: penguins\n",
        summary={"run_id": RUN_ID, "cv_score": np.float64(0.97), "classes": classes},
        environment="scikit-learn==1.9.1\n",
        degraded={"calibration": "too few rows of Chinstrap"},
    )
    tracker.end_run(status="FINISHED")
    return Tracked(tracker, tracker.connect().client, model, X, search)
