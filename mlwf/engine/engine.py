"""The fitter that does no fit twice: the answers of PlainFitter, to the last bit, from fewer fits."""

from __future__ import annotations

import copy
import gc
import itertools
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey, FitKeyBuilder
from mlwf.engine.model_cache import CachedModel, ModelCache
from mlwf.engine.prepared_folds import Fold, Folds
from mlwf.engine.process_pools import Pool, ProcessPool, ThreadPool, WorkerLostError
from mlwf.engine.requests import LATE, FitRequest, FitResult
from mlwf.engine.scheduling import InFlightFits, PriorityExecutor, Task, releases_gil, sort_tasks
from mlwf.engine.staged_ensembles import truncated
from mlwf.engine.work import (
    BLAS,
    ROWS_WORTH_THREADS,
    Job,
    JobResult,
    cores,
    count_workers,
    do,
    do_apart,
    fit_one,
    openmp_threads,
)
from mlwf.errors import raise_if_bug
from mlwf.evaluation.predictions import predict
from mlwf.process_state import DISPLAY, SharedState, Warned, recorded
from mlwf.results import FitCounts
from mlwf.splitting.rows import Table

SECONDS_WORTH_PROCESSES = 30.0
"""Of fits that keep the GIL; to start two processes takes some five seconds of CPU."""
SECONDS_WORTH_SENDING = 0.02
"""Fits that take less are not sent to another process."""


@contextmanager
def _frozen() -> Iterator[None]:
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


COLLECTOR = SharedState(_frozen)
"""Boosters make and drop objects by the million. What is there already need not be looked through each time."""

OnFit = Callable[[float], None]
"""Told of each fit that is done, and how many seconds such a fit takes, roughly."""


class Engine:
    """Answer asks about one table, each distinct fit once; may be called from several threads.

    - What the record has is not fitted again, whether this run put it there or an earlier one.
    - Candidates that differ only in the number of boosting rounds or trees are read off one fit.
    - A booster of which more rounds are asked for while it is held is continued.
    - The rows of a fold are prepared once for all candidates that prepare them alike.
    - Of a search only the fold models of the best candidate are held.

    What cannot be taken apart, or gives other bits each time, is fitted as `PlainFitter` does it.

    Parameters
    ----------
    table
        The rows that asks speak of, unless they bring their own.
    n_jobs
        Fits at the same time, as scikit-learn counts them.
    record
        Where answers are kept; without it they are forgotten at the end.
    pool
        Where fits run; by default in threads, or in processes where those are worth their start.
    on_fit
        Called after each fit, from the threads that do them.
    on_warning
        Told what an earlier fit warned of, when its answer is used again.
    """

    def __init__(
        self,
        table: Table,
        *,
        n_jobs: int = 1,
        fit_cache: FitCache | None = None,
        pool: Pool | None = None,
        on_fit: OnFit | None = None,
        on_warning: Callable[[str, str], None] | None = None,
    ) -> None:
        self.table = table
        self.counts = FitCounts()
        self._held = ExitStack()
        lasts = fit_cache is not None
        if fit_cache is None:
            fit_cache = FitCache(Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="mlwf-fits-"))))
        self.fit_cache = fit_cache
        self._model_cache = ModelCache(fit_cache, lasts=lasts)
        self._key_builder = FitKeyBuilder()
        self._own: set[str] = set()
        self._on_fit = on_fit
        self._on_warning = on_warning
        self._lock = threading.Lock()
        self._calls = itertools.count()
        self._under_way = InFlightFits()
        self._folds = Folds()
        self._elsewhere = pool
        self._hire(n_jobs)

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Answer the asks, in their order."""
        fits = {place: self._key_builder.identify(request, self.table) for place, request in enumerate(requests)}
        fit_results: dict[int, FitResult] = {}
        while left := {place: request for place, request in enumerate(requests) if place not in fit_results}:
            with self._under_way.claimed({place: fits[place] for place in left}) as mine:
                fit_results |= self._answers({place: left[place] for place in mine}, fits)
        for leaderboard in {request.candidate_fold.leaderboard for request in requests if request.candidate_fold}:
            self._model_cache.hold(leaderboard)
        with self._lock:
            self.counts.asked += len(requests)
        return [fit_results[place] for place in range(len(requests))]

    def _answers(self, requests: Mapping[int, FitRequest], fits: Mapping[int, FitKey | None]) -> dict[int, FitResult]:
        fit_results = self._look_up(requests, fits)
        tasks = sort_tasks(
            {place: request for place, request in requests.items() if place not in fit_results}, fits, self.table
        )
        folds, pools = self._folds.gather(tasks), self._pools(tasks)
        call = next(self._calls)
        # Those asked first come first, so that few folds are held.
        futures = [
            self._line.put((call, task.turn), partial(self._answer, task, folds.get(task), pools[task]))
            for task in tasks
        ]
        for future in futures:
            fit_results |= future.result()
        return fit_results

    def with_jobs(self, n_jobs: int) -> Engine:
        """Make an engine that shares all with this one but the number of fits at the same time."""
        other = copy.copy(self)
        other._held = ExitStack()
        other._hire(n_jobs)
        return other

    def close(self, *, wait: bool = True) -> None:
        """Let go of the workers; asks that have not begun are dropped."""
        if not wait and self._processes is not None:
            self._processes.close(wait=False)
        self._line.close(wait=wait)
        if wait:
            self._folds.close()
        if wait and self._processes is not None:
            self._processes.close()

    def __enter__(self) -> Engine:
        for state in (DISPLAY, BLAS, COLLECTOR):
            self._held.enter_context(state.held())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)
        if kind is None:
            self.fit_cache.prune()
        self._held.close()

    def _hire(self, n_jobs: int) -> None:
        self._threads = ThreadPool(count_workers(n_jobs))
        self._processes: Pool | None = None
        self._line = PriorityExecutor((self._elsewhere or self._threads).slots)

    def _pools(self, tasks: Sequence[Task]) -> dict[Task, Pool]:
        """Choose where each task runs."""
        near: Pool = self._threads
        sent = [task for task in tasks if task.fits and task.seconds >= SECONDS_WORTH_SENDING]
        if self._elsewhere is not None:
            far = self._elsewhere
        else:
            sent = [task for task in sent if not releases_gil(task.fit.parts.classifier)]
            is_worth_it = self._line.slots > 1 and sum(task.seconds for task in sent) > SECONDS_WORTH_PROCESSES
            far = self._started_processes() if is_worth_it else near
        return dict.fromkeys(tasks, near) | dict.fromkeys(sent, far)

    def _started_processes(self) -> Pool:
        with self._lock:
            self._processes = self._processes or ProcessPool(self._line.slots)
            return self._processes

    def _look_up(self, requests: Mapping[int, FitRequest], fits: Mapping[int, FitKey | None]) -> dict[int, FitResult]:
        fit_results = {}
        for place, request in requests.items():
            fit = fits[place]
            if fit is not None and (fit_result := self._known(request, fit)) is not None:
                fit_results[place] = fit_result
                if request.candidate_fold:
                    request.candidate_fold.leaderboard.enter(request.candidate_fold, fit_result)
        with self._lock:
            self.counts.recorded += sum(1 for place in fit_results if _key(fits[place]) not in self._own)
        return fit_results

    def _known(self, request: FitRequest, fit: FitKey) -> FitResult | None:
        """Answer from the record, or with a model that was fitted before; None when that takes a fit."""
        digests = [rows.digest for rows in request.predict]
        found = self.fit_cache.find(fit.key, digests)
        if found is not None and self._on_warning is not None:
            for warned in found.warnings:
                self._on_warning(*warned)
        if found is not None and not request.keep_model:
            return FitResult(found.predictions, None, found.fit_seconds, found.predict_seconds, reused=True)
        model = self._model_cache.find(fit.key)
        if model is None:
            return None
        kept = model if request.keep_model else None
        if found is not None:
            return FitResult(found.predictions, kept, found.fit_seconds, found.predict_seconds, reused=True)
        with openmp_threads(1):
            said = {rows.digest: predict(model, fit.table.X_of(rows)) for rows in request.predict}
        self.fit_cache.put(fit.key, said, fit_seconds=0.0, predict_seconds=0.0)
        return FitResult(tuple(said[digest] for digest in digests), kept, reused=True)

    def _answer(self, task: Task, fold: Fold | None, pool: Pool) -> dict[int, FitResult]:
        """Do a task: fit, write down, and tell."""
        if task.deadline is not None and monotonic() >= task.deadline:
            fit_results = dict.fromkeys(task.requests, FitResult(error=LATE, is_late=True))
        elif fold is None:
            with openmp_threads(self._n_threads(task)):
                fit_results = {place: fit_one(self.table, request) for place, request in task.requests.items()}
        else:
            fit_results = self._fitted(task, fold, pool)
        if fold is not None:
            self._folds.release(fold)
        for place, request in task.requests.items():
            if request.candidate_fold and (fold is None or fit_results[place].error):
                request.candidate_fold.leaderboard.enter(request.candidate_fold, fit_results[place])
        if not all(fit_result.is_late for fit_result in fit_results.values()):
            with self._lock:
                self.counts.fitted += 1
            if self._on_fit is not None:
                self._on_fit(task.seconds)
        return fit_results

    def _fitted(self, task: Task, fold: Fold, pool: Pool) -> dict[int, FitResult]:
        with recorded() as warned:
            try:
                preprocessor, prepared = fold.prepared(pool)
            except Exception as error:
                raise_if_bug(error)
                return dict.fromkeys(task.requests, FitResult(error=f"{type(error).__name__}: {error}"))
            done = self._do(task, task.stages, prepared, pool)
            came: dict[int | None, JobResult] = dict.fromkeys(task.stages or (None,), done)
            if done.error and len(came) > 1:
                # Perhaps one of them alone cannot be fitted; then it must not take the others along.
                came = {stage: self._do(task, (stage,), prepared, pool) for stage in task.stages}
        return {place: self._tell(task, place, preprocessor, came, warned) for place in task.requests}

    def _do(self, task: Task, stages: tuple[int, ...], prepared: Any, pool: Pool) -> JobResult:
        job = Job(
            task.fit.parts.classifier,
            task.fit.stage[0] if task.fit.stage else None,
            stages,
            tuple(task.rows),
            keep_model=any(request.keep_model or request.candidate_fold for request in task.requests.values()),
            n_threads=1 if pool is self._elsewhere else self._n_threads(task),
            begun=self._model_cache.begun(task.fit, stages[-1]) if stages else None,
        )
        try:
            done: JobResult = pool.run(do if pool is self._threads else do_apart, job, prepared)
        except WorkerLostError as error:
            return JobResult(error=str(error))
        for category, message in done.warnings:
            warnings.warn(message, category, stacklevel=2)
        return done

    def _tell(
        self, task: Task, place: int, preprocessor: Any, came: Mapping[int | None, JobResult], warned: Sequence[Warned]
    ) -> FitResult:
        """Make the answer to one ask of a task, written down before anybody hears of it."""
        request, fit = task.requests[place], task.fits[place]
        done = came[_stage(fit)]
        sharing = [stage for stage, other in came.items() if other is done]
        fit_seconds, predict_seconds = done.fit_seconds / len(sharing), done.predict_seconds / len(sharing)
        if done.error:
            return FitResult(fit_seconds=fit_seconds, error=done.error)
        said = done.predictions[sharing.index(_stage(fit))]
        seconds = {"fit_seconds": fit_seconds, "predict_seconds": predict_seconds}
        self.fit_cache.put(fit.key, said, warnings=warned, **seconds)
        with self._lock:
            self._own.add(fit.key)
            self._model_cache.seconds_fitting += fit_seconds
        model = None
        if request.keep_model or request.candidate_fold:
            classifier = done.model if fit.stage is None else truncated(done.model, fit.stage[1])
            model = fit.parts.assemble(preprocessor, classifier)
        if request.keep_model:
            self._model_cache.write(fit.key, model)
        predictions = tuple(said[rows.digest] for rows in request.predict)
        fit_result = FitResult(predictions, model if request.keep_model else None, fit_seconds, predict_seconds)
        if request.candidate_fold and request.candidate_fold.leaderboard.enter(
            request.candidate_fold, fit_result, CachedModel(fit, model, is_truncated=_stage(fit) != sharing[-1])
        ):
            self._model_cache.write_affordable(request.candidate_fold.leaderboard)
        return fit_result

    def _n_threads(self, task: Task) -> int:
        """Share the cores: a histogram booster would otherwise take them all, beside the other fits."""
        if len(task.request.train) < ROWS_WORTH_THREADS:
            return 1
        return max(1, cores() // max(1, min(self._line.slots, len(self._line))))


def _stage(fit: FitKey) -> int | None:
    return None if fit.stage is None else fit.stage[1]


def _key(fit: FitKey | None) -> str:
    return "" if fit is None else fit.key
