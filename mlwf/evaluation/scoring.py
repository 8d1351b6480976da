"""scikit-learn's own scorers, applied to precomputed predictions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils.metaestimators import available_if

from mlwf.evaluation.predictions import Predictions
from mlwf.sklearn_compat import take_scorer_apart


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
