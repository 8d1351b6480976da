"""How long a fit will take, roughly: enough to begin with the longest, and to tell the time that is left."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import Any

from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

LEAST_SECONDS = 1e-3

RELEASES_GIL = frozenset(
    {
        DecisionTreeClassifier,
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        LogisticRegression,
        RandomForestClassifier,
        SVC,
    }
)
"""Classifiers of which two threads fit nearly twice as many as one; of the others they fit hardly more."""


def estimate_seconds(classifier: Any, n_rows: int, n_columns: int, n_classes: int) -> float:
    """Estimate the seconds of one fit on one core of a machine of today, within a factor of three or so."""
    estimate = ESTIMATES.get(type(classifier), _unknown)
    # One set of trees, or one column of coefficients, serves two classes.
    return LEAST_SECONDS + float(estimate(classifier, n_rows, n_columns, n_classes if n_classes > 2 else 1))


def _unknown(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return 0.0


def _gradient_boosting(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    depth = model.max_depth or log2(n_rows + 2)
    return float(9e-8 * n_rows * model.subsample * n_columns * depth * model.n_estimators * n_outputs)


def _hist_gradient_boosting(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    leaves = min(model.max_leaf_nodes or 128, 2 ** min(model.max_depth or 10, 10), n_rows)
    return float((6e-5 * leaves + 5e-9 * n_rows * n_columns) * model.max_iter * n_outputs)


def _forest(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return float(4e-8 * n_rows * log2(n_rows + 2) * n_columns**0.5 * model.n_estimators)


def _tree(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return float(4e-8 * n_rows * log2(n_rows + 2) * n_columns)


def _logistic_regression(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return float(1e-9 * n_rows * n_columns * model.max_iter * n_outputs)


def _mlp(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    widths = model.hidden_layer_sizes if hasattr(model.hidden_layer_sizes, "__len__") else [model.hidden_layer_sizes]
    sizes = [n_columns, *widths, n_outputs]
    return float(2e-9 * n_rows * sum(a * b for a, b in pairwise(sizes)) * model.max_iter)


def _svc(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return float(2e-9 * n_rows**2 * n_columns)


ESTIMATES: dict[type, Callable[[Any, int, int, int], float]] = {
    DecisionTreeClassifier: _tree,
    ExtraTreesClassifier: _forest,
    GradientBoostingClassifier: _gradient_boosting,
    HistGradientBoostingClassifier: _hist_gradient_boosting,
    LogisticRegression: _logistic_regression,
    MLPClassifier: _mlp,
    RandomForestClassifier: _forest,
    SVC: _svc,
}
