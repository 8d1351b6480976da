"""What `catalogue.json` holds: each algorithm's hyperparameters and abilities, each scorer's needs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from mlwf.text import format_value

PATH = Path(__file__).parent.parent / "catalogue.json"

_LENGTH = 80
_NUMBERS = {"integer": "an integer", "number": "a number", "float": "a float"}
_LAST = {"list": 1, "null": 2}
_WORDS = {"null": "null", "string": "a string", "map": "a map", "infinity": ".inf", "any": "any value"}


class Constraint(TypedDict):
    """One of the things that a hyperparameter accepts."""

    type: str
    """`integer`, `number`, `float`, `boolean`, `string`, `options`, `null`, `list`, `map`, `infinity` or `any`."""
    min: NotRequired[float]
    above: NotRequired[float]
    max: NotRequired[float]
    below: NotRequired[float]
    infinite: NotRequired[bool]
    """Whether a range without an upper bound takes infinity itself."""
    values: NotRequired[list[str]]
    items: NotRequired[Constraint]


class ParameterMetadata(TypedDict):
    """A hyperparameter; a value that meets one of the constraints is accepted."""

    accepts: list[Constraint]
    default: Any
    deprecated: NotRequired[bool]


class Condition(TypedDict):
    """Something that holds when this parameter has one of these values."""

    parameter: str
    values: list[Any]


class AlgorithmMetadata(TypedDict):
    """A classifier."""

    class_path: str
    sample_weight: bool
    decision_function: bool
    probabilities: bool | Condition
    missing_values: bool
    """Whether its fits take missing values as they are."""
    native_categories: bool
    """Whether it can be told which columns are categories."""
    parameters: dict[str, ParameterMetadata]


class ScorerMetadata(TypedDict):
    """A scorer; one that serves neither binary nor multiclass targets does not score classifiers."""

    needs: list[str]
    binary: bool
    multiclass: bool
    greater_is_better: bool


class CatalogueMetadata(TypedDict):
    """All of catalogue.json."""

    scikit_learn: str
    algorithms: dict[str, AlgorithmMetadata]
    scorers: dict[str, ScorerMetadata]


@cache
def metadata() -> CatalogueMetadata:
    """Read the catalogue."""
    return cast(CatalogueMetadata, json.loads(PATH.read_text(encoding="utf-8")))


def meets(value: Any, constraint: Constraint) -> bool:
    """Whether the constraint accepts the value; a boolean is no number, though scikit-learn takes it for one."""
    match constraint["type"]:
        case "any":
            return True
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
    in_order = sorted(constraints, key=lambda constraint: _LAST.get(constraint["type"], 0))
    words = [word for constraint in in_order for word in _words(constraint, value)]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def short_value(value: Any) -> str:
    """Write a value as YAML would, on one line and not too long.

    >>> short_value([None, True, 1.0, "a"])
    "[null, true, 1.0, 'a']"
    """
    return format_value(value, _LENGTH)


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
