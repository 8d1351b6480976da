"""What fitted classifiers predict, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlwf.errors import FitError


@dataclass(frozen=True, eq=False)
class Predictions:
    """All that a fitted classifier predicts for some rows, as plain arrays: enough for every scorer and calibrator."""

    classes: NDArray[Any]
    """Class labels, of shape (n_classes,)."""
    labels: NDArray[Any]
    """Predicted labels, of shape (n_rows,)."""
    proba: NDArray[np.float64] | None = None
    """Probabilities, of shape (n_rows, n_classes), or None when the classifier has none."""
    decision: NDArray[np.float64] | None = None
    """Decision values, of shape (n_rows,) or (n_rows, n_classes), or None when the classifier has none."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: NDArray[np.intp]) -> Predictions:
        """Pick rows by their position."""
        parts = (None if part is None else part[positions] for part in (self.labels, self.proba, self.decision))
        labels, proba, decision = parts
        return Predictions(self.classes, labels, proba, decision)  # type: ignore[arg-type]


def predict(model: Any, X: Any) -> Predictions:
    """Collect all that a fitted classifier predicts for X, of shape (n_rows, n_features)."""
    if isinstance(model, Pipeline) and len(model) > 1:
        # Transform once: each of the three methods of a Pipeline would do it again.
        X, model = model[:-1].transform(X), model[-1]
    classes = np.asarray(model.classes_)
    return Predictions(
        classes=classes,
        # A dummy gives texts of one width where its classes are objects.
        labels=np.asarray(model.predict(X)).astype(classes.dtype, copy=False),
        proba=np.asarray(model.predict_proba(X)) if hasattr(model, "predict_proba") else None,
        decision=np.asarray(model.decision_function(X)) if hasattr(model, "decision_function") else None,
    )


def gather(parts: Sequence[Predictions], folds: Sequence[NDArray[np.intp]]) -> Predictions:
    """Put predictions of the folds in the order of the rows; `folds` has the positions of each part's rows.

    Raises FitError when the models of the parts know different classes: their columns would not mean the same.
    """
    if any(not np.array_equal(part.classes, parts[0].classes) for part in parts):
        hint = "validation.splitter: stratified_kfold keeps each class in all of them"
        raise FitError(f"the folds learn different classes; {hint}")
    order = np.argsort(np.concatenate(folds), kind="stable")

    def joined(arrays: list[Any]) -> Any:
        return None if any(array is None for array in arrays) else np.concatenate(arrays)[order]

    return Predictions(
        classes=parts[0].classes,
        labels=joined([part.labels for part in parts]),
        proba=joined([part.proba for part in parts]),
        decision=joined([part.decision for part in parts]),
    )


def to_arrays(predictions: Predictions) -> dict[str, NDArray[Any] | None]:
    """Give arrays of numbers and texts, without objects, for `from_arrays`; None for one that would not be equal."""
    parts: dict[str, NDArray[Any] | None] = {
        "texts" if predictions.classes.dtype == object else "classes": _without_objects(predictions.classes),
        "codes": _codes(predictions),
    }
    found = {"proba": predictions.proba, "decision": predictions.decision}
    return parts | {name: part for name, part in found.items() if part is not None}


def from_arrays(parts: Mapping[str, Any]) -> Predictions:
    """Make the predictions of `to_arrays` again; raises LookupError, TypeError or ValueError for other arrays."""
    classes = parts["classes"] if "classes" in parts else parts["texts"].astype(object)
    return Predictions(classes, classes[parts["codes"]], parts.get("proba"), parts.get("decision"))


def _without_objects(classes: NDArray[Any]) -> NDArray[Any] | None:
    if classes.dtype != object:
        return classes
    values = classes.tolist()
    if not {*map(type, values)} <= {str}:
        return None
    plain = np.array(values, dtype=np.str_)
    return plain if plain.tolist() == values else None  # numpy cuts zeros off the end of a text


def _codes(predictions: Predictions) -> NDArray[Any] | None:
    """Give the position of each label among the classes; None when the classes do not give it back to the bit."""
    labels, classes = predictions.labels, predictions.classes
    if labels.dtype != classes.dtype or labels.ndim != 1 or classes.ndim != 1:
        return None
    values = labels.tolist()
    try:
        place_of = {value: place for place, value in enumerate(classes.tolist())}
        codes = np.fromiter(map(place_of.__getitem__, values), dtype=np.intp, count=len(values))
    except (KeyError, TypeError):
        return None
    is_text = labels.dtype == object
    is_same = {*map(type, values)} <= {str} if is_text else classes[codes].tobytes() == labels.tobytes()
    return codes.astype(np.min_scalar_type(len(classes))) if is_same else None
