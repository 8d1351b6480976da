"""Explain the prediction of one row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlwf.engine.work import openmp_threads
from mlwf.errors import DataError, UsageError
from mlwf.modules.importances import as_predict, explain_row
from mlwf.orchestrator.prediction import read_for_model
from mlwf.processes import muted
from mlwf.text import pluralize

MOST_BACKGROUND = 1000
"""Rows that a row is compared with; of more these are drawn."""


def explain_prediction(
    run: str,
    data: str,
    row: int,
    *,
    runs_dir: Path,
    tracking_uri: str,
    read: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say which columns move the probability of a row away from the average of the other rows of its table.

    The probability is that of the positive class of two, or of the class that is predicted. A model without
    probabilities gives 1 for what it predicts, and 0 for the rest.

    Parameters
    ----------
    run
        A run, or `models:/NAME@ALIAS`.
    data
        The table: a file, a folder or a glob.
    row
        Its number in the table, counted from 1 after the header.

    Returns
    -------
    dict
        In plain values: `row`, `class`, `prediction`, `probability`, `average`, and `columns` with the `value`, the
        `contribution` and the `error` of each, the greatest contribution first.

    Raises
    ------
    UsageError
        The table has no such row.
    DataError
        It has no other row, or cannot be read as the training was.
    """
    given = read_for_model(run, data, runs_dir=runs_dir, tracking_uri=tracking_uri, read=read)
    model, X, n_rows = given.model, given.X, len(given.X)
    if not 1 <= row <= n_rows:
        raise UsageError(f"--row {row}: {data} has {pluralize(n_rows, 'row')}; accepted: 1 to {n_rows:,}")
    if n_rows < 2:
        raise DataError(f"{data}: has one row, and others are needed, with whose average it is compared")
    own = X.iloc[[row - 1]].reset_index(drop=True)
    classes, predict = np.asarray(model.classes_), as_predict(model, np.asarray(model.classes_))
    prediction = model.predict(own)[0]
    labels = classes.tolist()
    positive = given.spec.data.positive_class
    place = labels.index(prediction)
    if len(labels) == 2:
        place = labels.index(positive) if positive in labels else 1
    random = np.random.default_rng(given.spec.random_state)
    others = np.setdiff1d(np.arange(n_rows), [row - 1])
    drawn = np.sort(random.permutation(others)[:MOST_BACKGROUND])
    with muted(), openmp_threads(1):
        explanation = explain_row(
            lambda rows: predict(rows)[:, place],
            own,
            X.iloc[drawn].reset_index(drop=True),
            random_state=given.spec.random_state,
        )
    found = asdict(explanation)
    columns = found.pop("contributions")
    return {
        "run": run,
        "source": data,
        "row": row,
        "class": str(labels[place]),
        "prediction": str(prediction),
        "has_probabilities": predict.has_probabilities,
        "method": "Shapley values by sampling (Strumbelj and Kononenko 2014)",
        **found,
        "columns": list(columns),
    }
