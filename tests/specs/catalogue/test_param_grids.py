"""Grids and distributions: what is refused, where, and word for word."""

from __future__ import annotations

from typing import Any

import pytest

from mlwf.specs.catalogue import check_param_distributions, check_param_grid
from mlwf.specs.catalogue.param_grids import Found
from mlwf.specs.features import CategoricalFeatureSpec, NumericFeatureSpec

FEATURES = [
    NumericFeatureSpec(columns=["age"]),
    NumericFeatureSpec(columns=["hours"], imputer="mean"),
    CategoricalFeatureSpec(columns=["sex"]),
]
NOWHERE = "names no parameter of the pipeline"
FORMS = (
    "{loguniform: [low, high]}, {lograndint: [low, high]}, {randint: [low, high]}, {uniform: [low, high]}, "
    "{each: [value, ...]}"
)


def words(found: list[Found]) -> list[tuple[Any, str, str]]:
    """Where, what and what instead; what stands at a key is wrong about the key."""
    assert all(refusal.at_key == (not refusal.message.startswith("is ")) for _, refusal in found)
    return [(path, refusal.message, refusal.hint) for path, refusal in found]


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param({"classifier__max_depth": [1, None], "classifier__subsample": [0.5, 1]}, id="classifier"),
        pytest.param({"preprocessor__numeric_2__imputer__strategy": ["mean"]}, id="second transformer of a type"),
        pytest.param({"preprocessor__numeric__scaler": ["passthrough"]}, id="a step left out"),
        pytest.param([{"classifier__max_depth": [1]}, {"classifier__loss": ["log_loss"]}], id="list of grids"),
    ],
)
def test_check_param_grid_accepts(grid: Any) -> None:
    assert words(check_param_grid("gradient_boosting", FEATURES, grid)) == []


@pytest.mark.parametrize(
    ("key", "message", "hint"),
    [
        ("max_depth", NOWHERE, "did you mean classifier__max_depth?"),
        ("clf__max_depth", NOWHERE, "did you mean classifier__max_depth?"),
        ("foo", NOWHERE, "accepted: classifier__NAME, or preprocessor__TRANSFORMER__STEP__NAME"),
        ("numeric__imputer__strategy", NOWHERE, "did you mean preprocessor__numeric__imputer__strategy?"),
        ("n_jobs", "belongs to the whole experiment", "set compute.n_jobs"),
        (
            "classifier__max_dept",
            "unknown hyperparameter of gradient_boosting",
            "did you mean classifier__max_depth?",
        ),
        (
            "classifier__random_state",
            "belongs to the whole experiment",
            "set random_state at the top of the file",
        ),
        ("preprocessor__num__imputer__strategy", "unknown transformer 'num'", "did you mean numeric?"),
        (
            "preprocessor__date__imputer__strategy",
            "unknown transformer 'date'",
            "accepted: categorical, numeric, numeric_2",
        ),
        ("preprocessor", "names no transformer", "accepted: categorical, numeric, numeric_2"),
        ("preprocessor__numeric", "names no step", "accepted: preprocessor__numeric__STEP__NAME"),
    ],
)
def test_check_param_grid_refuses_a_key(key: str, message: str, hint: str) -> None:
    grid = {key: ["passthrough"]}
    assert words(check_param_grid("gradient_boosting", FEATURES, grid)) == [((key,), message, hint)]


@pytest.mark.parametrize(
    ("key", "values", "found"),
    [
        (
            "classifier__max_depth",
            [1, 0, True],
            [
                (("classifier__max_depth", 1), "is 0", "accepted: an integer of at least 1 or null"),
                (("classifier__max_depth", 2), "is true", "accepted: an integer of at least 1 or null"),
            ],
        ),
        (
            "classifier__subsample",
            [],
            [(("classifier__subsample",), "is []", "accepted: a list of at least one value")],
        ),
        (
            "preprocessor__numeric__scaler",
            ["passthrough", "standard", None],
            [
                (("preprocessor__numeric__scaler", 1), "is 'standard'", "accepted: passthrough"),
                (("preprocessor__numeric__scaler", 2), "is null", "accepted: passthrough"),
            ],
        ),
    ],
    ids=["values", "empty", "step"],
)
def test_check_param_grid_refuses_values(key: str, values: list[Any], found: list[Any]) -> None:
    assert words(check_param_grid("gradient_boosting", FEATURES, {key: values})) == found


def test_check_param_grid_says_which_grid_of_a_list() -> None:
    grids = [{"classifier__max_depth": [1]}, {"classifier__max_depth": [0]}]
    assert words(check_param_grid("gradient_boosting", FEATURES, grids)) == [
        ((1, "classifier__max_depth", 0), "is 0", "accepted: an integer of at least 1 or null")
    ]


def test_check_param_grid_of_inferred_features_takes_any_number_of_each_type() -> None:
    grid = {"preprocessor__date_3__imputer__strategy": ["mean"], "preprocessor__dates__imputer__strategy": ["mean"]}
    assert words(check_param_grid("gradient_boosting", "auto", grid)) == [
        (("preprocessor__dates__imputer__strategy",), "unknown transformer 'dates'", "did you mean date?")
    ]


def test_check_param_grid_of_an_unknown_algorithm_checks_the_preprocessor() -> None:
    grid = {"classifier__anything": [object()], "preprocessor__num__imputer__strategy": ["mean"]}
    assert words(check_param_grid("no_such_algorithm", FEATURES, grid)) == [
        (("preprocessor__num__imputer__strategy",), "unknown transformer 'num'", "did you mean numeric?")
    ]


@pytest.mark.parametrize(
    "distributions",
    [
        pytest.param({"classifier__learning_rate": {"loguniform": [0.01, 0.3]}}, id="loguniform"),
        pytest.param({"classifier__n_estimators": {"randint": [1, 200]}}, id="randint"),
        pytest.param({"classifier__max_depth": {"randint": [1, 2]}}, id="one integer"),
        pytest.param({"classifier__max_leaf_nodes": {"lograndint": [2, 200]}}, id="lograndint"),
        pytest.param({"classifier__n_estimators": {"each": [50, 100]}}, id="each"),
        pytest.param({"classifier__validation_fraction": {"uniform": [0.1, 1.0]}}, id="open upper end"),
        pytest.param({"classifier__subsample": {"uniform": [0.5, 1]}}, id="integer end"),
        pytest.param({"classifier__loss": ["log_loss"]}, id="list"),
        pytest.param([{"preprocessor__categorical__encoder__smooth": {"uniform": [1, 9]}}], id="preprocessor"),
    ],
)
def test_check_param_distributions_accepts(distributions: Any) -> None:
    assert words(check_param_distributions("gradient_boosting", FEATURES, distributions)) == []


@pytest.mark.parametrize(
    ("name", "distribution", "path", "message", "hint"),
    [
        ("tol", 0.1, (), "is 0.1", f"accepted: a list, or one of {FORMS}"),
        ("tol", {}, (), "is {}", f"accepted: a list, or one of {FORMS}"),
        ("tol", {"normal": [0, 1]}, ("normal",), "unknown distribution 'normal'", "did you mean uniform?"),
        ("tol", {"uniform": 1}, ("uniform",), "is 1", "accepted: two numbers, [low, high]"),
        ("tol", {"uniform": [0, True]}, ("uniform",), "is [0, true]", "accepted: two numbers, [low, high]"),
        (
            "tol",
            {"uniform": [0, float("inf")]},
            ("uniform",),
            "is [0, .inf]",
            "accepted: two finite numbers, [low, high]",
        ),
        ("tol", {"uniform": [2, 1]}, ("uniform",), "is [2, 1]", "accepted: [low, high], low below high"),
        ("tol", {"loguniform": [0, 1]}, ("loguniform",), "is [0, 1]", "accepted: [low, high], both above 0"),
        ("max_depth", {"randint": [1.0, 5]}, ("randint",), "is [1.0, 5]", "accepted: two integers, [low, high]"),
        ("max_depth", {"randint": [0, 5]}, ("randint", 0), "is 0", "accepted: an integer of at least 1 or null"),
        ("subsample", {"uniform": [0.5, 1.5]}, ("uniform", 1), "is 1.5", "accepted: a number above 0 and at most 1"),
        (
            "min_samples_leaf",
            {"uniform": [0.1, 2]},
            ("uniform", 1),
            "is 2",
            "accepted: an integer of at least 1 or a float above 0 and below 1",
        ),
        (
            "n_estimators",
            {"uniform": [10, 100]},
            ("uniform",),
            "draws numbers that are no integers",
            "accepted: an integer of at least 1; use randint, or a list",
        ),
        (
            "n_estimators",
            {"loguniform": [10, 100]},
            ("loguniform",),
            "draws numbers that are no integers",
            "accepted: an integer of at least 1; use lograndint, or a list",
        ),
        ("max_depth", {"lograndint": [0, 5]}, ("lograndint",), "is [0, 5]", "accepted: [low, high], both above 0"),
        ("n_estimators", {"each": []}, ("each",), "is []", "accepted: a list of at least one value"),
        ("n_estimators", {"each": [5, 0]}, ("each", 1), "is 0", "accepted: an integer of at least 1"),
        ("loss", ["hinge"], (0,), "is 'hinge'", "accepted: exponential or log_loss"),
    ],
)
def test_check_param_distributions_refuses(
    name: str, distribution: Any, path: tuple[Any, ...], message: str, hint: str
) -> None:
    key = f"classifier__{name}"
    found = check_param_distributions("gradient_boosting", FEATURES, {key: distribution})
    assert words(found) == [((key, *path), message, hint)]
