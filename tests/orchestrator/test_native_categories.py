"""Categories that the classifier splits itself: told by position, and the same in every fit of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import mlwf
from mlwf.errors import ConfigError
from mlwf.orchestrator.pipeline_config import build_ml_pipeline
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import (
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    TextFeatureSpec,
)

N = 240
RNG = np.random.default_rng(0)
SMALL: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 8, "min_samples_leaf": 5},
    "lightgbm": {"n_estimators": 8, "min_child_samples": 5, "min_data_per_group": 5, "cat_smooth": 1.0},
    "xgboost": {"n_estimators": 8, "max_cat_to_onehot": 1},
    "catboost": {"iterations": 8},
}
NATIVE = sorted(name for name, info in ALGORITHMS.items() if info.categories)
FEATURES: list[FeatureSpec] = [
    NumericFeatureSpec(columns=["number"], imputer=None, scaler=None),
    DateFeatureSpec(columns=["day"]),
    CategoricalFeatureSpec(columns=["letter", "city"], encoder="native"),
    TextFeatureSpec(columns=["prose"], n_components=2),
]
"""What is told by position stands in the middle."""


def _rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prose": [f"row {row} of a table" for row in range(N)],
            "number": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(size=N)),
            "letter": RNG.choice([*"abcdefgh", None], N),
            "city": RNG.choice(["Rome", "Oslo"], N),
            "day": pd.date_range("2024-01-01", periods=N),
        }
    )


X = _rows()
y = np.where(X["letter"].isin([*"aceg"]), "odd", "even")
"""No order of the letters, and no two ranges of them, tell the classes apart."""


def _model(algorithm: str) -> ClassifierModelSpec:
    return ClassifierModelSpec(algorithm=algorithm, hyperparameters=SMALL[algorithm])


@pytest.mark.parametrize("algorithm", NATIVE)
def test_categories_are_split_as_such(algorithm: str) -> None:
    result = mlwf.run_ml_workflow(FEATURES, _model(algorithm), X, y, validation_params={"shuffle": True})

    assert result["cv_score"] > 0.9


@pytest.mark.parametrize("algorithm", NATIVE)
def test_a_model_of_the_engine_is_one_of_scikit_learn(algorithm: str) -> None:
    grid = {f"classifier__{ALGORITHMS[algorithm].rounds}": [3, 6]}
    tuning = mlwf.GridSearchSpecBuilder().set_param_grid(grid).build()

    results = mlwf.run_ml_workflow(FEATURES, _model(algorithm), X, y, tuning_spec=tuning, random_state=1)

    codes = (y == "odd").astype(int)
    plain = build_ml_pipeline(FEATURES, _model(algorithm), random_state=1)
    expected = clone(plain).set_params(**results["tuning_summary"]["best_params"]).fit(X, codes)
    strange = [dict.fromkeys(X), {"letter": "unseen", "day": pd.NaT, "number": np.nan}]
    rows = pd.DataFrame([*X[X.columns[::-1]].to_dict("records"), *strange], dtype=object)
    shipped = results["pipeline"].predict_proba(rows)
    np.testing.assert_array_equal(shipped, expected.predict_proba(rows))
    np.testing.assert_array_equal(results["pipeline"].predict_proba(rows.tail(1)), shipped[-1:])


def test_a_booster_of_histograms_takes_more_categories_than_it_has_bins() -> None:
    many = pd.DataFrame({"code": [f"c{row % 100}" for row in range(N)]})
    spec = ClassifierModelSpec(algorithm="hist_gradient_boosting", hyperparameters={"max_bins": 16, "max_iter": 2})

    pipeline = build_ml_pipeline([CategoricalFeatureSpec(columns=["code"], encoder="native")], spec).fit(many, y)

    assert pipeline[:-1].transform(many).max() == 15


def test_an_algorithm_that_takes_numbers_alone_refuses_categories() -> None:
    with pytest.raises(
        ConfigError, match=r"^features\.2\.encoder: is 'native', and knn takes numbers alone; accepted: "
    ):
        build_ml_pipeline(FEATURES, ClassifierModelSpec(algorithm="knn"))


def test_an_algorithm_that_is_told_of_all_columns_refuses_those_of_an_unknown_number() -> None:
    features = [*FEATURES, CategoricalFeatureSpec(columns=["other"], encoder="target")]

    with pytest.raises(ConfigError) as caught:
        build_ml_pipeline(features, ClassifierModelSpec(algorithm="xgboost"))

    assert str(caught.value) == (
        "features.4.encoder: is 'target', beside native: xgboost is told of each column before the fit; "
        "accepted beside native: native, ordinal"
    )
