"""What a hyperparameter accepts, and what a search may try of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Protocol

from mlwf.errors import Refusal, closest
from mlwf.specs.catalogue.algorithms import (
    ALGORITHMS,
    SET_ELSEWHERE,
    check_name,
    check_value,
    hyperparameter_names,
)
from mlwf.specs.catalogue.metadata import short_value
from mlwf.text import format_name

FEATURE_TYPES = ("boolean", "categorical", "date", "numeric", "ordinal", "text")
DISTRIBUTIONS = ("loguniform", "lograndint", "randint", "uniform")
EACH = "each"
"""Marks values all of which every candidate is tried with, whatever is drawn for it: `{each: [50, 100, 200]}`."""

OF_INTEGERS = ("lograndint", "randint")
ABOVE_ZERO = ("loguniform", "lograndint")

Path = tuple[str | int, ...]
Found = tuple[Path, Refusal]
"""Where in the grid, and why it is not accepted."""


class HasType(Protocol):
    """A feature spec, of which only the type matters here."""

    @property
    def type(self) -> str: ...


Features = Literal["auto"] | Sequence[HasType]
Grid = Mapping[str, Any]


def check_param_grid(algorithm: str, features: Features, grid: Grid | Sequence[Grid]) -> list[Found]:
    """List what is wrong in a grid, or in a list of grids: keys, and each of their values.

    What follows the transformer in a `preprocessor__` key is left to the run, which has the pipeline.
    """
    return [
        found
        for where, key, values in _entries(grid)
        for found in [*_check_key(algorithm, features, where, key), *_check_list(algorithm, where, key, values)]
    ]


def check_param_distributions(algorithm: str, features: Features, distributions: Grid | Sequence[Grid]) -> list[Found]:
    """List what is wrong in distributions: as in a grid, or `{uniform: [low, high]}` and others, or `{each: [...]}`."""
    return [
        found
        for where, key, values in _entries(distributions)
        for found in [
            *_check_key(algorithm, features, where, key),
            *(
                _check_list(algorithm, where, key, values)
                if isinstance(values, list)
                else _check_distribution(algorithm, where, key, values)
            ),
        ]
    ]


def _entries(grid: Grid | Sequence[Grid]) -> Iterator[tuple[Path, str, Any]]:
    if isinstance(grid, Mapping):
        yield from (((key,), key, values) for key, values in grid.items())
    else:
        yield from (((i, key), key, values) for i, one in enumerate(grid) for key, values in one.items())


def _check_key(algorithm: str, features: Features, where: Path, key: str) -> Iterator[Found]:
    step, _, name = key.partition("__")
    refusal: Refusal | None = None
    if step == "preprocessor":
        refusal = _check_transformer(features, name)
    elif algorithm not in ALGORITHMS:
        return
    elif step == "classifier":
        refusal = check_name(algorithm, name, prefix="classifier__")
    else:
        refusal = SET_ELSEWHERE.get(key) or _no_parameter(algorithm, features, key)
    if refusal:
        yield where, refusal


def _no_parameter(algorithm: str, features: Features, key: str) -> Refusal:
    message = "names no parameter of the pipeline"
    parameters = [f"classifier__{name}" for name in hyperparameter_names(algorithm)]
    meant = f"classifier__{key}" if f"classifier__{key}" in parameters else None
    if meant is None and _is_transformer(features, key.partition("__")[0]):
        meant = f"preprocessor__{key}"
    if meant := meant or closest(key, parameters):
        return Refusal(message, f"did you mean {format_name(meant)}?", at_key=True, suggests=True)
    return Refusal(message, "accepted: classifier__NAME, or preprocessor__TRANSFORMER__STEP__NAME", at_key=True)


def _check_transformer(features: Features, name: str) -> Refusal | None:
    transformer, _, rest = name.partition("__")
    if not _is_transformer(features, transformer):
        message = f"unknown transformer {transformer!r}" if transformer else "names no transformer"
        return Refusal.of_name(message, transformer, _transformers(features), at_key=True)
    if not all(rest.split("__")):
        return Refusal("names no step", f"accepted: preprocessor__{transformer}__STEP__NAME", at_key=True)
    return None


def _is_transformer(features: Features, name: str) -> bool:
    # Inference may make several groups of a type: how many is known only with the data.
    return name in _transformers(features) or (
        features == "auto" and re.fullmatch(rf"({'|'.join(FEATURE_TYPES)})_[1-9]\d*", name) is not None
    )


def _transformers(features: Features) -> list[str]:
    """Name the transformers of the preprocessor: `numeric`, then `numeric_2` for a second group of numbers, ..."""
    if features == "auto":
        return list(FEATURE_TYPES)
    seen: Counter[str] = Counter()
    names = []
    for feature in features:
        seen[feature.type] += 1
        names.append(feature.type if seen[feature.type] == 1 else f"{feature.type}_{seen[feature.type]}")
    return names


def _check_list(algorithm: str, where: Path, key: str, values: Any) -> Iterator[Found]:
    if not isinstance(values, list) or not values:
        yield where, Refusal(f"is {short_value(values)}", "accepted: a list of at least one value")
        return
    name = _hyperparameter(algorithm, key)
    for i, value in enumerate(values):
        refusal = check_value(algorithm, name, value) if name else _check_step(key, value)
        if refusal:
            yield (*where, i), refusal


def _check_step(key: str, value: Any) -> Refusal | None:
    """Say what is wrong with a value that replaces a whole step of the preprocessor; Python may give an estimator."""
    is_step = key.startswith("preprocessor__") and key.count("__") == 2
    is_plain = value is None or isinstance(value, str | Real | list | dict)
    is_refused = is_step and is_plain and value != "passthrough"
    return Refusal(f"is {short_value(value)}", "accepted: passthrough") if is_refused else None


def _hyperparameter(algorithm: str, key: str) -> str | None:
    """Give the classifier's hyperparameter behind a key, or None when the key is wrong or of the preprocessor."""
    name = key.removeprefix("classifier__")
    if name == key or algorithm not in ALGORITHMS or check_name(algorithm, name):
        return None
    return name


def _check_distribution(algorithm: str, where: Path, key: str, distribution: Any) -> Iterator[Found]:
    if not isinstance(distribution, dict) or len(distribution) != 1:
        yield where, Refusal(f"is {short_value(distribution)}", f"accepted: a list, or one of {_forms()}")
        return
    kind, bounds = next(iter(distribution.items()))
    where = (*where, kind)
    if kind == EACH:
        yield from _check_list(algorithm, where, key, bounds)
    elif kind not in DISTRIBUTIONS:
        unknown = Refusal.of_name(f"unknown distribution {kind!r}", str(kind), (*DISTRIBUTIONS, EACH))
        yield where, replace(unknown, at_key=isinstance(kind, str))
    elif refusal := _check_bounds(kind, bounds):
        yield where, refusal
    elif name := _hyperparameter(algorithm, key):
        yield from _check_ends(algorithm, name, where, kind, bounds)


def _forms() -> str:
    return ", ".join([*(f"{{{kind}: [low, high]}}" for kind in DISTRIBUTIONS), f"{{{EACH}: [value, ...]}}"])


def _check_bounds(kind: str, bounds: Any) -> Refusal | None:
    number, numbers = (Integral, "integers") if kind in OF_INTEGERS else (Real, "numbers")
    is_pair = isinstance(bounds, list) and len(bounds) == 2
    if not is_pair or not all(isinstance(end, number) and not isinstance(end, bool) for end in bounds):
        return Refusal(f"is {short_value(bounds)}", f"accepted: two {numbers}, [low, high]")
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return Refusal(f"is {short_value(bounds)}", "accepted: two finite numbers, [low, high]")
    if low >= high:
        return Refusal(f"is {short_value(bounds)}", "accepted: [low, high], low below high")
    if kind in ABOVE_ZERO and low <= 0:
        return Refusal(f"is {short_value(bounds)}", "accepted: [low, high], both above 0")
    return None


def _check_ends(algorithm: str, name: str, where: Path, kind: str, bounds: list[Any]) -> Iterator[Found]:
    low, high = bounds
    # The upper end itself is not drawn, so that [0.1, 1.0] serves a parameter that must be below 1.
    drawn = [low, high - 1] if kind in OF_INTEGERS else [float(low), math.nextafter(high, low)]
    for i, (end, value) in enumerate(zip(bounds, drawn, strict=True)):
        if refusal := check_value(algorithm, name, value):
            if i == 0 and kind not in OF_INTEGERS and check_value(algorithm, name, math.ceil(value)) is None:
                hint = f"{refusal.hint}; use {'lograndint' if kind in ABOVE_ZERO else 'randint'}, or a list"
                yield where, Refusal("draws numbers that are no integers", hint, at_key=True)
                return
            yield (*where, i), replace(refusal, message=f"is {short_value(end)}")
