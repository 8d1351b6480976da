"""The classifiers: their names, their classes and their hyperparameters, from `catalogue.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from mlwf.errors import nearest
from mlwf.text import format_value

_SHOWN = 80


_NUMBERS = {"integer": "an integer", "number": "a number", "float": "a float"}


_TOLD_LAST = {"list": 1, "null": 2}


_WORDS = {"null": "null", "string": "a string", "map": "a map", "infinity": ".inf"}


class Constraint(TypedDict):
    """One of the things that a hyperparameter accepts."""

    type: str
    min: NotRequired[float]
    above: NotRequired[float]
    max: NotRequired[float]
    below: NotRequired[float]
    infinite: NotRequired[bool]
    """Whether a range without an upper bound takes infinity itself."""
    values: NotRequired[list[str]]
    items: NotRequired[Constraint]


def meets(value: Any, constraint: Constraint) -> bool:
    """Whether the constraint accepts the value; a boolean is no number, though scikit-learn takes it for one."""
    match constraint["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "map":
            return isinstance(value, dict)
        case "list":
            items = constraint.get("items")
            return isinstance(value, list | tuple) and (items is None or all(meets(item, items) for item in value))
        case "options":
            return isinstance(value, str) and value in constraint["values"]
        case "infinity":
            return isinstance(value, float) and value == math.inf
        case _:
            return _is_number(value, constraint["type"]) and _is_within(value, constraint)


def accepted(constraints: Sequence[Constraint], value: Any = None) -> str:
    """Say what is accepted, instead of `value`.

    >>> accepted([{"type": "integer", "min": 1}, {"type": "options", "values": ["log2", "sqrt"]}, {"type": "null"}])
    'an integer of at least 1, log2, sqrt or null'
    """
    in_order = sorted(constraints, key=lambda constraint: _TOLD_LAST.get(constraint["type"], 0))
    words = [word for constraint in in_order for word in _words(constraint, value)]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def shown(value: Any) -> str:
    """Write a value as YAML would, on one line and not too long.

    >>> shown([None, True, 1.0, "a"])
    "[null, true, 1.0, 'a']"
    """
    return format_value(value, _SHOWN)


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    # The abstract classes take numpy's numbers too, which callers from Python put into their grids.
    if kind == "integer":
        return isinstance(value, Integral)
    return isinstance(value, Real) and not (kind == "float" and isinstance(value, Integral))


def _is_within(value: Any, constraint: Constraint) -> bool:
    if math.isnan(value) or (math.isinf(value) and not constraint.get("infinite")):
        return False
    return bool(
        constraint.get("min", -math.inf) <= value <= constraint.get("max", math.inf)
        and not value <= constraint.get("above", -math.inf)
        and ("below" not in constraint or value < constraint["below"])
    )


def _words(constraint: Constraint, value: Any) -> list[str]:
    match constraint["type"]:
        case "options":
            return constraint["values"]
        case "boolean":
            return ["true", "false"]
        case "list":
            return [f"a list, each item {_words(constraint['items'], None)[0]}" if "items" in constraint else "a list"]
        case kind if kind in _WORDS:
            return [_WORDS[kind]]
        case kind:
            infinite = isinstance(value, float) and math.isinf(value) and not constraint.get("infinite")
            noun = _NUMBERS[kind].replace("a number", "a finite number") if infinite else _NUMBERS[kind]
            return [f"{noun}{_bounds(constraint)}"]


def _bounds(constraint: Constraint) -> str:
    if "min" in constraint and "max" in constraint:
        return f" from {constraint['min']} to {constraint['max']}"
    words = {"min": "of at least", "above": "above", "max": "at most", "below": "below"}
    bounds = [f"{word} {constraint[key]}" for key, word in words.items() if key in constraint]  # type: ignore[literal-required]
    return f" {' and '.join(bounds)}" if bounds else ""


PATH = Path(__file__).parent.parent / "catalogue.json"


class ParameterFacts(TypedDict):
    """A hyperparameter; a value that meets one of the constraints is accepted."""

    accepts: list[Constraint]
    default: Any
    deprecated: NotRequired[bool]


class Condition(TypedDict):
    """Something that holds when this parameter has one of these values."""

    parameter: str
    values: list[Any]


class AlgorithmFacts(TypedDict):
    """A classifier."""

    class_path: str
    sample_weight: bool
    decision_function: bool
    probabilities: bool | Condition
    parameters: dict[str, ParameterFacts]


class ScorerFacts(TypedDict):
    """A scorer; one that serves neither binary nor multiclass targets does not score classifiers."""

    needs: list[str]
    binary: bool
    multiclass: bool
    greater_is_better: bool


class SklearnMetadata(TypedDict):
    """All of catalogue.json."""

    scikit_learn: str
    algorithms: dict[str, AlgorithmFacts]
    scorers: dict[str, ScorerFacts]


@cache
def facts() -> SklearnMetadata:
    """Read the catalogue."""
    return cast(SklearnMetadata, json.loads(PATH.read_text(encoding="utf-8")))


ALGORITHMS = {
    "gradient_boosting": "sklearn.ensemble.GradientBoostingClassifier",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "decision_tree": "sklearn.tree.DecisionTreeClassifier",
    "knn": "sklearn.neighbors.KNeighborsClassifier",
    "svc": "sklearn.svm.SVC",
    "gaussian_nb": "sklearn.naive_bayes.GaussianNB",
    "mlp": "sklearn.neural_network.MLPClassifier",
}
"""Name in an experiment file, and the class behind it. After a change run `python -m mlwf.catalogue_writer`."""

Verdict = tuple[str, str]
"""What is wrong, and what is accepted instead."""

SET_ELSEWHERE: dict[str, Verdict] = {
    "n_jobs": ("belongs to the whole experiment", "set compute.n_jobs"),
    "random_state": ("belongs to the whole experiment", "set random_state at the top of the file"),
    "verbose": ("would print among the results", "use --verbose on the command line"),
    "warm_start": ("would carry one fit over into the next", "leave it out"),
}
"""Parameters of scikit-learn's that no experiment sets on its classifier."""

_INSTEAD_OF_DEPRECATED = {
    ("gradient_boosting", "criterion"): "it has no effect; leave it out",
    ("logistic_regression", "penalty"): "use l1_ratio (0 is l2, 1 is l1) and C (.inf is no penalty)",
    ("svc", "probability"): "add a calibration section",
}


def algorithm_names() -> list[str]:
    """List the algorithms, sorted."""
    return sorted(ALGORITHMS)


def algorithm_class(algorithm: str) -> str:
    """Give the dotted path of the algorithm's class; raises KeyError when unknown."""
    return ALGORITHMS[algorithm]


def hyperparameter_names(algorithm: str) -> list[str]:
    """List what can be set on a known algorithm, sorted."""
    parameters = facts()["algorithms"][algorithm]["parameters"]
    return sorted(name for name, parameter in parameters.items() if not parameter.get("deprecated"))


def takes_sample_weight(algorithm: str) -> bool:
    """Whether fits of the algorithm can weigh rows."""
    return facts()["algorithms"][algorithm]["sample_weight"]


def gives_probabilities(algorithm: str, hyperparameters: Mapping[str, Any]) -> bool:
    """Whether the algorithm with these hyperparameters has `predict_proba`."""
    return probabilities_hold(facts()["algorithms"][algorithm], hyperparameters)


def probabilities_hold(algorithm: AlgorithmFacts, hyperparameters: Mapping[str, Any]) -> bool:
    """Whether an algorithm of these facts, with these hyperparameters, has `predict_proba`."""
    condition = algorithm["probabilities"]
    if isinstance(condition, bool):
        return condition
    default = algorithm["parameters"][condition["parameter"]]["default"]
    return hyperparameters.get(condition["parameter"], default) in condition["values"]


def check_algorithm(name: str) -> str | None:
    """Say the nearest algorithm, or all of them, when `name` is none."""
    return None if name in ALGORITHMS else nearest(name, ALGORITHMS)


def check_hyperparameters(algorithm: str, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """List what is wrong as (name, message, hint); nothing can be said of an unknown algorithm."""
    if algorithm not in ALGORITHMS:
        return []
    verdicts = {name: check_hyperparameter(algorithm, name, value) for name, value in parameters.items()}
    return [(name, *verdict) for name, verdict in verdicts.items() if verdict]


def check_hyperparameter(algorithm: str, name: str, value: Any) -> Verdict | None:
    """Say what is wrong with one hyperparameter of a known algorithm."""
    return check_name(algorithm, name) or check_value(algorithm, name, value)


def check_name(algorithm: str, name: str) -> Verdict | None:
    """Say what is wrong with the name of a hyperparameter, whatever its value."""
    if name in SET_ELSEWHERE:
        return SET_ELSEWHERE[name]
    if name in hyperparameter_names(algorithm):
        return None
    if name in facts()["algorithms"][algorithm]["parameters"]:
        return "was deprecated by scikit-learn", _INSTEAD_OF_DEPRECATED.get((algorithm, name), "leave it out")
    return f"unknown hyperparameter of {algorithm}", nearest(name, hyperparameter_names(algorithm))


def check_value(algorithm: str, name: str, value: Any) -> Verdict | None:
    """Say what is wrong with the value of a known hyperparameter."""
    accepts = facts()["algorithms"][algorithm]["parameters"][name]["accepts"]
    if any(meets(value, constraint) for constraint in accepts):
        return None
    options = [option for constraint in accepts for option in constraint.get("values", [])]
    hint = nearest(value, options) if isinstance(value, str) else ""
    return f"is {shown(value)}", hint if hint.startswith("did") else f"accepted: {accepted(accepts, value)}"
