"""Algorithms and hyperparameters: what is refused, word for word."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from mlwf.errors import Refusal
from mlwf.specs import catalogue

IN_STARTING_UP = """
import sys
from mlwf.specs import catalogue
catalogue.check_hyperparameters("gradient_boosting", {"max_depth": 0})
catalogue.check_metric("roc_auc", "svc", {}, False)
heavy = {"catboost", "feast", "lightgbm", "mlflow", "numpy", "pandas", "scipy", "sklearn", "xgboost"}
print(sorted(heavy & set(sys.modules)))
"""


def test_catalogue_is_read_without_importing_scikit_learn() -> None:
    done = subprocess.run([sys.executable, "-c", IN_STARTING_UP], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_algorithm_names_are_sorted() -> None:
    assert catalogue.algorithm_names() == [
        "catboost",
        "decision_tree",
        "extra_trees",
        "gaussian_nb",
        "gaussian_process",
        "gradient_boosting",
        "hist_gradient_boosting",
        "knn",
        "lightgbm",
        "logistic_regression",
        "mlp",
        "random_forest",
        "svc",
        "xgboost",
    ]


@pytest.mark.parametrize(("name", "info"), catalogue.ALGORITHMS.items(), ids=catalogue.ALGORITHMS)
def test_find_algorithm_knows_each_class_and_none_derived_from_it(name: str, info: catalogue.AlgorithmInfo) -> None:
    estimator_class = info.load_class()
    derived = type("Derived", (estimator_class,), {})
    assert catalogue.find_algorithm(estimator_class()) is catalogue.ALGORITHMS[name]
    assert catalogue.find_algorithm(derived()) is None
    assert catalogue.find_algorithm(object()) is None


@pytest.mark.parametrize(
    ("algorithm", "name", "value", "message", "hint"),
    [
        (
            "gradient_boosting",
            "n_estimatorz",
            1,
            "unknown hyperparameter of gradient_boosting",
            "did you mean n_estimators?",
        ),
        ("gaussian_nb", "zzz", 1, "unknown hyperparameter of gaussian_nb", "accepted: priors, var_smoothing"),
        ("gradient_boosting", "learning_rate", -1, "is -1", "accepted: a number of at least 0"),
        ("gradient_boosting", "n_estimators", True, "is true", "accepted: an integer of at least 1"),
        ("gradient_boosting", "n_estimators", 100.0, "is 100.0", "accepted: an integer of at least 1"),
        ("gradient_boosting", "max_depth", "3", "is '3'", "accepted: an integer of at least 1 or null"),
        ("gradient_boosting", "loss", "exponental", "is 'exponental'", "did you mean exponential?"),
        ("gradient_boosting", "loss", None, "is null", "accepted: exponential or log_loss"),
        (
            "gradient_boosting",
            "max_features",
            1.5,
            "is 1.5",
            "accepted: an integer of at least 1, a float above 0 and at most 1, log2, sqrt or null",
        ),
        ("gradient_boosting", "subsample", 0, "is 0", "accepted: a number above 0 and at most 1"),
        ("gradient_boosting", "validation_fraction", 1, "is 1", "accepted: a number above 0 and below 1"),
        ("gradient_boosting", "min_weight_fraction_leaf", 0.6, "is 0.6", "accepted: a number from 0 to 0.5"),
        ("gradient_boosting", "tol", math.inf, "is .inf", "accepted: a finite number of at least 0"),
        ("gradient_boosting", "tol", math.nan, "is .nan", "accepted: a number of at least 0"),
        ("svc", "coef0", -math.inf, "is -.inf", "accepted: a finite number"),
        ("svc", "class_weight", [1], "is [1]", "accepted: balanced, a map or null"),
        ("hist_gradient_boosting", "early_stopping", 1, "is 1", "accepted: auto, true or false"),
        ("hist_gradient_boosting", "scoring", {"a": 1}, "is {'a': 1}", "accepted: a string or null"),
        ("mlp", "n_iter_no_change", 0, "is 0", "accepted: an integer of at least 1 or .inf"),
        (
            "mlp",
            "hidden_layer_sizes",
            [100, "a"],
            "is [100, 'a']",
            "accepted: an integer of at least 1 or a list, each item an integer of at least 1",
        ),
        (
            "gaussian_nb",
            "priors",
            "a" * 99,
            "is '" + "a" * 75 + "...'",
            "accepted: a list, each item a number from 0 to 1 or null",
        ),
        (
            "gradient_boosting",
            "criterion",
            "squared_error",
            "was deprecated by scikit-learn",
            "it has no effect; leave it out",
        ),
        ("svc", "probability", True, "was deprecated by scikit-learn", "add a calibration section"),
        (
            "logistic_regression",
            "penalty",
            "l1",
            "was deprecated by scikit-learn",
            "use l1_ratio (0 is l2, 1 is l1) and C (.inf is no penalty)",
        ),
        (
            "gaussian_nb",
            "random_state",
            1,
            "belongs to the whole experiment",
            "set random_state at the top of the file",
        ),
        ("knn", "n_jobs", 1, "belongs to the whole experiment", "set compute.n_jobs"),
        ("mlp", "verbose", 1, "would print among the results", "use --verbose on the command line"),
        ("mlp", "warm_start", True, "would carry one fit over into the next", "leave it out"),
    ],
)
def test_check_hyperparameters_refuses(algorithm: str, name: str, value: Any, message: str, hint: str) -> None:
    ((found, refusal),) = catalogue.check_hyperparameters(algorithm, {name: value})
    assert (found, refusal.message, refusal.hint) == (name, message, hint)
    assert refusal.at_key == (not message.startswith("is "))


def test_check_hyperparameters_tells_all_in_the_order_written() -> None:
    parameters = {"loss": "hinge", "max_depth": 3, "subsample": 2}
    assert catalogue.check_hyperparameters("gradient_boosting", parameters) == [
        ("loss", Refusal("is 'hinge'", "accepted: exponential or log_loss")),
        ("subsample", Refusal("is 2", "accepted: a number above 0 and at most 1")),
    ]


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [
        pytest.param(
            "gradient_boosting", {"learning_rate": 1, "max_depth": None, "init": "zero"}, id="integer for number"
        ),
        pytest.param("mlp", {"hidden_layer_sizes": (50, 20), "n_iter_no_change": math.inf}, id="tuple and infinity"),
        pytest.param("logistic_regression", {"C": math.inf, "class_weight": {"yes": 2.0}}, id="infinity and map"),
        pytest.param("no_such_algorithm", {"anything": object()}, id="unknown algorithm is told elsewhere"),
    ],
)
def test_check_hyperparameters_accepts(algorithm: str, parameters: dict[str, Any]) -> None:
    assert catalogue.check_hyperparameters(algorithm, parameters) == []


def test_only_knn_takes_no_sample_weight() -> None:
    assert [name for name in catalogue.algorithm_names() if not catalogue.takes_sample_weight(name)] == [
        "gaussian_process",
        "knn",
    ]


def test_only_svc_gives_no_probabilities() -> None:
    assert [name for name in catalogue.algorithm_names() if not catalogue.gives_probabilities(name, {})] == ["svc"]
