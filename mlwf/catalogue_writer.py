"""Describe the installed algorithms and scorers; `python -m mlwf.catalogue_writer` writes `catalogue.json`.

What a parameter accepts is what scikit-learn itself checks. A class of another library is described by the type hints
of its constructor, or else by its default values; `accepts` and `more` of its entry have what neither says.
"""

from __future__ import annotations

import json
import math
import typing
import warnings
from collections.abc import Collection, Iterator, Mapping
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from mlwf.evaluation.predictions import Predictions, build_scorer, score
from mlwf.sklearn_compat import (
    HasMethods,
    Hidden,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    declared_constraints,
    take_scorer_apart,
)
from mlwf.specs.catalogue.algorithms import ALGORITHMS, SET_ELSEWHERE, AlgorithmInfo
from mlwf.specs.catalogue.metadata import (
    PATH,
    AlgorithmMetadata,
    CatalogueMetadata,
    Condition,
    Constraint,
    ParameterMetadata,
    ScorerMetadata,
)

WITHOUT_MEANING = {"precomputed", "pyfunc"}
"""Options that need a square matrix of distances, or a Python function."""

LEFT_OUT: dict[str, Constraint] = {"class_weight": {"type": "list"}, "l1_ratio": {"type": "null"}}
"""A list has the weights of several targets; null is accepted with a warning that it will not be for long."""

BY_CLASS = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "string",
    dict: "map",
    list: "list",
    tuple: "list",
    type(None): "null",
}
"""What a parameter of such a class accepts."""

_DEPRECATED = "deprecated"


def describe_catalogue() -> CatalogueMetadata:
    """Describe every algorithm, and every scorer of the installed scikit-learn."""
    return {
        "scikit_learn": sklearn.__version__,
        "algorithms": {name: describe_algorithm(info) for name, info in ALGORITHMS.items()},
        "scorers": {name: describe_scorer(name) for name in get_scorer_names()},
    }


def describe_algorithm(info: AlgorithmInfo) -> AlgorithmMetadata:
    """Describe the classifier of an entry; raises ImportError where its package is not installed."""
    estimator_class = info.load_class()
    estimator = estimator_class()
    hints = _type_hints(estimator_class)
    defaults = estimator.get_params(deep=False) | {name: parameter.default for name, parameter in info.more.items()}
    parameters = {
        name: _describe_parameter(info, name, default, hints.get(name))
        for name, default in defaults.items()
        if name not in SET_ELSEWHERE and name not in info.refuses
    }
    tags = get_tags(estimator).input_tags
    return {
        "class_path": info.class_path,
        "sample_weight": has_fit_parameter(estimator_class, "sample_weight"),
        "decision_function": hasattr(estimator, "decision_function"),
        "probabilities": _probabilities(estimator_class, parameters),
        "missing_values": tags.allow_nan,
        "native_categories": tags.categorical or "categorical_features" in parameters,
        "parameters": parameters,
    }


def describe_scorer(name: str) -> ScorerMetadata:
    """Describe the scorer of that name, by scoring better and worse predictions with it."""
    parts = take_scorer_apart(get_scorer(name))
    needs = parts.response_method
    return {
        "needs": [needs] if isinstance(needs, str) else list(needs),
        "binary": _prefers_the_better(name, np.array(["a", "b"])),
        "multiclass": _prefers_the_better(name, np.array(["a", "b", "c"])),
        "greater_is_better": parts.greater_is_better,
    }


def write_catalogue(catalogue: CatalogueMetadata) -> str:
    """Write the catalogue as JSON, a line for each parameter and scorer, so that changes read well."""
    return _lines(catalogue) + "\n"


def _describe_parameter(info: AlgorithmInfo, name: str, default: Any, hint: Any) -> ParameterMetadata:
    declared = declared_constraints(info.load_class())
    if name in info.accepts:
        accepts = info.accepts[name]
    elif name in info.more:
        accepts = info.more[name].accepts
    elif declared is not None:
        found = [each for one in declared[name] for each in _constraints(one, info.items.get(name))]
        accepts = [constraint for constraint in found if constraint != LEFT_OUT.get(name)]
    else:
        accepts = _constraints_of_types(_types(hint) or ([] if default is None else [type(default)]))
    # XGBoost's own word for a missing value is NaN, which JSON has no word for.
    is_number = not isinstance(default, float) or math.isfinite(default)
    described: ParameterMetadata = {"accepts": accepts, "default": default if is_number else None}
    if default == _DEPRECATED:
        described["deprecated"] = True
    return described


def _type_hints(estimator_class: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(estimator_class.__init__)
    except (NameError, TypeError, AttributeError):  # hints that name what is imported for type checkers alone
        return {}


def _types(hint: Any) -> list[Any]:
    """List the classes of a type hint; those of each member of a union."""
    if typing.get_origin(hint) in (Union, UnionType):
        return [each for member in typing.get_args(hint) for each in _types(member)]
    if typing.get_origin(hint) is Literal:
        return list(dict.fromkeys(type(value) for value in typing.get_args(hint)))
    return [] if hint in (None, Any) else [typing.get_origin(hint) or hint]


def _constraints_of_types(classes: Collection[Any]) -> list[Constraint]:
    """Translate the classes of a parameter's values; any value where none of them can be written in a YAML file."""
    found: list[Constraint] = [{"type": BY_CLASS[each]} for each in classes if each in BY_CLASS]
    return found or [{"type": "any"}]


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
        raise ValueError(f"scikit-learn declares a parameter by {declared!r}, which the catalogue has no type for")


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


def _probabilities(estimator_class: Any, parameters: Mapping[str, ParameterMetadata]) -> bool | Condition:
    """Find out whether `predict_proba` is there: always, never, or for some options of a parameter."""
    for name, parameter in parameters.items():
        values = [] if parameter.get("deprecated") else _choices(parameter)
        serving = [value for value in values if hasattr(estimator_class(**{name: value}), "predict_proba")]
        if serving and len(serving) < len(values):
            return {"parameter": name, "values": serving}
    return hasattr(estimator_class(), "predict_proba")


def _choices(parameter: ParameterMetadata) -> list[Any]:
    kinds = {constraint["type"] for constraint in parameter["accepts"]}
    options = [value for constraint in parameter["accepts"] for value in constraint.get("values", [])]
    return [*options, *([False, True] if "boolean" in kinds else [])]


def _prefers_the_better(name: str, classes: NDArray[Any]) -> bool:
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
    PATH.write_text(write_catalogue(describe_catalogue()), encoding="utf-8")
