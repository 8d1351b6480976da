"""The fitter that makes no fit twice: the results of scikit-learn's own `fit`, to the last bit, from fewer fits."""

from __future__ import annotations

import copy
import gc
import itertools
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from mlwf.engine.costs import RunTime
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey, FitKeyBuilder
from mlwf.engine.model_cache import CachedModel, ModelCache
from mlwf.engine.prepared_folds import PreparedFold, PreparedFolds
from mlwf.engine.process_pools import CallInterruptedError, Pool, ProcessPool, ThreadPool, WorkerLostError
from mlwf.engine.requests import LATE_RESULT, FitRequest, FitResult
from mlwf.engine.scheduling import InFlightFits, PriorityExecutor, Task, group_requests, group_tasks, releases_gil
from mlwf.engine.staged_ensembles import truncated
from mlwf.engine.time_keeping import TimeKeeper
from mlwf.engine.votes import fit_votes
from mlwf.engine.work import (
    BLAS,
    ROWS_WORTH_THREADS,
    Job,
    JobResult,
    PreparedRows,
    fit_whole_pipeline,
    openmp_threads,
    run_job,
    run_job_in_worker,
)
from mlwf.errors import raise_if_bug
from mlwf.evaluation.predictions import predict
from mlwf.processes import DISPLAY, SharedState, Warned, cores, count_workers, recorded_warnings
from mlwf.results import FitCounts
from mlwf.splitting.rows import Table

SECONDS_WORTH_PROCESSES = 30.0
"""From how many seconds of fits on processes are started, where fits keep the GIL: to start two takes five of CPU."""
SHARE_FOR_PROCESSES = 0.25
"""Of the time that is left, how much may count in that."""
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
"""Boosters make and drop objects by the million; the garbage collector need not look through older ones."""

OnFit = Callable[[float], None]
"""Called after each fit, with the seconds that such a fit takes, roughly."""


class Engine:
    """Make the fits on one table, each distinct fit once; may be called from several threads.

    - What the fit cache has is not fitted again, whether this run put it there or an earlier one.
    - Candidates that differ only in the number of boosting rounds or trees are read off one fit.
    - A booster of which more rounds are requested while its model is in memory is resumed.
    - The rows of a fold are prepared once for all candidates that prepare them alike.
    - Of a search only the fold models of the best candidate are kept.

    What cannot be taken apart, or gives other bits each time, is fitted as a clone of the whole pipeline.

    Parameters
    ----------
    table
        The rows that requests name, unless they bring a table of their own.
    n_jobs
        Fits at the same time, as scikit-learn counts them.
    fit_cache
        Where results are kept; without one they last until the engine is closed.
    pool
        Where fits run; by default in threads, or in processes where those are worth their start.
    on_fit
        Called after each fit, from the threads that do them.
    on_warning
        Called with the category and the message of what an earlier fit warned of, when its result is used again.
    run_time
        The time of the run, which is told what each fit took.
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
        run_time: RunTime | None = None,
    ) -> None:
        self.table = table
        self.run_time = run_time or RunTime()
        self.counts = FitCounts()
        self._resources = ExitStack()
        lasts = fit_cache is not None
        if fit_cache is None:
            # After an error fits that have begun still write there, while it is removed.
            folder = tempfile.TemporaryDirectory(prefix="mlwf-fits-", ignore_cleanup_errors=True)
            fit_cache = FitCache(Path(self._resources.enter_context(folder)))
        self.fit_cache = fit_cache
        self._model_cache = ModelCache(fit_cache, lasts=lasts, run_time=self.run_time)
        self._key_builder = FitKeyBuilder()
        self._own: set[str] = set()
        self._on_fit = on_fit
        self._on_warning = on_warning
        self._lock = threading.Lock()
        self._calls = itertools.count()
        self._in_flight = InFlightFits()
        self._folds = PreparedFolds(fit_cache.folder)
        self._given_pool = pool
        self._set_up_workers(n_jobs)

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Give the results of the requests, in their order."""
        return fit_votes(requests, self._fit_all)

    def _fit_all(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        fit_keys = {place: self._key_builder.identify(request, self.table) for place, request in enumerate(requests)}
        fit_results: dict[int, FitResult] = {}
        while left := {place: request for place, request in enumerate(requests) if place not in fit_results}:
            with self._in_flight.claimed({place: fit_keys[place] for place in left}) as mine:
                fit_results |= self._run({place: left[place] for place in mine}, fit_keys)
        for leaderboard in {request.candidate_fold.leaderboard for request in requests if request.candidate_fold}:
            self._model_cache.keep(leaderboard)
        with self._lock:
            self.counts.asked += len(requests)
        return [fit_results[place] for place in range(len(requests))]

    def _run(self, requests: Mapping[int, FitRequest], fit_keys: Mapping[int, FitKey | None]) -> dict[int, FitResult]:
        fit_results = self._look_up(requests, fit_keys)
        tasks = group_requests(
            {place: request for place, request in requests.items() if place not in fit_results}, fit_keys, self.table
        )
        group_tasks(tasks)
        folds, pools = self._folds.gather(tasks), self._pools(tasks)
        call = next(self._calls)
        # What was requested first is fitted first, so that few folds are in memory.
        places = {task: tuple(task.requests) for task in tasks}
        # In the order of their ranks, since an idle thread takes the first one at once.
        futures = {
            task: self._queue.put(
                (_turn(task, call), task.rank), partial(self._do_task, task, folds.get(task), pools[task])
            )
            for task in sorted(tasks, key=lambda task: task.rank)
        }
        for task, future in futures.items():
            self._time.wait_for(task, future, futures)
            fit_results |= dict.fromkeys(places[task], LATE_RESULT) if task.is_given_up else future.result()
        return fit_results

    @property
    def slots(self) -> int:
        """Fits at the same time."""
        return self._queue.slots

    def find_model(self, request: FitRequest) -> Any:
        """Give the model of a fit that was made before and is kept; None where that would take a fit."""
        fit_key = self._key_builder.identify(request, self.table)
        return None if fit_key is None else self._model_cache.find(fit_key.key)

    def until(self, ends: float) -> Engine:
        """Make an engine that shares all with this one; what it has not done at that reading of `monotonic` is late."""
        other = copy.copy(self)
        other._time = self._time.until(ends)
        return other

    def with_jobs(self, n_jobs: int) -> Engine:
        """Make an engine that shares all with this one but the number of fits at the same time.

        Closing it also frees the prepared rows that both share.
        """
        other = copy.copy(self)
        other._resources = ExitStack()
        other._set_up_workers(n_jobs)
        return other

    def close(self, *, wait: bool = True) -> None:
        """End the workers; fits that have not begun are dropped."""
        if not wait:
            self._folds.interrupt()
        if not wait and self._processes is not None:
            self._processes.close(wait=False)
        self._queue.close(wait=wait)
        if wait:
            self._folds.close()
        if wait and self._processes is not None:
            self._processes.close()

    def __enter__(self) -> Engine:
        for state in (DISPLAY, BLAS, COLLECTOR):
            self._resources.enter_context(state.held())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)
        if kind is None:
            self.fit_cache.prune()
        self._resources.close()

    def _set_up_workers(self, n_jobs: int) -> None:
        self._threads = ThreadPool(count_workers(n_jobs))
        self._processes: Pool | None = None
        self._queue = PriorityExecutor((self._given_pool or self._threads).slots)
        self._time = TimeKeeper(self.run_time.costs, self._queue, self._threads)

    def _pools(self, tasks: Sequence[Task]) -> dict[Task, Pool]:
        """Choose where each task runs."""
        local: Pool = self._threads
        sent = [task for task in tasks if task.fit_keys and task.seconds >= SECONDS_WORTH_SENDING]
        if self._given_pool is not None:
            remote = self._given_pool
        else:
            sent = [task for task in sent if not releases_gil(task.fit_key.parts.classifier)]
            # On a busy machine they take long to start.
            left = min((self._time.left_for(task) for task in sent), default=0.0) * self._queue.slots
            seconds = min(SHARE_FOR_PROCESSES * left, sum(task.seconds for task in sent))
            is_worth_it = self._queue.slots > 1 and seconds > SECONDS_WORTH_PROCESSES
            remote = self._started_processes() if is_worth_it else local
        return dict.fromkeys(tasks, local) | dict.fromkeys(sent, remote)

    def _started_processes(self) -> Pool:
        with self._lock:
            self._processes = self._processes or ProcessPool(self._queue.slots)
            return self._processes

    def _look_up(
        self, requests: Mapping[int, FitRequest], fit_keys: Mapping[int, FitKey | None]
    ) -> dict[int, FitResult]:
        fit_results = {}
        for place, request in requests.items():
            fit_key = fit_keys[place]
            if fit_key is not None and (fit_result := self._find(request, fit_key)) is not None:
                fit_results[place] = fit_result
                if request.candidate_fold:
                    request.candidate_fold.leaderboard.enter(request.candidate_fold, fit_result)
        with self._lock:
            self.counts.recorded += sum(1 for place in fit_results if _key(fit_keys[place]) not in self._own)
        return fit_results

    def _find(self, request: FitRequest, fit_key: FitKey) -> FitResult | None:
        """Give a result from the fit cache, or from a model that was fitted before; None when that takes a fit."""
        digests = [rows.digest for rows in request.predict]
        found = self.fit_cache.find(fit_key.key, digests)
        if found is not None and self._on_warning is not None:
            for warned in found.warnings:
                self._on_warning(*warned)
        if found is not None and not request.keep_model:
            return FitResult(found.predictions, None, found.fit_seconds, found.predict_seconds, reused=True)
        model = self._model_cache.find(fit_key.key)
        if model is None:
            return None
        kept = model if request.keep_model else None
        if found is not None:
            return FitResult(found.predictions, kept, found.fit_seconds, found.predict_seconds, reused=True)
        with openmp_threads(1):
            predictions = {rows.digest: predict(model, fit_key.table.X_of(rows)) for rows in request.predict}
        self.fit_cache.put(fit_key.key, predictions, fit_seconds=0.0, predict_seconds=0.0)
        return FitResult(tuple(predictions[digest] for digest in digests), kept, reused=True)

    def _do_task(self, task: Task, fold: PreparedFold | None, pool: Pool) -> dict[int, FitResult]:
        """Make a fit, put it into the cache, and give the results of its requests."""
        fit_results = dict.fromkeys(task.requests, LATE_RESULT)
        prepare = None if fold is None else partial(_prepared_here, fold, self._threads)
        # Another machine's memory is not known here.
        is_here = fold is not None and pool is not self._given_pool
        room = self._folds.room_for(fold) if fold is not None and is_here else nullcontext()
        with suppress(CallInterruptedError), room, self._time.under_way(task, pool):
            if self._time.drop_late(task, prepare):
                fit_results |= self._fit_whole(task) if fold is None else self._fit(task, fold, pool)
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

    def _fit_whole(self, task: Task) -> dict[int, FitResult]:
        with openmp_threads(self._n_threads(task)):
            fit_results = {
                place: self._threads.run(fit_whole_pipeline, self.table, request)
                for place, request in task.requests.items()
            }
        task.begin_writing()
        for fit_result in fit_results.values():
            self._record_cost(task, fit_result)
        return fit_results

    def _fit(self, task: Task, fold: PreparedFold, pool: Pool) -> dict[int, FitResult]:
        with recorded_warnings() as warned:
            try:
                preprocessor, prepared = self._prepare(fold, pool)
            except Exception as error:
                raise_if_bug(error)
                return dict.fromkeys(task.requests, FitResult(error=f"{type(error).__name__}: {error}"))
            done = self._do(task, task.stages, prepared, pool)
            by_stage: dict[int | None, JobResult] = dict.fromkeys(task.stages or (None,), done)
            if done.error and len(by_stage) > 1:
                # Perhaps one of them alone cannot be fitted; then it must not take the others along.
                by_stage = {stage: self._do(task, (stage,), prepared, pool) for stage in task.stages}
        task.begin_writing()
        written = perf_counter()
        fit_results = {place: self._result(task, place, preprocessor, by_stage, warned) for place in task.requests}
        if not done.is_resumed:
            self._record_cost(task, done, perf_counter() - written)
        return fit_results

    def _prepare(self, fold: PreparedFold, pool: Pool) -> tuple[Any, Any]:
        started = perf_counter()
        is_new = not fold.is_prepared
        prepared: tuple[Any, Any] = self._threads.run(fold.prepared, pool)
        if is_new:
            self.run_time.costs.record_preparing(fold.n_cells, perf_counter() - started)
        return prepared

    def _do(self, task: Task, stages: tuple[int, ...], prepared: Any, pool: Pool) -> JobResult:
        job = Job(
            task.fit_key.parts.classifier,
            task.fit_key.stage[0] if task.fit_key.stage else None,
            stages,
            tuple(task.rows),
            keep_model=any(request.keep_model or request.candidate_fold for request in task.requests.values()),
            n_threads=1 if pool is self._given_pool else self._n_threads(task),
            resumable=self._model_cache.find_resumable(task.fit_key, stages[-1]) if stages else None,
        )
        try:
            done: JobResult = pool.run(run_job if pool is self._threads else run_job_in_worker, job, prepared)
        except WorkerLostError as error:
            return JobResult(error=str(error))
        for category, message in done.warnings:
            warnings.warn(message, category, stacklevel=2)
        return done

    def _result(
        self,
        task: Task,
        place: int,
        preprocessor: Any,
        by_stage: Mapping[int | None, JobResult],
        warned: Sequence[Warned],
    ) -> FitResult:
        """Make the result of one request of a task, and put it into the cache first."""
        request, fit_key = task.requests[place], task.fit_keys[place]
        done = by_stage[_stage(fit_key)]
        sharing = [stage for stage, other in by_stage.items() if other is done]
        fit_seconds, predict_seconds = done.fit_seconds / len(sharing), done.predict_seconds / len(sharing)
        if done.error:
            return FitResult(fit_seconds=fit_seconds, error=done.error)
        predictions = done.predictions[sharing.index(_stage(fit_key))]
        seconds = {"fit_seconds": fit_seconds, "predict_seconds": predict_seconds}
        self.fit_cache.put(fit_key.key, predictions, warnings=warned, **seconds)
        with self._lock:
            self._own.add(fit_key.key)
            self._model_cache.seconds_fitting += fit_seconds
        model = None
        if request.keep_model or request.candidate_fold:
            classifier = done.model if fit_key.stage is None else truncated(done.model, fit_key.stage[1])
            model = fit_key.parts.assemble(preprocessor, classifier)
        if request.keep_model:
            self._model_cache.write(fit_key, model)
        requested = tuple(predictions[rows.digest] for rows in request.predict)
        fit_result = FitResult(requested, model if request.keep_model else None, fit_seconds, predict_seconds)
        if request.candidate_fold and request.candidate_fold.leaderboard.enter(
            request.candidate_fold, fit_result, CachedModel(fit_key, model, is_truncated=_stage(fit_key) != sharing[-1])
        ):
            self._model_cache.write_affordable(request.candidate_fold.leaderboard)
        return fit_result

    def _record_cost(self, task: Task, done: JobResult | FitResult, seconds: float = 0.0) -> None:
        """Record what a fit took, with its predictions and the seconds that were spent on its results."""
        if done.error is None:
            seconds += done.fit_seconds + done.predict_seconds
            self.run_time.costs.record(task.classifier, task.seconds, seconds, learner=task.learner)

    def _n_threads(self, task: Task) -> int:
        """Share the cores: a histogram booster would otherwise take them all, beside the other fits."""
        if len(task.request.train) < ROWS_WORTH_THREADS:
            return 1
        return max(1, cores() // max(1, min(self._queue.slots, len(self._queue))))


def _prepared_here(fold: PreparedFold, threads: ThreadPool) -> PreparedRows:
    prepared: PreparedRows = fold.prepared(threads)[1]
    return prepared


def _turn(task: Task, call: int) -> int:
    """Give the number of the call whose tasks a task takes turns with: searches that share their time are as one."""
    if task.group is None:
        return call
    if task.group.time.turn is None:
        task.group.time.turn = call
    return task.group.time.turn


def _stage(fit_key: FitKey) -> int | None:
    return None if fit_key.stage is None else fit_key.stage[1]


def _key(fit_key: FitKey | None) -> str:
    return "" if fit_key is None else fit_key.key
