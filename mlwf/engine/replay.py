"""Stored predictions in the shape of a fitted classifier, as scikit-learn's own scorers and calibrators take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from mlwf.engine.predictions import Predictions


def positions(n_rows: int) -> NDArray[np.intp]:
    """Make the X that a Replay of `n_rows` predictions takes: positions, of shape (n_rows, 1)."""
    return np.arange(n_rows, dtype=np.intp).reshape(-1, 1)


class Replay(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that gives stored predictions back; X holds their positions, of shape (n_rows, 1)."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Replay:
        return self

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Replay:
        """Do nothing: what it will say is known."""
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
