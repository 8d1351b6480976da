"""scikit-learn's own scorers, applied to stored predictions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.metrics import get_scorer, make_scorer

from mlwf.engine.asks import Predictions
from mlwf.engine.replay import Replay, positions


def build_scorer(name: str, *, classes: NDArray[Any], positive_class: Any = None) -> Any:
    """Give scikit-learn's scorer of that name, told which classes there are and which is the positive one.

    Without being told, f1, precision, recall and average_precision are NaN for string labels, with only a warning.
    """
    scorer = get_scorer(name)
    # Scorers have no public access to their metric: tests/engine/test_scoring.py breaks if these names change.
    metric, keywords = scorer._score_func, dict(scorer._kwargs)
    parameters = inspect.signature(metric).parameters
    if "labels" in parameters and scorer._response_method == "predict_proba":
        # Without them, rows in which a class does not occur cannot be scored.
        keywords["labels"] = classes
    if len(classes) == 2 and "pos_label" in parameters and keywords.get("average", "binary") == "binary":
        keywords["pos_label"] = classes[-1] if positive_class is None else positive_class
    if keywords == scorer._kwargs:
        return scorer
    return make_scorer(metric, response_method=scorer._response_method, greater_is_better=scorer._sign > 0, **keywords)


def build_scorers(names: Sequence[str], *, classes: NDArray[Any], positive_class: Any = None) -> dict[str, Any]:
    """Give scikit-learn's scorers of those names, by name."""
    return {name: build_scorer(name, classes=classes, positive_class=positive_class) for name in names}


def score(
    scorer: Any, predictions: Predictions, y: NDArray[Any], *, weight: NDArray[np.float64] | None = None
) -> float:
    """Score stored predictions of rows whose labels are `y`, greater being better; raises what the metric raises."""
    keywords = {} if weight is None else {"sample_weight": weight}
    # The metric's parameters are the scorer's own: to check them each time takes longer than to score a few rows.
    with config_context(skip_parameter_validation=True):
        return float(scorer(Replay(predictions), positions(len(y)), y, **keywords))
