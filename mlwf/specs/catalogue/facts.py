"""The shape of catalogue.json, read once and only when something is asked."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from mlwf.specs.catalogue.constraints import Constraint

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


class Facts(TypedDict):
    """All of catalogue.json."""

    scikit_learn: str
    algorithms: dict[str, AlgorithmFacts]
    scorers: dict[str, ScorerFacts]


@cache
def facts() -> Facts:
    """Read the catalogue."""
    return cast(Facts, json.loads(PATH.read_text(encoding="utf-8")))
