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

from mlwf.engine.fit_cache import FitRecord
from mlwf.engine.fit_key import Fit, Identifier
from mlwf.engine.model_cache import Kept, Shelf
from mlwf.engine.prepared_folds import Fold, Folds
from mlwf.engine.process_pools import Pool, ProcessPool, ThreadPool, WorkerLostError
from mlwf.engine.requests import LATE, Answer, Ask
from mlwf.engine.scheduling import RELEASES_GIL, Line, Task, UnderWay, sort_tasks
from mlwf.engine.staged_ensembles import truncated
from mlwf.engine.work import (
    BLAS,
    ROWS_WORTH_THREADS,
    Done,
    Job,
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
from mlwf.results import Tally
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
        record: FitRecord | None = None,
        pool: Pool | None = None,
        on_fit: OnFit | None = None,
        on_warning: Callable[[str, str], None] | None = None,
    ) -> None:
        self.table = table
        self.tally = Tally()
        self._held = ExitStack()
        lasts = record is not None
        if record is None:
            record = FitRecord(Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="mlwf-fits-"))))
        self.record = record
        self._shelf = Shelf(record, lasts=lasts)
        self._identifier = Identifier()
        self._own: set[str] = set()
        self._on_fit = on_fit
        self._on_warning = on_warning
        self._lock = threading.Lock()
        self._calls = itertools.count()
        self._under_way = UnderWay()
        self._folds = Folds()
        self._elsewhere = pool
        self._hire(n_jobs)

    def __call__(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answer the asks, in their order."""
        fits = {place: self._identifier.identify(ask, self.table) for place, ask in enumerate(asks)}
        answers: dict[int, Answer] = {}
        while left := {place: ask for place, ask in enumerate(asks) if place not in answers}:
            with self._under_way.claimed({place: fits[place] for place in left}) as mine:
                answers |= self._answers({place: left[place] for place in mine}, fits)
        for contest in {ask.entry.contest for ask in asks if ask.entry}:
            self._shelf.hold(contest)
        with self._lock:
            self.tally.asked += len(asks)
        return [answers[place] for place in range(len(asks))]

    def _answers(self, asks: Mapping[int, Ask], fits: Mapping[int, Fit | None]) -> dict[int, Answer]:
        answers = self._look_up(asks, fits)
        tasks = sort_tasks({place: ask for place, ask in asks.items() if place not in answers}, fits, self.table)
        folds, pools = self._folds.gather(tasks), self._pools(tasks)
        call = next(self._calls)
        # Those asked first come first, so that few folds are held.
        futures = [
            self._line.put((call, task.turn), partial(self._answer, task, folds.get(task), pools[task]))
            for task in tasks
        ]
        for future in futures:
            answers |= future.result()
        return answers

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
            self.record.prune()
        self._held.close()

    def _hire(self, n_jobs: int) -> None:
        self._threads = ThreadPool(count_workers(n_jobs))
        self._processes: Pool | None = None
        self._line = Line((self._elsewhere or self._threads).slots)

    def _pools(self, tasks: Sequence[Task]) -> dict[Task, Pool]:
        """Choose where each task runs."""
        near: Pool = self._threads
        sent = [task for task in tasks if task.fits and task.seconds >= SECONDS_WORTH_SENDING]
        if self._elsewhere is not None:
            far = self._elsewhere
        else:
            sent = [task for task in sent if type(task.fit.parts.classifier) not in RELEASES_GIL]
            is_worth_it = self._line.slots > 1 and sum(task.seconds for task in sent) > SECONDS_WORTH_PROCESSES
            far = self._started_processes() if is_worth_it else near
        return dict.fromkeys(tasks, near) | dict.fromkeys(sent, far)

    def _started_processes(self) -> Pool:
        with self._lock:
            self._processes = self._processes or ProcessPool(self._line.slots)
            return self._processes

    def _look_up(self, asks: Mapping[int, Ask], fits: Mapping[int, Fit | None]) -> dict[int, Answer]:
        answers = {}
        for place, ask in asks.items():
            fit = fits[place]
            if fit is not None and (answer := self._known(ask, fit)) is not None:
                answers[place] = answer
                if ask.entry:
                    ask.entry.contest.enter(ask.entry, answer)
        with self._lock:
            self.tally.recorded += sum(1 for place in answers if _key(fits[place]) not in self._own)
        return answers

    def _known(self, ask: Ask, fit: Fit) -> Answer | None:
        """Answer from the record, or with a model that was fitted before; None when that takes a fit."""
        digests = [rows.digest for rows in ask.predict]
        found = self.record.find(fit.key, digests)
        if found is not None and self._on_warning is not None:
            for warned in found.warnings:
                self._on_warning(*warned)
        if found is not None and not ask.keep_model:
            return Answer(found.predictions, None, found.fit_seconds, found.predict_seconds, reused=True)
        model = self._shelf.find(fit.key)
        if model is None:
            return None
        kept = model if ask.keep_model else None
        if found is not None:
            return Answer(found.predictions, kept, found.fit_seconds, found.predict_seconds, reused=True)
        with openmp_threads(1):
            said = {rows.digest: predict(model, fit.table.X_of(rows)) for rows in ask.predict}
        self.record.put(fit.key, said, fit_seconds=0.0, predict_seconds=0.0)
        return Answer(tuple(said[digest] for digest in digests), kept, reused=True)

    def _answer(self, task: Task, fold: Fold | None, pool: Pool) -> dict[int, Answer]:
        """Do a task: fit, write down, and tell."""
        if task.deadline is not None and monotonic() >= task.deadline:
            answers = dict.fromkeys(task.asks, Answer(error=LATE, is_late=True))
        elif fold is None:
            with openmp_threads(self._n_threads(task)):
                answers = {place: fit_one(self.table, ask) for place, ask in task.asks.items()}
        else:
            answers = self._fitted(task, fold, pool)
        if fold is not None:
            self._folds.release(fold)
        for place, ask in task.asks.items():
            if ask.entry and (fold is None or answers[place].error):
                ask.entry.contest.enter(ask.entry, answers[place])
        if not all(answer.is_late for answer in answers.values()):
            with self._lock:
                self.tally.fitted += 1
            if self._on_fit is not None:
                self._on_fit(task.seconds)
        return answers

    def _fitted(self, task: Task, fold: Fold, pool: Pool) -> dict[int, Answer]:
        with recorded() as warned:
            try:
                preprocessor, prepared = fold.prepared(pool)
            except Exception as error:
                raise_if_bug(error)
                return dict.fromkeys(task.asks, Answer(error=f"{type(error).__name__}: {error}"))
            done = self._do(task, task.stages, prepared, pool)
            came: dict[int | None, Done] = dict.fromkeys(task.stages or (None,), done)
            if done.error and len(came) > 1:
                # Perhaps one of them alone cannot be fitted; then it must not take the others along.
                came = {stage: self._do(task, (stage,), prepared, pool) for stage in task.stages}
        return {place: self._tell(task, place, preprocessor, came, warned) for place in task.asks}

    def _do(self, task: Task, stages: tuple[int, ...], prepared: Any, pool: Pool) -> Done:
        job = Job(
            task.fit.parts.classifier,
            task.fit.stage[0] if task.fit.stage else None,
            stages,
            tuple(task.rows),
            keep_model=any(ask.keep_model or ask.entry for ask in task.asks.values()),
            n_threads=1 if pool is self._elsewhere else self._n_threads(task),
            begun=self._shelf.begun(task.fit, stages[-1]) if stages else None,
        )
        try:
            done: Done = pool.run(do if pool is self._threads else do_apart, job, prepared)
        except WorkerLostError as error:
            return Done(error=str(error))
        for category, message in done.warnings:
            warnings.warn(message, category, stacklevel=2)
        return done

    def _tell(
        self, task: Task, place: int, preprocessor: Any, came: Mapping[int | None, Done], warned: Sequence[Warned]
    ) -> Answer:
        """Make the answer to one ask of a task, written down before anybody hears of it."""
        ask, fit = task.asks[place], task.fits[place]
        done = came[_stage(fit)]
        sharing = [stage for stage, other in came.items() if other is done]
        fit_seconds, predict_seconds = done.fit_seconds / len(sharing), done.predict_seconds / len(sharing)
        if done.error:
            return Answer(fit_seconds=fit_seconds, error=done.error)
        said = done.predictions[sharing.index(_stage(fit))]
        seconds = {"fit_seconds": fit_seconds, "predict_seconds": predict_seconds}
        self.record.put(fit.key, said, warnings=warned, **seconds)
        with self._lock:
            self._own.add(fit.key)
            self._shelf.seconds_fitting += fit_seconds
        model = None
        if ask.keep_model or ask.entry:
            classifier = done.model if fit.stage is None else truncated(done.model, fit.stage[1])
            model = fit.parts.assemble(preprocessor, classifier)
        if ask.keep_model:
            self._shelf.write(fit.key, model)
        predictions = tuple(said[rows.digest] for rows in ask.predict)
        answer = Answer(predictions, model if ask.keep_model else None, fit_seconds, predict_seconds)
        if ask.entry and ask.entry.contest.enter(
            ask.entry, answer, Kept(fit, model, is_cut=_stage(fit) != sharing[-1])
        ):
            self._shelf.write_affordable(ask.entry.contest)
        return answer

    def _n_threads(self, task: Task) -> int:
        """Share the cores: a histogram booster would otherwise take them all, beside the other fits."""
        if len(task.ask.train) < ROWS_WORTH_THREADS:
            return 1
        return max(1, cores() // max(1, min(self._line.slots, len(self._line))))


def _stage(fit: Fit) -> int | None:
    return None if fit.stage is None else fit.stage[1]


def _key(fit: Fit | None) -> str:
    return "" if fit is None else fit.key
