"""The importances that a fitted model has of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from mlwf.engine.label_codes import encoded_classifier
from mlwf.specs.catalogue import AlgorithmInfo, find_algorithm


@dataclass(frozen=True, eq=False)
class Importances:
    """One number for each column that the classifier gets, and how it was got."""

    names: list[str]
    values: NDArray[np.float64]
    """Not negative, in the order of `names`."""
    note: str
    """How they were got."""
    axis: str
    """What the numbers are, as the label of an axis."""


def read_importances(model: Any) -> Importances | None:
    """Read the importances of a fitted pipeline, calibrated or not; None when its classifier offers none.

    Those of an ensemble of fold models are their means; a category that one of them has not seen counts 0 there.
    """
    parts = [part for part in (_read(pipeline) for pipeline in _pipelines(model)) if part is not None]
    if not parts:
        return None
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    found = [dict(zip(part.names, part.values, strict=True)) for part in parts]
    means = np.array([np.mean([values.get(name, 0.0) for values in found]) for name in names])
    note = parts[0].note if len(parts) == 1 else f"{parts[0].note}; mean over {len(parts)} fold models"
    return Importances(names, means, note, parts[0].axis)


def describe_importances(model: Any) -> dict[str, Any]:
    """Describe how the importances of a fitted model are got, or that it has none: keys `available` and `note`."""
    found = read_importances(model)
    if found is not None:
        return {"available": True, "note": found.note}
    names = ", ".join(dict.fromkeys(type(_classifier(pipeline)).__name__ for pipeline in _pipelines(model)))
    return {"available": False, "note": f"{names} has none of its own, so there is no plot of them"}


def classifiers(model: Any) -> list[Any]:
    """List the classifiers inside a fitted model: of each fold model, and of each model that is averaged."""
    found = []
    for pipeline in _pipelines(model):
        classifier = _classifier(pipeline)
        is_average = isinstance(classifier, VotingClassifier)
        found += [each for part in classifier.estimators_ for each in classifiers(part)] if is_average else [classifier]
    return found


def _classifier(pipeline: Any) -> Any:
    return encoded_classifier(pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline)


def _pipelines(model: Any) -> Iterator[Any]:
    """Give the pipelines inside calibration, thresholds and frozen models."""
    if isinstance(model, CalibratedClassifierCV):
        # Without `ensemble` there is one, with the pipeline that was fitted on all rows.
        for calibrated in model.calibrated_classifiers_:
            yield from _pipelines(calibrated.estimator)
    elif isinstance(model, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
        # One that was put around a fitted model has no copy of it.
        yield from _pipelines(getattr(model, "estimator_", model.estimator))
    elif isinstance(model, FrozenEstimator):
        yield from _pipelines(model.estimator)
    else:
        yield model


def _read(pipeline: Any) -> Importances | None:
    is_pipeline, classifier = isinstance(pipeline, Pipeline), _classifier(pipeline)
    found = _values(classifier)
    if found is None:
        return None
    values, note, axis = found
    names = _names(pipeline[:-1]) if is_pipeline else []
    if len(names) != len(values):
        names = [str(name) for name in getattr(classifier, "feature_names_in_", [f"x{i}" for i in range(len(values))])]
    return Importances(names, values, note, axis)


def _names(steps: Pipeline) -> list[str]:
    """Name the columns that the steps before a classifier give; empty where they do not know."""
    try:
        return [str(name) for name in steps.get_feature_names_out()]
    except (AttributeError, ValueError):  # a step that does not know its names, or no step at all
        first = steps[0] if len(steps) else None
        return _names_of_parts(first) if isinstance(first, ColumnTransformer) else []


def _names_of_parts(transformer: ColumnTransformer) -> list[str]:
    """Name the columns part by part; what a part cannot name is called like the part, and numbered.

    The components of a text have no names, and would take those of all other columns with them.
    """
    names: list[str] = []
    for name, part, columns in transformer.transformers_:
        places = transformer.output_indices_[name]
        last = part[-1] if isinstance(part, Pipeline) else part
        try:
            names += map(str, part.get_feature_names_out(columns) if places != slice(0, 0) else ())
        except (AttributeError, ValueError):
            numbered = [f"{name}_{number}" for number in range(places.stop - places.start)]
            names += _names_of_parts(last) if isinstance(last, ColumnTransformer) else numbered
    return names


def _values(classifier: Any) -> tuple[NDArray[np.float64], str, str] | None:
    """Give the importances of a classifier, how they were got, and what they are; None when it has none."""
    # Both may be properties that raise AttributeError, as coef_ of a kernel SVC does.
    importances = getattr(classifier, "feature_importances_", None)
    if importances is not None:
        info = find_algorithm(classifier)
        note = AlgorithmInfo.importances if info is None else info.importances
        return np.asarray(importances, dtype=float), note, "Importance"
    coefficients = getattr(classifier, "coef_", None)
    if coefficients is None or hasattr(coefficients, "toarray"):
        return None
    weights = np.abs(np.atleast_2d(np.asarray(coefficients, dtype=float)))
    note = "absolute coefficients, on the columns as prepared"
    note = note if len(weights) == 1 else f"{note}; mean over {len(weights)} classes"
    return weights.mean(axis=0), note, "Absolute coefficient"
