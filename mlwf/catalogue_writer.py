"""Describe the installed scikit-learn as the catalogue does; `python -m mlwf.catalogue_writer` writes it anew."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, get_scorer_names

# scikit-learn publishes what its estimators accept nowhere but in prose. The constraints below are what it checks
# itself, but they are private: tests/specs/test_catalogue.py fails when they change.
from sklearn.utils._param_validation import HasMethods, Hidden, Interval, Options, RealNotInt, StrOptions
from sklearn.utils.validation import has_fit_parameter

from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.scoring import build_scorer, score
from mlwf.specs.catalogue.algorithms import (
    ALGORITHMS,
    PATH,
    SET_ELSEWHERE,
    AlgorithmFacts,
    Condition,
    Constraint,
    ParameterFacts,
    ScorerFacts,
    SklearnMetadata,
)

WITHOUT_MEANING = {"precomputed", "pyfunc"}
"""Options that want a square matrix of distances, or a Python function."""

LEFT_OUT: dict[str, Constraint] = {"class_weight": {"type": "list"}, "l1_ratio": {"type": "null"}}
"""A list has the weights of several targets; null is accepted with a warning that it will not be for long."""

ITEMS: dict[tuple[str, str], Constraint] = {
    ("GaussianNB", "priors"): {"type": "number", "min": 0, "max": 1},
    ("HistGradientBoostingClassifier", "monotonic_cst"): {"type": "integer", "min": -1, "max": 1},
    ("MLPClassifier", "hidden_layer_sizes"): {"type": "integer", "min": 1},
}
"""What the items of a list must be: scikit-learn's own check does not look into lists, its fit does."""

_DEPRECATED = "deprecated"


def describe_scikit_learn() -> SklearnMetadata:
    """Describe every algorithm and every scorer of the installed scikit-learn."""
    return {
        "scikit_learn": sklearn.__version__,
        "algorithms": {name: describe_algorithm(class_path) for name, class_path in ALGORITHMS.items()},
        "scorers": {name: describe_scorer(name) for name in get_scorer_names()},
    }


def describe_algorithm(class_path: str) -> AlgorithmFacts:
    """Describe the classifier of that dotted path."""
    module, _, name = class_path.rpartition(".")
    estimator_class = getattr(import_module(module), name)
    parameters = {
        parameter: _describe_parameter(estimator_class, parameter, default)
        for parameter, default in estimator_class().get_params(deep=False).items()
        if parameter not in SET_ELSEWHERE
    }
    return {
        "class_path": class_path,
        "sample_weight": has_fit_parameter(estimator_class, "sample_weight"),
        "decision_function": hasattr(estimator_class(), "decision_function"),
        "probabilities": _probabilities(estimator_class, parameters),
        "parameters": parameters,
    }


def describe_scorer(name: str) -> ScorerFacts:
    """Describe the scorer of that name, by scoring better and worse predictions with it."""
    scorer = get_scorer(name)
    needs = scorer._response_method
    return {
        "needs": [needs] if isinstance(needs, str) else list(needs),
        "binary": _tells_better_from_worse(name, np.array(["a", "b"])),
        "multiclass": _tells_better_from_worse(name, np.array(["a", "b", "c"])),
        "greater_is_better": scorer._sign > 0,
    }


def write_catalogue(facts: SklearnMetadata) -> str:
    """Write the facts as JSON, a line for each parameter and scorer, so that changes read well."""
    return _lines(facts) + "\n"


def _describe_parameter(estimator_class: Any, name: str, default: Any) -> ParameterFacts:
    described: ParameterFacts = {
        "accepts": [
            constraint
            for declared in estimator_class._parameter_constraints[name]
            for constraint in _constraints(declared, ITEMS.get((estimator_class.__name__, name)))
            if constraint != LEFT_OUT.get(name)
        ],
        "default": default,
    }
    if default == _DEPRECATED:
        described["deprecated"] = True
    return described


def _constraints(declared: Any, items: Constraint | None) -> Iterator[Constraint]:
    """Translate one constraint of scikit-learn's; nothing comes of what a YAML file cannot express."""
    if isinstance(declared, Interval):
        yield _range(declared)
    elif isinstance(declared, StrOptions):
        yield {"type": "options", "values": sorted(declared.options - declared.deprecated - WITHOUT_MEANING)}
    elif isinstance(declared, Options) and declared.options == {math.inf}:
        yield {"type": "infinity"}
    elif declared in ("array-like", list):
        yield {"type": "list", "items": items} if items else {"type": "list"}
    elif declared is None or declared in ("boolean", str, dict):
        yield {"type": {None: "null", "boolean": "boolean", str: "string", dict: "map"}[declared]}
    elif not (declared is callable or isinstance(declared, HasMethods | Hidden | type)):
        raise ValueError(f"scikit-learn declares a parameter by {declared!r}, which the catalogue has no word for")


def _range(interval: Interval) -> Constraint:
    described: Constraint = {"type": {Integral: "integer", Real: "number", RealNotInt: "float"}[interval.type]}
    if interval.left is not None and interval.left != -math.inf:
        described["min" if interval.closed in ("left", "both") else "above"] = _short(interval.left)
    if interval.right is not None and interval.right != math.inf:
        described["max" if interval.closed in ("right", "both") else "below"] = _short(interval.right)
    elif interval.closed in ("right", "both"):
        described["infinite"] = True
    return described


def _short(number: float) -> float:
    return int(number) if number == int(number) else float(number)


def _probabilities(estimator_class: Any, parameters: Mapping[str, ParameterFacts]) -> bool | Condition:
    """Find out whether `predict_proba` is there: always, never, or for some options of a parameter."""
    for name, parameter in parameters.items():
        values = [] if parameter.get("deprecated") else _choices(parameter)
        serving = [value for value in values if hasattr(estimator_class(**{name: value}), "predict_proba")]
        if serving and len(serving) < len(values):
            return {"parameter": name, "values": serving}
    return hasattr(estimator_class(), "predict_proba")


def _choices(parameter: ParameterFacts) -> list[Any]:
    kinds = {constraint["type"] for constraint in parameter["accepts"]}
    options = [value for constraint in parameter["accepts"] for value in constraint.get("values", [])]
    return [*options, *([False, True] if "boolean" in kinds else [])]


def _tells_better_from_worse(name: str, classes: NDArray[Any]) -> bool:
    """Whether the scorer prefers mostly right predictions to the same ones under the wrong names.

    Regression scorers fail on class names; scores of clusterings do not mind wrong ones; scores of several labels
    a row refuse one label a row.
    """
    y = np.tile(np.arange(len(classes)), 10)
    right = np.where(np.arange(len(y)) < 2 * len(classes), (y + 1) % len(classes), y)
    scorer = build_scorer(name, classes=classes)
    scores = []
    for labels in (right, (right + 1) % len(classes)):
        # The second choice matters to top-k accuracy: what is predicted wrongly is not the second choice either.
        proba = 0.6 * np.eye(len(classes))[labels] + 0.4 * np.eye(len(classes))[(labels + 1) % len(classes)]
        decision = proba[:, 1] - 0.5 if len(classes) == 2 else proba
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                scores.append(score(scorer, Predictions(classes, classes[labels], proba, decision), classes[y]))
            except (ValueError, TypeError):
                return False
    return scores[0] > scores[1]


def _lines(value: Any, depth: int = 0) -> str:
    if not isinstance(value, dict) or not value or "accepts" in value or "needs" in value:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    inner, outer = "  " * (depth + 1), "  " * depth
    entries = [f"{inner}{json.dumps(key)}: {_lines(value[key], depth + 1)}" for key in sorted(value)]
    return "{\n" + ",\n".join(entries) + f"\n{outer}}}"


if __name__ == "__main__":
    PATH.write_text(write_catalogue(describe_scikit_learn()), encoding="utf-8")
