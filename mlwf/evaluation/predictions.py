"""What fitted classifiers predict, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
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
