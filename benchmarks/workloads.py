"""What is searched, on which rows: the same for plain scikit-learn and for mlwf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.pipeline import Pipeline

from mlwf import ClassifierModelSpec, FeatureSpec, NumericFeatureSpec, build_ml_pipeline
from mlwf.specs.loading import load_experiment

CONFIGS = Path(__file__).parent.parent / "configs"
SCORING = "roc_auc"
CV_FOLDS = 5
STAGES = {"gradient_boosting": "n_estimators", "hist_gradient_boosting": "max_iter", "lightgbm": "n_estimators"}
"""What each booster calls its number of rounds."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Rows, a model and its candidates."""

    X: pd.DataFrame
    y: NDArray[Any]
    X_new: pd.DataFrame
    """Rows on which fitted models are compared."""
    features: Sequence[FeatureSpec]
    model: ClassifierModelSpec
    grid: Mapping[str, list[Any]]

    @property
    def pipeline(self) -> Pipeline:
        """The unfitted pipeline, one and the same for both sides."""
        return build_ml_pipeline(self.features, self.model)


def grid_of_64(algorithm: str, *, is_quick: bool, n_rates: int = 4) -> Workload:
    """Make a common hyperparameter search: 64 candidates, here on 2,000 rows of 20 columns.

    With fewer learning rates it is as much smaller.
    """
    X, y, X_new, features = _drawn(is_quick=is_quick)
    rounds, rates, depths = [50, 100, 150, 200], [0.01, 0.05, 0.1, 0.2], [3, 5, 7, 9]
    if is_quick:
        rounds, rates, depths = [3, 6], [0.1, 0.2], [2, 3]
    grid = {
        f"classifier__{STAGES[algorithm]}": rounds,
        "classifier__learning_rate": rates[:n_rates],
        "classifier__max_depth": depths,
    }
    return Workload(X, y, X_new, features, ClassifierModelSpec(algorithm=algorithm), grid)


def one_model(*, is_quick: bool) -> Workload:
    """Make a baseline: one gradient boosting, nothing searched."""
    X, y, X_new, features = _drawn(is_quick=is_quick)
    rounds = {"n_estimators": 5} if is_quick else {}
    model = ClassifierModelSpec(algorithm="gradient_boosting", hyperparameters=rounds)
    return Workload(X, y, X_new, features, model, {})


def cheap_candidates(*, is_quick: bool) -> Workload:
    """Make a search of 64 candidates that cost next to nothing each."""
    X, y, X_new, features = _drawn(is_quick=is_quick)
    model = ClassifierModelSpec(algorithm="logistic_regression")
    return Workload(X, y, X_new, features, model, {"classifier__C": np.logspace(-3, 2, 4 if is_quick else 64).tolist()})


def many_columns(*, is_quick: bool) -> Workload:
    """Make one model of 1,000 columns, of which two tell something: 300 rows, as of a laboratory."""
    n_rows, n_columns = (80, 20) if is_quick else (300, 1_000)
    draw = np.random.default_rng(42)
    frame = pd.DataFrame(draw.normal(size=(2 * n_rows, n_columns)), columns=[f"x{k}" for k in range(n_columns)])
    y = (frame["x0"] + frame["x1"] + draw.normal(size=2 * n_rows) > 0).astype(int).to_numpy()
    features = [NumericFeatureSpec(columns=list(frame.columns))]
    model = ClassifierModelSpec(algorithm="logistic_regression")
    return Workload(frame[:n_rows], y[:n_rows], frame[n_rows:], features, model, {})


def adult_census(*, is_quick: bool) -> Workload:
    """Read all 48,842 rows of the adult census, prepared as `configs/production.yaml` says, with 16 candidates."""
    spec, _ = load_experiment(CONFIGS / "production.yaml")
    parts = [pd.read_parquet(CONFIGS / "data" / name) for name in ("adult.parquet", "adult_test.parquet")]
    frame = pd.concat(parts, ignore_index=True)
    if is_quick:
        frame = frame.sample(600, random_state=0).reset_index(drop=True)
    assert not isinstance(spec.features, str)
    columns = [column for feature in spec.features for column in feature.columns]
    grid = {
        "classifier__max_iter": [3, 6] if is_quick else [50, 100, 150, 200],
        "classifier__learning_rate": [0.05, 0.1],
        "classifier__max_leaf_nodes": [15, 31],
    }
    X = frame[columns]
    return Workload(X, frame["income"].to_numpy(), X.iloc[:2000], spec.features, spec.model, grid)


def _drawn(*, is_quick: bool) -> tuple[pd.DataFrame, NDArray[Any], pd.DataFrame, Sequence[FeatureSpec]]:
    n_rows, n_columns = (200, 4) if is_quick else (2000, 20)
    X, y = make_classification(
        n_rows + 500, n_columns, n_informative=n_columns // 2, n_redundant=0, flip_y=0.1, random_state=42
    )
    frame = pd.DataFrame(X, columns=[f"x{number}" for number in range(n_columns)])
    features = [NumericFeatureSpec(columns=list(frame.columns))]
    return frame[:n_rows], y[:n_rows], frame[n_rows:], features
