"""One fit, in whichever thread or process it is made: fit, predict at every requested stage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from time import monotonic, perf_counter
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController, threadpool_limits

from mlwf.engine.label_codes import fit_on_codes, with_label_codes
from mlwf.engine.requests import LATE, FitRequest, FitResult
from mlwf.engine.staged_ensembles import resume, staged_predictions
from mlwf.errors import raise_if_bug
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.processes import SharedState
from mlwf.sklearn_compat import drop_training_state
from mlwf.splitting.rows import Table
from mlwf.splitting.stored_frame import in_memory

ROWS_WORTH_THREADS = 10_000
"""With fewer rows, the threads of one fit cost more than they save."""

BLAS = SharedState(lambda: threadpool_limits(1, user_api="blas"))
"""The threads of OpenBLAS would share the cores with the workers, and wait for each other even when a calibrator fits
two numbers: seven times as long. One for any n_jobs, since a sum depends on how it is split."""


def fit_whole_pipeline(table: Table, request: FitRequest) -> FitResult:
    """Fit a clone of the pipeline and predict; an error is part of the result."""
    if request.deadline is not None and monotonic() >= request.deadline:
        return FitResult(error=LATE, is_late=True)
    started = perf_counter()
    table = table if request.table is None else request.table
    try:
        params = {name: clone(value, safe=False) for name, value in request.params.items()}
        model = with_label_codes(clone(request.pipeline).set_params(**params))
        model.fit(in_memory(table.X_of(request.train)), table.y_of(request.train), **_weights(table, request, model))
        fitted = perf_counter()
        predictions = tuple(predict(model, table.X_of(rows)) for rows in request.predict)
    except Exception as error:
        raise_if_bug(error)
        return FitResult(fit_seconds=perf_counter() - started, error=f"{type(error).__name__}: {error}")
    return FitResult(
        predictions=predictions,
        model=model if request.keep_model else None,
        fit_seconds=fitted - started,
        predict_seconds=perf_counter() - fitted,
    )


def _weights(table: Table, request: FitRequest, model: Any) -> dict[str, Any]:
    weight = table.fit_weight_of(request.train) if request.class_weighted else table.weight_of(request.train)
    if weight is None:
        return {}
    return {f"{model.steps[-1][0]}__sample_weight" if isinstance(model, Pipeline) else "sample_weight": weight}


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """The rows of one fold as a classifier takes them."""

    X: Any
    """Training rows, of shape (n_samples, n_features_out)."""
    y: NDArray[Any]
    weight: NDArray[Any] | None
    parts: Mapping[str, Any]
    """The rows to predict, by their digest."""


@dataclass(frozen=True, eq=False)
class Job:
    """One fit, and what to return of it."""

    classifier: Any
    """Unfitted."""
    stage_name: str | None
    stages: tuple[int, ...]
    """Ascending; empty without a stage parameter."""
    rows: tuple[str, ...]
    """Digests of the rows to predict."""
    keep_model: bool
    n_threads: int
    """For OpenMP; numpy's own algebra has one, since a sum depends on how it is split."""
    resumable: Any = field(default=None, repr=False)
    """The same classifier, fitted on the same rows with fewer stages than the last, to be resumed."""


@dataclass(frozen=True, eq=False)
class JobResult:
    """The result of a job."""

    predictions: tuple[Mapping[str, Predictions], ...] = ()
    """By the digest of the rows, for each stage; one without stages."""
    model: Any = field(default=None, repr=False)
    """The fitted classifier at its last stage, where it was requested."""
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    error: str | None = None
    warnings: tuple[tuple[type[Warning], str], ...] = ()
    """Category and message of what was warned of in another process."""
    is_resumed: bool = False
    """Whether a fit with fewer stages was resumed, so that its seconds are those of the others alone."""


def run_job(job: Job, prepared: PreparedRows) -> JobResult:
    """Fit and predict; an error is part of the result."""
    started = fitted = perf_counter()
    # An OpenMP limit holds for the calling thread alone, so it is set anew for each fit.
    with openmp_threads(job.n_threads):
        try:
            model = clone(job.classifier) if job.resumable is None else resume(job.resumable)
            if job.stage_name:
                model.set_params(**{job.stage_name: job.stages[-1]})
            model = with_label_codes(model)
            weight = {} if prepared.weight is None else {"sample_weight": prepared.weight}
            fit_on_codes(model, prepared.X, prepared.y, **weight)
            if job.resumable is not None:
                model.set_params(warm_start=False)
            drop_training_state(model)
            fitted = perf_counter()
            by_rows = {digest: _predict(model, prepared.parts[digest], job.stages) for digest in job.rows}
        except Exception as error:
            raise_if_bug(error)
            return JobResult(fit_seconds=perf_counter() - started, error=f"{type(error).__name__}: {error}")
    by_stage = range(len(job.stages) or 1)
    predictions = tuple({digest: by_rows[digest][number] for digest in by_rows} for number in by_stage)
    model, seconds = (model if job.keep_model else None), (fitted - started, perf_counter() - fitted)
    return JobResult(predictions, model, *seconds, is_resumed=job.resumable is not None)


def openmp_threads(n_threads: int) -> AbstractContextManager[Any]:
    """Limit the threads that OpenMP gives to what the calling thread does inside."""
    limiting: AbstractContextManager[Any] = _openmp().limit(limits=n_threads, user_api="openmp")
    return limiting


@cache
def _openmp() -> ThreadpoolController:
    # To look for the libraries takes as long as a small fit. scikit-learn brings its own, for all of its classes.
    return ThreadpoolController().select(user_api="openmp")


def run_job_in_worker(job: Job, prepared: PreparedRows) -> JobResult:
    """Do a job in another process than the engine's: what is warned of there is part of the result."""
    with warnings.catch_warnings(record=True) as caught, BLAS.held():
        warnings.simplefilter("default")
        done = run_job(job, prepared)
    return replace(done, warnings=tuple((each.category, str(each.message)) for each in caught))


def _predict(model: Any, X: Any, stages: Sequence[int]) -> list[Predictions]:
    return staged_predictions(model, X, stages) if stages else [predict(model, X)]
