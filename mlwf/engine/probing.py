"""Cheap fits that measure what costly ones like them will take: few rounds, or few rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from mlwf.engine.costs import FitCosts
from mlwf.engine.label_codes import fit_on_codes, with_label_codes
from mlwf.engine.model_file import save_model
from mlwf.engine.scheduling import estimate_seconds
from mlwf.engine.work import PreparedRows
from mlwf.errors import MlwfError, raise_if_bug
from mlwf.evaluation.predictions import predict
from mlwf.specs.catalogue import find_algorithm
from mlwf.splitting.rows import encode_labels

FIRST_SECONDS = 0.05
"""What the first fit shall take by the estimate, which may be wrong by a factor of three and more."""
FEWEST_ROWS = 200
ROWS_OF_A_CLASS = 4
STEP = 4
"""Each fit is that many times as large as the one before."""
MOST_SPENT = 8
"""How many times the seconds of the largest fit all of them may take together."""
LARGEST_SHARE = 0.25
"""Of the rows, or of the rounds, that the largest of these fits may have: beyond that it is no cheap one."""


def probe(classifier: Any, prepared: PreparedRows, *, n_columns: int, most_seconds: float, costs: FitCosts) -> None:
    """Fit a classifier with few rounds, or on few rows, and record what that takes; then with more, until it tells.

    What more rounds add tells what a round takes, and the rest is what a fit takes however few they are.

    Parameters
    ----------
    classifier
        The unfitted classifier.
    prepared
        Rows that it will be fitted on.
    n_columns
        Columns of the table that they are from, which its cost is estimated by.
    most_seconds
        After a fit that took so long no larger one is made; with more rounds, so much longer than the first.
    """
    n_classes = len(encode_labels(prepared.y)[0])
    info = find_algorithm(classifier)
    has_rounds = bool(info and info.rounds)
    first: tuple[float, float] | None = None
    spent = 0.0
    for smaller, rows in _smaller(classifier, prepared, n_columns, n_classes):
        estimated = estimate_seconds(smaller, len(rows), n_columns, n_classes)
        started = perf_counter()
        try:
            model = _fit(smaller, prepared, rows)
        except Exception as error:  # the fit itself will report it
            raise_if_bug(error)
            return
        seconds = perf_counter() - started
        costs.record(classifier, estimated, seconds)
        costs.record_saving(classifier, estimated, _seconds_of_saving(model))
        spent += seconds
        added = seconds
        if has_rounds:
            first = first or (estimated, seconds)
            added = seconds - first[1]
            if added > 0:
                costs.record_overhead(classifier, first[1] - first[0] * added / (estimated - first[0]))
        if added >= most_seconds or spent >= MOST_SPENT * most_seconds:
            return


def _smaller(
    classifier: Any, prepared: PreparedRows, n_columns: int, n_classes: int
) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
    """Give larger and larger fits, each as a classifier and the positions of its rows."""
    n_rows = len(prepared.y)
    info = find_algorithm(classifier)
    rounds = info and info.rounds
    if not rounds:
        n_sampled = max(FEWEST_ROWS, ROWS_OF_A_CLASS * n_classes)
        while n_sampled <= LARGEST_SHARE * n_rows:
            yield clone(classifier), _sample(prepared.y, n_sampled)
            n_sampled *= STEP
        return
    most = classifier.get_params(deep=False)[rounds]
    one = clone(classifier).set_params(**{rounds: 1})
    # A single round of many rows may take long.
    share = FIRST_SECONDS / estimate_seconds(one, n_rows, n_columns, n_classes)
    n_sampled = min(n_rows, max(FEWEST_ROWS, ROWS_OF_A_CLASS * n_classes, int(share * n_rows)))
    rows = np.arange(n_rows) if n_sampled > n_rows / 2 else _sample(prepared.y, n_sampled)
    n_rounds = 1
    while n_rounds <= max(1, LARGEST_SHARE * (most or 0)):
        yield clone(classifier).set_params(**{rounds: n_rounds}), rows
        n_rounds *= STEP


def _sample(y: Any, n_rows: int) -> np.ndarray[Any, Any]:
    """Choose rows at even distances, and some of each class."""
    _, classes = encode_labels(y)
    by_class = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[by_class], np.arange(1, classes.max() + 1))
    of_classes = [part[:ROWS_OF_A_CLASS] for part in np.split(by_class, starts)]
    even = np.linspace(0, len(classes) - 1, n_rows).astype(np.intp)
    return np.unique(np.concatenate([even, *of_classes]))


def _fit(classifier: Any, prepared: PreparedRows, rows: np.ndarray[Any, Any]) -> Any:
    X = _take(prepared.X, rows)
    weight = {} if prepared.weight is None else {"sample_weight": prepared.weight[rows]}
    model = fit_on_codes(with_label_codes(classifier), X, prepared.y[rows], **weight)
    # About as many rows for each that is learnt from as in five folds.
    predict(model, _take(X, np.arange(max(1, len(rows) // STEP))))
    return model


def _take(X: Any, rows: np.ndarray[Any, Any]) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _seconds_of_saving(model: Any) -> float:
    with tempfile.TemporaryDirectory(prefix="mlwf-probe-") as folder:
        started = perf_counter()
        with suppress(MlwfError):
            save_model(model, Path(folder, "model.skops"))
        return perf_counter() - started
