"""One fit of LightGBM, XGBoost or CatBoost contains those with fewer rounds: each is compared with a plain fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from mlwf import CategoricalFeatureSpec, NumericFeatureSpec, build_ml_pipeline
from mlwf.engine.label_codes import encoded_classifier, with_label_codes
from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.staged_ensembles import is_resumable, may_be_resumable, stage_parameter, staged_predictions, truncated
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.modules.model import build_classifier
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ClassifierModelSpec

STAGES = (1, 4, 9, 15)
N_TRAIN = 400

BAGGED = {"subsample": 0.6, "subsample_freq": 1}
EXACT: dict[str, list[dict[str, Any]]] = {
    "lightgbm": [
        {},
        BAGGED,
        {"subsample": 0.6, "subsample_freq": 4, "colsample_bytree": 0.5, "feature_fraction_bynode": 0.5},
        {"pos_bagging_fraction": 0.5, "neg_bagging_fraction": 0.9, "subsample_freq": 1},
        # It samples from round 1 / learning_rate on.
        {"data_sample_strategy": "goss", "learning_rate": 0.2},
        {"boosting_type": "rf", **BAGGED},
        {"extra_trees": True},
        {"use_quantized_grad": True},
        {"linear_tree": True},
        {"class_weight": "balanced", "reg_alpha": 0.5, "path_smooth": 1.0},
        # It stops when no split gains enough.
        {"min_split_gain": 3.0},
    ],
    "xgboost": [
        {},
        {"subsample": 0.6, "colsample_bytree": 0.5, "colsample_bynode": 0.7, "colsample_bylevel": 0.7},
        {"tree_method": "exact"},
        {"tree_method": "approx"},
        {"grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"multi_strategy": "multi_output_tree"},
        {"gamma": 2.0, "reg_alpha": 1.0, "base_score": 0.3},
    ],
    "catboost": [
        {},
        {"bootstrap_type": "Bernoulli", "subsample": 0.6},
        {"bootstrap_type": "Bayesian", "bagging_temperature": 2.0},
        {"bootstrap_type": "No", "random_strength": 5.0},
        {"bootstrap_type": "MVS", "sampling_frequency": "PerTree"},
        {"boosting_type": "Ordered"},
        {"rsm": 0.5, "score_function": "L2"},
        {"leaf_estimation_method": "Gradient", "leaf_estimation_iterations": 5},
    ],
}
CASES = [(algorithm, setting) for algorithm, settings in EXACT.items() for setting in settings]
IDS = [f"{algorithm} {' '.join(setting)}" for algorithm, setting in CASES]


def data(n_classes: int, *, n_rows: int = 600) -> tuple[Any, Any, Any]:
    """Give rows with missing values, labels that are texts, and weights."""
    draw = np.random.default_rng(n_classes)
    X = draw.normal(size=(n_rows, 5))
    X[:, 4] = draw.integers(0, 6, n_rows)
    target = X[:, 0] + X[:, 1] * X[:, 2] + draw.normal(0, 0.5, n_rows)
    X[draw.random(X.shape) < 0.05] = np.nan
    codes = np.digitize(target, np.quantile(target, np.linspace(0, 1, n_classes + 1)[1:-1]))
    return X, np.array([f"class {code}" for code in range(n_classes)])[codes], draw.random(n_rows) + 0.5


def build(algorithm: str, stage: int, setting: dict[str, Any]) -> Any:
    hyperparameters = {"learning_rate": 0.1, **setting, ALGORITHMS[algorithm].rounds: stage}
    return build_classifier(ClassifierModelSpec(algorithm=algorithm, hyperparameters=hyperparameters))


def fit(algorithm: str, stage: int, setting: dict[str, Any], *arrays: Any) -> Any:
    X, y, weight = arrays
    return with_label_codes(build(algorithm, stage, setting)).fit(X, y, sample_weight=weight)


def assert_same(one: Predictions, other: Predictions) -> None:
    for name in ("classes", "labels", "proba", "decision"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            assert (mine.dtype, mine.shape, mine.strides) == (theirs.dtype, theirs.shape, theirs.strides), name
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("algorithm", "setting"), CASES, ids=IDS)
def test_each_stage_of_a_fit_is_the_fit_of_that_stage(algorithm: str, setting: dict[str, Any], n_classes: int) -> None:
    X, y, weight = data(n_classes)
    train = (X[:N_TRAIN], y[:N_TRAIN], weight[:N_TRAIN])
    assert stage_parameter(build(algorithm, 15, setting), N_TRAIN) == ALGORITHMS[algorithm].rounds
    longest = fit(algorithm, STAGES[-1], setting, *train)
    staged = staged_predictions(longest, X, STAGES)
    for stage, predictions in zip(STAGES, staged, strict=True):
        plain = predict(fit(algorithm, stage, setting, *train), X)
        assert_same(predictions, plain)
        assert_same(predict(truncated(longest, stage), X), plain)
    assert_same(predict(longest, X), staged[-1])


@pytest.mark.parametrize(
    ("algorithm", "setting"),
    [
        pytest.param("lightgbm", {"boosting_type": "dart"}, id="lightgbm drops trees"),
        pytest.param("xgboost", {"booster": "dart", "rate_drop": 0.3}, id="xgboost drops trees"),
        pytest.param("catboost", {"grow_policy": "Lossguide"}, id="catboost cuts symmetric trees alone"),
        pytest.param("catboost", {"grow_policy": "Depthwise"}, id="catboost cuts no trees of levels"),
    ],
)
def test_a_fit_that_does_not_contain_smaller_ones_is_fitted_plainly(algorithm: str, setting: dict[str, Any]) -> None:
    assert stage_parameter(build(algorithm, 15, setting), N_TRAIN) is None


def test_the_rate_that_catboost_chooses_depends_on_the_number_of_rounds() -> None:
    spec = ClassifierModelSpec(algorithm="catboost", hyperparameters={"iterations": 15})
    classifier = build_classifier(spec)
    assert stage_parameter(classifier, N_TRAIN) is None
    X, y, _ = data(2)
    proba = [
        encoded_classifier(with_label_codes(clone(classifier).set_params(iterations=n)).fit(X, y)).predict_proba(
            X, ntree_end=5
        )
        for n in (5, 15)
    ]
    assert not np.array_equal(*proba)


@pytest.mark.parametrize("algorithm", EXACT)
def test_a_stage_needs_an_integer_seed_and_one_thread(algorithm: str) -> None:
    threads = "thread_count" if algorithm == "catboost" else "n_jobs"
    assert stage_parameter(build(algorithm, 15, {}).set_params(random_state=np.int64(3)), N_TRAIN)
    assert stage_parameter(build(algorithm, 15, {}).set_params(random_state=None), N_TRAIN) is None
    assert stage_parameter(build(algorithm, 15, {}).set_params(**{threads: 2}), N_TRAIN) is None


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("algorithm", EXACT)
def test_a_truncated_model_is_saved_and_says_how_many_rounds_it_has(
    algorithm: str, n_classes: int, tmp_path: Any
) -> None:
    X, y, weight = data(n_classes)
    longest = fit(algorithm, 15, {}, X, y, weight)
    before = predict(longest, X)
    cut = truncated(longest, 4)
    save_model(cut, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert_same(predict(loaded, X), predict(fit(algorithm, 4, {}, X, y, weight), X))
    rounds = ALGORITHMS[algorithm].rounds
    assert encoded_classifier(loaded).get_params()[rounds] == 4
    assert clone(loaded).get_params()[rounds if cut is encoded_classifier(cut) else f"{algorithm}__{rounds}"] == 4
    assert_same(predict(longest, X), before)
    assert encoded_classifier(longest).get_params()[rounds] == 15


@pytest.mark.parametrize("algorithm", EXACT)
def test_a_stage_beyond_the_last_is_the_whole_fit(algorithm: str) -> None:
    X, y, _ = data(2)
    model = fit(algorithm, 4, {}, X, y, None)
    assert_same(predict(truncated(model, 9), X), predict(model, X))
    (beyond,) = staged_predictions(model, X, [9])
    assert_same(beyond, predict(model, X))


@pytest.mark.parametrize("algorithm", EXACT)
def test_none_is_resumed(algorithm: str) -> None:
    X, y, _ = data(2)
    assert not may_be_resumable(build(algorithm, 4, {}))
    assert not is_resumable(fit(algorithm, 4, {}, X, y, None))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("algorithm", EXACT)
def test_each_stage_is_exact_where_the_library_takes_categories_itself(algorithm: str, n_classes: int) -> None:
    X, y, _ = data(n_classes)
    table = pd.DataFrame(X[:, :2], columns=["x", "z"]).assign(city=[f"c{code:.0f}" for code in X[:, 4]])
    rounds = ALGORITHMS[algorithm].rounds
    pipeline = build_ml_pipeline(
        [NumericFeatureSpec(columns=["x", "z"]), CategoricalFeatureSpec(columns=["city"], encoder="native")],
        ClassifierModelSpec(algorithm=algorithm, hyperparameters={"learning_rate": 0.1, rounds: STAGES[-1]}),
    )
    prepared = pipeline[:-1].fit_transform(table, y)

    def fitted(stage: int) -> Any:
        return with_label_codes(clone(pipeline[-1]).set_params(**{rounds: stage})).fit(prepared, y)

    assert stage_parameter(pipeline[-1], len(y)) == rounds
    longest = fitted(STAGES[-1])
    for stage, predictions in zip(STAGES, staged_predictions(longest, prepared, STAGES), strict=True):
        plain = predict(fitted(stage), prepared)
        assert_same(predictions, plain)
        assert_same(predict(truncated(longest, stage), prepared), plain)
