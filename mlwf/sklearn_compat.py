"""All that mlwf uses of scikit-learn and is not documented there: the one file to look at when a new version comes out.

What scikit-learn documents is imported from scikit-learn where it is needed. Names that a model file or a fitted
ensemble has are data of the catalogue's entries, `mlwf/specs/catalogue/algorithms.py`. A name that is gone raises an
MlwfError that says which one, and which versions have it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sklearn

from mlwf.errors import MlwfError

TESTED = "1.8 and 1.9"
"""The versions that have all of the names below."""


def unsupported(name: str) -> MlwfError:
    """Make the error that says which private name this version of scikit-learn does not have."""
    return MlwfError(f"scikit-learn {sklearn.__version__} has no {name}, which mlwf needs; tested with {TESTED}")


try:
    from sklearn.utils._param_validation import (
        HasMethods,
        Hidden,
        Interval,
        InvalidParameterError,
        Options,
        RealNotInt,
        StrOptions,
        validate_parameter_constraints,
    )
except ImportError as error:
    raise unsupported(f"{error.name}.{getattr(error, 'name_from', '*')}") from error

__all__ = ["HasMethods", "Hidden", "Interval", "Options", "RealNotInt", "StrOptions"]

SPLITTER_TYPES = (
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
)
"""In the file of a model: `cv` of TargetEncoder and CalibratedClassifierCV."""
CALIBRATOR_TYPES = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
)
"""In the file of a model: parts of a fitted CalibratedClassifierCV."""


@contextmanager
def without_array_libraries() -> Iterator[None]:
    """Keep scikit-learn from importing Dask, CuPy and PyTorch while it lists its estimators.

    `all_estimators` imports all packages in scikit-learn, also those that adapt to these libraries.
    """
    adapters = {f"sklearn.externals.array_api_compat.{library}" for library in ("cupy", "dask", "torch")}
    refused: dict[str, Any] = dict.fromkeys(adapters - sys.modules.keys())  # None: Python refuses to import it
    sys.modules.update(refused)
    try:
        yield
    finally:
        for name in refused:
            sys.modules.pop(name, None)


def declared_constraints(estimator_class: Any) -> Mapping[str, Sequence[Any]] | None:
    """Give what each parameter of a scikit-learn estimator accepts; None for a class that does not declare it."""
    declared = getattr(estimator_class, "_parameter_constraints", None)
    if declared is None and estimator_class.__module__.startswith("sklearn."):
        raise unsupported(f"{estimator_class.__name__}._parameter_constraints")
    return declared


def find_parameter_error(estimator: Any, name: str, value: Any) -> str | None:
    """Give what scikit-learn itself would say of a parameter's value at the fit; None when it would accept it."""
    declared = declared_constraints(type(estimator))
    if declared is None:
        return None
    try:
        validate_parameter_constraints(declared, {name: value}, caller_name=type(estimator).__name__)
    except InvalidParameterError as error:
        return str(error).rstrip(".")
    return None


@dataclass(frozen=True, eq=False)
class ScorerParts:
    """What one of scikit-learn's scorers is made of, as `make_scorer` takes it."""

    metric: Any
    keywords: Mapping[str, Any]
    response_method: str | Sequence[str]
    greater_is_better: bool


def take_scorer_apart(scorer: Any) -> ScorerParts:
    """Give the parts of a scorer, so that another can be made with further keywords."""
    try:
        return ScorerParts(scorer._score_func, dict(scorer._kwargs), scorer._response_method, scorer._sign > 0)
    except AttributeError as error:
        raise unsupported(f"{type(scorer).__name__}.{error.name}") from error


def with_estimators(calibrated: Any, estimators: Sequence[Any]) -> Any:
    """Copy a fitted CalibratedClassifierCV with other fitted models, one for each of its calibrators."""
    result = copy.copy(calibrated)
    # `calibrated_classifiers_` is documented; that its items have their model as `estimator` is not.
    result.calibrated_classifiers_ = [copy.copy(pair) for pair in calibrated.calibrated_classifiers_]
    for pair, estimator in zip(result.calibrated_classifiers_, estimators, strict=True):
        if not hasattr(pair, "estimator"):
            raise unsupported(f"{type(pair).__name__}.estimator")
        pair.estimator = estimator
    return result


def put_calibrators(pair: Any, calibrators: Sequence[Any]) -> None:
    """Replace the calibrators of one of `calibrated_classifiers_`, one for each class, or one for two classes."""
    if not hasattr(pair, "calibrators"):
        raise unsupported(f"{type(pair).__name__}.calibrators")
    pair.calibrators = list(calibrators)


def drop_training_state(model: Any) -> None:
    """Remove what the early stopping of a histogram booster by a scorer leaves in it: no model file may have it."""
    vars(model).pop("_raw_predict", None)
    if getattr(model, "_scorer", None) is not None:
        model._scorer = None
