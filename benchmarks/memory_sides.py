"""The tables of `benchmarks.memory`, and the plain script: `python -m benchmarks.memory_sides make|plain ...`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.memory import FOLDS, ROUNDS

EXPERIMENT = """\
data: {{path: {name}.parquet, target: label}}
model: {{algorithm: hist_gradient_boosting, hyperparameters: {{max_iter: {rounds}}}}}
validation: {{cv_folds: {folds}, metrics: [accuracy, roc_auc, log_loss]}}
"""


def make(n_rows: str, n_numbers: str, n_texts: str, name: str) -> None:
    """Write a table of floats and texts with a label of two texts, and the experiment that trains on it."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(int(n_rows), int(n_numbers)))
    signal = X[:, 0] + X[:, 1] * X[:, 2] + draw.normal(size=len(X))
    table = pd.DataFrame(X, columns=[f"x{number}" for number in range(X.shape[1])])
    for number in range(int(n_texts)):
        words = np.array([f"value {number} {word}" for word in range(5 + number)], dtype=object)
        table[f"t{number}"] = words[draw.integers(len(words), size=len(X))]
    table["label"] = np.where(signal > 0, "yes", "no")
    table.to_parquet(f"{name}.parquet")
    Path(f"{name}.yaml").write_text(EXPERIMENT.format(name=name, rounds=ROUNDS, folds=FOLDS), encoding="utf-8")


def plain(experiment: str) -> None:
    """Do what the experiment says with pandas and scikit-learn alone."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.read_parquet(Path(experiment).with_suffix(".parquet"))
    y = table.pop("label")
    numbers = list(table.select_dtypes("number").columns)
    texts = [name for name in table.columns if name not in numbers]
    prepare = ColumnTransformer(
        [
            ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
        ]
    )
    model = make_pipeline(prepare, HistGradientBoostingClassifier(max_iter=ROUNDS, random_state=42))
    print(cross_validate(model, table, y, cv=FOLDS, scoring=["accuracy", "roc_auc", "neg_log_loss"]))
    model.fit(table, y)


if __name__ == "__main__":
    {"make": make, "plain": plain}[sys.argv[1]](*sys.argv[2:])
