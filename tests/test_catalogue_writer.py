"""The catalogue against the installed scikit-learn: what it records, and what each hyperparameter accepts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.metrics import get_scorer_names

from mlwf.catalogue_writer import (
    LEFT_OUT,
    WITHOUT_MEANING,
    describe_algorithm,
    describe_catalogue,
    write_catalogue,
)
from mlwf.specs.catalogue import (
    ALGORITHMS,
    check_hyperparameters,
    gives_probabilities,
    scorer_names,
    takes_sample_weight,
)
from mlwf.specs.catalogue.algorithms import AlgorithmInfo, has_probabilities
from mlwf.specs.catalogue.metadata import PATH, meets, metadata

# What a person may write for any hyperparameter at all.
VALUES: list[Any] = [
    *(True, False, None),
    *(-2, -1, 0, 1, 2, 255, 256),
    *(-0.5, 0.0, 0.3, 0.5, 1.0, 1.5, math.inf, -math.inf, math.nan),
    *("", "auto", "balanced", "sqrt", "1", "nonsense"),
    *([], [1], (1, 1), [0.5, "a"], {}, {"a": 1.0}),
]
SHORT_FITS = {"n_estimators": 2, "iterations": 2, "max_iter": 50}


def estimator_class(algorithm: str) -> Any:
    return ALGORITHMS[algorithm].load_class()


@pytest.mark.skipif(
    sklearn.__version__ != metadata()["scikit_learn"], reason="the catalogue was made from another scikit-learn"
)
def test_catalogue_is_current() -> None:
    assert PATH.read_text(encoding="utf-8") == write_catalogue(describe_catalogue()), (
        "run `python -m mlwf.catalogue_writer`"
    )


def test_catalogue_holds_every_algorithm() -> None:
    recorded = {name: algorithm["class_path"] for name, algorithm in metadata()["algorithms"].items()}
    assert recorded == {name: info.class_path for name, info in ALGORITHMS.items()}


def test_catalogue_names_exist_in_the_installed_version() -> None:
    assert set(scorer_names()) <= set(get_scorer_names())
    for name, algorithm in metadata()["algorithms"].items():
        current = {key for key, parameter in algorithm["parameters"].items() if not parameter.get("deprecated")}
        assert current <= {*estimator_class(name)().get_params(deep=False), *ALGORITHMS[name].more}


def test_write_catalogue_is_json() -> None:
    assert json.loads(write_catalogue(metadata())) == metadata()


@pytest.mark.parametrize("algorithm", [name for name, info in ALGORITHMS.items() if info.package == "sklearn"])
def test_check_hyperparameters_agrees_with_scikit_learn(algorithm: str) -> None:
    disagreements = [
        (name, value)
        for name, value in trials(algorithm)
        if accepts(algorithm, name, value) != scikit_learn_accepts(algorithm, name, value)
        and not (scikit_learn_accepts(algorithm, name, value) and is_refused_on_purpose(algorithm, name, value))
    ]
    assert disagreements == []


@pytest.mark.parametrize(
    ("algorithm", "name", "value"),
    [
        pytest.param("gradient_boosting", "n_estimators", True, id="a boolean for a number"),
        pytest.param("knn", "metric", "precomputed", id="distances in place of a table"),
        pytest.param("logistic_regression", "l1_ratio", None, id="soon refused by scikit-learn"),
        pytest.param("random_forest", "class_weight", [{"a": 1.0}], id="several targets"),
        pytest.param("mlp", "hidden_layer_sizes", [0.5, "a"], id="wrong items"),
        pytest.param("hist_gradient_boosting", "categorical_features", {"a": 1.0}, id="a map for a list"),
    ],
)
def test_check_hyperparameters_is_stricter_than_scikit_learn(algorithm: str, name: str, value: Any) -> None:
    assert scikit_learn_accepts(algorithm, name, value)
    assert not accepts(algorithm, name, value)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_recorded_abilities_are_those_of_a_fitted_model(algorithm: str) -> None:
    X, y = load_iris(return_X_y=True)
    recorded = metadata()["algorithms"][algorithm]
    short = {name: value for name, value in SHORT_FITS.items() if name in recorded["parameters"]}
    short |= {
        name: value for name, value in ALGORITHMS[algorithm].presets.items() if name not in recorded["parameters"]
    }
    weights = {"sample_weight": [1.0] * len(y)} if takes_sample_weight(algorithm) else {}
    model = estimator_class(algorithm)(**short).fit(X, y, **weights)
    assert hasattr(model, "predict_proba") == gives_probabilities(algorithm, {})
    assert hasattr(model, "decision_function") == recorded["decision_function"]
    assert accepts_missing_values(model, X, y) == recorded["missing_values"]
    assert recorded["native_categories"] == (
        "categorical_features" in recorded["parameters"] or algorithm == "catboost"
    )


def test_describe_algorithm_finds_what_probabilities_hang_on() -> None:
    described = describe_algorithm(AlgorithmInfo(class_path="sklearn.linear_model.SGDClassifier"))
    assert described["probabilities"] == {"parameter": "loss", "values": ["log_loss", "modified_huber"]}
    assert not has_probabilities(described, {})
    assert not has_probabilities(described, {"loss": "hinge"})
    assert has_probabilities(described, {"loss": "log_loss"})


def accepts_missing_values(model: Any, X: Any, y: Any) -> bool:
    X = X.copy()
    X[::3, 1] = math.nan
    try:
        model.fit(X, y)
    except ValueError as error:
        return "NaN" not in str(error)
    return True


def trials(algorithm: str) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, parameter in metadata()["algorithms"][algorithm]["parameters"].items()
        if not parameter.get("deprecated")
        for value in [
            *VALUES,
            parameter["default"],
            *(option for constraint in parameter["accepts"] for option in constraint.get("values", [])),
            *WITHOUT_MEANING,
        ]
    ]


def accepts(algorithm: str, name: str, value: Any) -> bool:
    return not check_hyperparameters(algorithm, {name: value})


def scikit_learn_accepts(algorithm: str, name: str, value: Any) -> bool:
    try:
        estimator_class(algorithm)(**{name: value})._validate_params()
    except ValueError:
        return False
    return True


def is_refused_on_purpose(algorithm: str, name: str, value: Any) -> bool:
    """Whether we refuse what scikit-learn's check lets pass, knowing better; every case has a test above."""
    constraints = metadata()["algorithms"][algorithm]["parameters"][name]["accepts"]
    types = {constraint["type"] for constraint in constraints}
    items = ALGORITHMS[algorithm].items.get(name)
    return (
        (isinstance(value, bool) and "boolean" not in types and bool(types & {"integer", "number"}))
        or (isinstance(value, str) and value in WITHOUT_MEANING)
        or (name in LEFT_OUT and meets(value, LEFT_OUT[name]))
        or (items is not None and isinstance(value, list | tuple) and not all(meets(item, items) for item in value))
        or (isinstance(value, dict) and "list" in types and "map" not in types)
    )
