"""One fit of a whole pipeline, and how many of them this machine can make at the same time."""

from __future__ import annotations

import os
from time import monotonic, perf_counter
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from mlwf.engine.asks import LATE, Answer, Ask
from mlwf.engine.predictions import predict
from mlwf.engine.rows import Table
from mlwf.errors import raise_if_bug
from mlwf.shared_state import SharedState

ROWS_WORTH_THREADS = 10_000
"""With fewer rows, the threads of one fit cost more than they save."""

BLAS = SharedState(lambda: threadpool_limits(1, user_api="blas"))
"""The threads of OpenBLAS would share the cores with the workers, and wait for each other even when a calibrator fits
two numbers: seven times as long. One for any n_jobs, since a sum depends on how it is split."""


def fit_one(table: Table, ask: Ask) -> Answer:
    """Fit a clone as asked and collect its predictions; a failure is an answer that says why."""
    if ask.deadline is not None and monotonic() >= ask.deadline:
        return Answer(error=LATE, is_late=True)
    started = perf_counter()
    table = table if ask.table is None else ask.table
    try:
        params = {name: clone(value, safe=False) for name, value in ask.params.items()}
        model = clone(ask.pipeline).set_params(**params)
        model.fit(table.X_of(ask.train), table.y_of(ask.train), **_weights(table, ask, model))
        fitted = perf_counter()
        predictions = tuple(predict(model, table.X_of(rows)) for rows in ask.predict)
    except Exception as error:
        raise_if_bug(error)
        return Answer(fit_seconds=perf_counter() - started, error=f"{type(error).__name__}: {error}")
    return Answer(
        predictions=predictions,
        model=model if ask.keep_model else None,
        fit_seconds=fitted - started,
        predict_seconds=perf_counter() - fitted,
    )


def cores() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def count_workers(n_jobs: int) -> int:
    """Turn scikit-learn's n_jobs into a number of workers: -1 is one for each core, -2 all but one.

    Raises ValueError for 0, which has no meaning.
    """
    if n_jobs == 0:
        raise ValueError("n_jobs is 0; accepted: -1 (one for each core), 1, 2, ...")
    return max(1, n_jobs if n_jobs > 0 else cores() + 1 + n_jobs)


def _weights(table: Table, ask: Ask, model: Any) -> dict[str, Any]:
    weight = table.fit_weight_of(ask.train) if ask.class_weighted else table.weight_of(ask.train)
    if weight is None:
        return {}
    return {f"{model.steps[-1][0]}__sample_weight" if isinstance(model, Pipeline) else "sample_weight": weight}
