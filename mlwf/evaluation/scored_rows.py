"""The rows that a model was scored on, with labels and predictions as plain arrays, which the folder of a run keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mlwf.evaluation.predictions import Predictions, codes_of
from mlwf.results import Evaluation

MOST_DOUBLES = 1_000_000
FOLDER = "predictions"
"""Folder in that of a run, with a file for each source of its scores."""


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Labels and predictions of the rows that scores are of; a row that was predicted twice stands twice."""

    classes: NDArray[np.str_]
    """Class labels as texts, of shape (n_classes,)."""
    y: NDArray[np.intp]
    """Position of each row's label among the classes; -1 for a label that the model does not know."""
    predicted: NDArray[np.intp]
    """Position of each row's predicted label."""
    proba: NDArray[np.float64] | None = None
    """Probabilities, of shape (n_rows, n_classes)."""
    decision: NDArray[np.float64] | None = None
    """Decision values, of shape (n_rows,) or (n_rows, n_classes), where there are no probabilities."""
    weight: NDArray[np.float64] | None = None
    """Weight of each row; None for equal ones."""
    units: NDArray[np.intp] | None = None
    """Number of what a bootstrap draws together; None for single rows."""
    index: NDArray[np.intp] | None = None
    """Where each row stands among the rows that have a target."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def predictions(self) -> Predictions:
        """The predictions, with positions of the classes as labels."""
        return Predictions(np.arange(len(self.classes)), self.predicted, self.proba, self.decision)

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """What is greater for a likelier class, of shape (n_rows, n_classes); None where there are labels alone."""
        scores = self.decision if self.proba is None else self.proba
        if scores is not None and scores.ndim == 1:  # of the second of two classes
            return np.column_stack([-scores, scores])
        return scores

    def weighted(self) -> ScoredRows:
        """Leave out the rows of weight zero, which count as if they were not there."""
        if self.weight is None or (self.weight > 0).all():
            return self
        at = np.flatnonzero(self.weight > 0)
        parts = {name: values[at] for name, values in vars(self).items() if name != "classes" and values is not None}
        return ScoredRows(self.classes, **parts)


def scored_rows(evaluation: Evaluation) -> ScoredRows:
    """Give the rows of an evaluation."""
    predictions, units = evaluation.predictions, evaluation.units
    return ScoredRows(
        classes=np.array([str(label) for label in predictions.classes.tolist()], dtype=np.str_),
        y=codes_of(evaluation.y, predictions.classes),
        predicted=codes_of(predictions.labels, predictions.classes),
        proba=predictions.proba,
        decision=predictions.decision if predictions.proba is None else None,
        weight=evaluation.weight,
        units=None if units is None else np.unique([str(unit) for unit in units.tolist()], return_inverse=True)[1],
        index=evaluation.index,
    )


def to_arrays(rows: ScoredRows) -> dict[str, NDArray[Any]]:
    """Give the arrays that there are, by name; none of them holds objects.

    Beyond a million of them, probabilities and decision values are of single precision, lest files grow too large.
    """
    found = {name: values for name, values in vars(rows).items() if values is not None}
    is_large = {name: values.dtype == np.float64 and values.size > MOST_DOUBLES for name, values in found.items()}
    return {name: values.astype(np.float32) if is_large[name] else values for name, values in found.items()}


def read_scored_rows(path: Path) -> ScoredRows | None:
    """Read what `to_arrays` gave from an .npz file; None where there is no such file, or a broken one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return ScoredRows(**dict(arrays))
    except (OSError, ValueError, TypeError, EOFError, BadZipFile):
        return None
