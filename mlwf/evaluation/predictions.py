"""What fitted classifiers predict, as plain arrays, and scikit-learn's own scorers applied to them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, make_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from mlwf.errors import FitError
from mlwf.evaluation.preparing import transform
from mlwf.sklearn_compat import take_scorer_apart


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


def predict(model: Any, X: Any, *, decision: bool = True) -> Predictions:
    """Collect all that a fitted classifier predicts for X, of shape (n_rows, n_features); of stored rows by batches.

    Decision values are left out where `decision` is false: each of the three takes as long as the others.
    """
    if hasattr(type(X), "batches"):
        parts = ((at, predict(model, batch, decision=decision)) for at, batch in X.batches())
        places, predicted = zip(*parts, strict=True)
        return gather(predicted, places)
    if isinstance(model, Pipeline) and len(model) > 1:
        # Transform once: each of the three methods of a Pipeline would do it again.
        X, model = transform(model[:-1], X), model[-1]
    classes = np.asarray(model.classes_)
    return Predictions(
        classes=classes,
        # A dummy gives texts of one width where its classes are objects.
        labels=np.asarray(model.predict(X)).astype(classes.dtype, copy=False),
        proba=np.asarray(model.predict_proba(X)) if hasattr(model, "predict_proba") else None,
        decision=np.asarray(model.decision_function(X)) if decision and hasattr(model, "decision_function") else None,
    )


def stacked(parts: Sequence[Predictions]) -> Predictions:
    """Put predictions of one model below each other."""

    def joined(arrays: list[Any]) -> Any:
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    return Predictions(
        parts[0].classes,
        np.concatenate([part.labels for part in parts]),
        joined([part.proba for part in parts]),
        joined([part.decision for part in parts]),
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


def row_losses(predictions: Predictions, y: NDArray[Any]) -> NDArray[np.float64]:
    """Give the log loss of each row, clipped as scikit-learn clips it."""
    assert predictions.proba is not None
    proba = np.clip(predictions.proba, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    true = np.searchsorted(predictions.classes, y)
    losses: NDArray[np.float64] = -np.log(proba[np.arange(len(y)), true] / proba.sum(axis=1))
    return losses


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


def positions(n_rows: int) -> NDArray[np.intp]:
    """Make the X that a PrecomputedClassifier of `n_rows` predictions takes: positions, of shape (n_rows, 1)."""
    return np.arange(n_rows, dtype=np.intp).reshape(-1, 1)


class PrecomputedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that gives stored predictions back; X holds their positions, of shape (n_rows, 1)."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> PrecomputedClassifier:
        return self

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> PrecomputedClassifier:
        """Do nothing: its predictions are stored."""
        return self

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels, of shape (n_classes,)."""
        return self.predictions.classes

    def predict(self, X: NDArray[np.intp]) -> NDArray[Any]:
        """Give the stored labels back."""
        return self.predictions.labels[np.ravel(X)]

    @available_if(lambda self: self.predictions.proba is not None)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: NDArray[np.intp]) -> Any:
        """Give the stored probabilities back."""
        assert self.predictions.proba is not None
        return self.predictions.proba[np.ravel(X)]

    @available_if(lambda self: self.predictions.decision is not None)  # type: ignore[untyped-decorator]
    def decision_function(self, X: NDArray[np.intp]) -> Any:
        """Give the stored decision values back."""
        assert self.predictions.decision is not None
        return self.predictions.decision[np.ravel(X)]


@dataclass(frozen=True, eq=False)
class Scorer:
    """scikit-learn's scorer, which knows the classes."""

    plain: Any
    coded: Any
    """The same for labels that are the position of their class; None where the labels are no texts."""
    classes: NDArray[Any]

    def __call__(self, predictions: Predictions, y: NDArray[Any], weight: NDArray[np.float64] | None = None) -> float:
        """Score stored predictions of rows whose labels are `y`; raises what the metric raises."""
        if self.coded is not None:
            # A metric sorts the labels several times, and texts take a hundred times as long as numbers.
            try:
                coded, codes = self._code(predictions), _known_codes(y, self.classes)
                return _score(self.coded, coded, codes, weight)
            except Exception:  # raised again below, of the labels themselves, or of those that are no class
                pass
        return _score(self.plain, predictions, y, weight)

    def _code(self, predictions: Predictions) -> Predictions:
        needs_labels = take_scorer_apart(self.coded).response_method == "predict"
        labels = _known_codes(predictions.labels, self.classes) if needs_labels else np.empty(0, dtype=np.intp)
        classes = _known_codes(predictions.classes, self.classes)
        return Predictions(classes, labels, predictions.proba, predictions.decision)


def codes_of(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Give the position of each label among the classes, -1 where it is none of them."""
    codes: NDArray[np.intp] = pd.Index(classes, dtype=classes.dtype).get_indexer(labels)
    return codes


def _known_codes(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    codes = codes_of(labels, classes)
    if (codes < 0).any():
        raise ValueError("a label is none of the classes")
    return codes


def build_scorer(name: str, *, classes: NDArray[Any], positive_class: Any = None) -> Scorer:
    """Give scikit-learn's scorer of that name, for these classes, with that positive one.

    scikit-learn's own f1, precision, recall and average_precision are NaN for string labels, with only a warning.
    """
    plain = _with_classes(name, classes, classes[-1] if positive_class is None else positive_class)
    if classes.dtype != object or positive_class not in (None, *classes.tolist()):
        return Scorer(plain, None, classes)
    positive = len(classes) - 1 if positive_class is None else classes.tolist().index(positive_class)
    return Scorer(plain, _with_classes(name, np.arange(len(classes)), positive), classes)


def _with_classes(name: str, classes: NDArray[Any], positive: Any) -> Any:
    scorer = get_scorer(name)
    parts = take_scorer_apart(scorer)
    keywords, parameters = dict(parts.keywords), inspect.signature(parts.metric).parameters
    if "labels" in parameters and parts.response_method == "predict_proba":
        # Without them, rows in which a class does not occur cannot be scored.
        keywords["labels"] = classes
    if len(classes) == 2 and "pos_label" in parameters and keywords.get("average", "binary") == "binary":
        keywords["pos_label"] = positive
    if keywords == parts.keywords:
        return scorer
    make = partial(make_scorer, response_method=parts.response_method, greater_is_better=parts.greater_is_better)
    return make(parts.metric, **keywords)


def build_scorers(names: Sequence[str], *, classes: NDArray[Any], positive_class: Any = None) -> dict[str, Scorer]:
    """Give scikit-learn's scorers of those names, by name."""
    return {name: build_scorer(name, classes=classes, positive_class=positive_class) for name in names}


def score(
    scorer: Scorer, predictions: Predictions, y: NDArray[Any], *, weight: NDArray[np.float64] | None = None
) -> float:
    """Score stored predictions of rows whose labels are `y`, greater being better; raises what the metric raises."""
    return scorer(predictions, y, weight)


def _score(scorer: Any, predictions: Predictions, y: NDArray[Any], weight: NDArray[np.float64] | None) -> float:
    keywords = {} if weight is None else {"sample_weight": weight}
    # The metric's parameters are the scorer's own: to check them each time takes longer than to score a few rows.
    with config_context(skip_parameter_validation=True):
        return float(scorer(PrecomputedClassifier(predictions), positions(len(y)), y, **keywords))
