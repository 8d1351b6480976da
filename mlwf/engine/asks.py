"""Questions and answers about fits: modules ask, a Fitter answers, in the order asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlwf.engine.contest import Entry
from mlwf.engine.rows import Rows, Table
from mlwf.errors import FitError


@dataclass(frozen=True, eq=False)
class Predictions:
    """All that a fitted classifier says about some rows, as plain arrays: enough for every scorer and calibrator."""

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


@dataclass(frozen=True, eq=False)
class Ask:
    """This pipeline with these parameters, trained on these rows: its predictions on those rows?"""

    pipeline: Any
    params: Mapping[str, Any]
    train: Rows
    predict: tuple[Rows, ...] = ()
    keep_model: bool = False
    class_weighted: bool = True
    """Whether the fit weighs the classes as the table says."""
    table: Table | None = None
    """The same rows with other columns, where they are not those of the fitter's own table."""
    entry: Entry | None = None
    """Its place in a search, of which only the best candidate's models are worth keeping."""
    deadline: float | None = None
    """Reading of `time.monotonic` from which on it is not begun any more."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of an Ask; a fit that failed is an answer too."""

    predictions: tuple[Predictions, ...] = ()
    model: Any = field(default=None, repr=False)
    fit_seconds: float = 0.0
    """What the fit took; asks that share one fit share its time."""
    predict_seconds: float = 0.0
    reused: bool = False
    """Whether no fit was made for it: a record of fits had it."""
    error: str | None = None
    """Why the fit failed, or None."""
    is_late: bool = False
    """Whether it was not begun because its deadline had passed; `error` says so too."""


LATE = "not begun: the time was up"

Fitter = Callable[[Sequence[Ask]], Sequence[Answer]]


def on_table(fit: Fitter, table: Table) -> Fitter:
    """Ask a fitter about the same rows with other columns."""
    return lambda asks: fit([replace(ask, table=table) for ask in asks])


def predict(model: Any, X: Any) -> Predictions:
    """Collect all that a fitted classifier says about X, of shape (n_rows, n_features)."""
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
    """Put predictions of the folds in the order of the rows; `folds` holds the positions of each part's rows.

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
