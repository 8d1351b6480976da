"""Which fits are made, in which order, and each once; and the fitter that only counts them, for a plan."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from mlwf.engine.costs import FitCosts, SearchTime
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey, FitKeyBuilder
from mlwf.engine.process_pools import CallInterruptedError
from mlwf.engine.requests import FitRequest, FitResult, Leaderboard, last_step
from mlwf.engine.votes import fit_votes
from mlwf.evaluation.predictions import PrecomputedClassifier, Predictions
from mlwf.results import FitCounts
from mlwf.specs.catalogue import find_algorithm
from mlwf.splitting.rows import Rows, Table


class PriorityExecutor:
    """Calls what is put in, the lowest rank first, and of equals what was put in first."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._executor = ThreadPoolExecutor(slots, thread_name_prefix="mlwf-fit")
        self._heap: list[tuple[Any, int, Callable[[], Any], Future[Any]]] = []
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._n_at_work = 0

    def put(self, rank: Any, work: Callable[[], Any]) -> Future[Any]:
        """Put in a function, and give the future of what it returns."""
        future: Future[Any] = Future()
        # Warnings of the work are recorded by the recorder of this context.
        here: Callable[[], Any] = partial(copy_context().run, work)
        with self._lock:
            heapq.heappush(self._heap, (rank, next(self._turn), here, future))
            # Whichever thread is free next takes what then stands first.
            self._executor.submit(self._take)
        return future

    def replace_threads(self) -> None:
        """Leave what is being called to its threads, however long that takes, and call what waits in new ones."""
        with self._lock:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = ThreadPoolExecutor(self.slots, thread_name_prefix="mlwf-fit")
            for _ in self._heap:
                self._executor.submit(self._take)

    def __len__(self) -> int:
        """Count what waits or is being called."""
        return len(self._heap) + self._n_at_work

    def close(self, *, wait: bool = True) -> None:
        """Call no more: what has begun is waited for, if `wait`, and what has not is cancelled."""
        self._executor.shutdown(wait=wait, cancel_futures=True)
        with self._lock:
            left, self._heap = self._heap, []
        for *_, future in left:
            future.cancel()
            # Without it `concurrent.futures.wait` would wait for what is cancelled.
            future.set_running_or_notify_cancel()

    def _take(self) -> None:
        with self._lock:
            if not self._heap:
                return
            *_, work, future = heapq.heappop(self._heap)
            self._n_at_work += 1
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self._lock:
                self._n_at_work -= 1


class InFlightFits:
    """Knows which fits some thread is making, and lets other threads wait for them."""

    def __init__(self) -> None:
        self._claims: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    @contextmanager
    def claimed(self, fit_keys: Mapping[int, FitKey | None]) -> Iterator[list[int]]:
        """Claim the fits that no other thread makes, and give their places; afterwards wait for the others.

        A thread makes its own fits before it waits, so that no two wait for each other.
        """
        done = threading.Event()
        keys = {fit_key.key for fit_key in fit_keys.values() if fit_key is not None}
        with self._lock:
            others = {key: self._claims[key] for key in keys if key in self._claims}
            own = keys - others.keys()
            self._claims |= dict.fromkeys(own, done)
        try:
            yield [place for place, fit_key in fit_keys.items() if fit_key is None or fit_key.key in own]
        finally:
            with self._lock:
                for key in own:
                    del self._claims[key]
            done.set()
        for event in others.values():
            event.wait()


LEAST_SECONDS = 1e-3


def estimate_seconds(classifier: Any, n_rows: int, n_columns: int, n_classes: int) -> float:
    """Estimate the seconds of one fit on one core of a machine of today, within a factor of three or so.

    Of an unknown class, and of values that only the fit will refuse, it is the least that a fit takes.
    """
    info = find_algorithm(classifier)
    if info is None:
        return LEAST_SECONDS
    # One set of trees, or one column of coefficients, serves two classes.
    n_outputs = n_classes if n_classes > 2 else 1
    try:
        return LEAST_SECONDS + float(info.seconds(classifier, n_rows, n_columns, n_outputs))
    except (TypeError, ValueError, ArithmeticError):
        return LEAST_SECONDS


def releases_gil(classifier: Any) -> bool:
    """Tell whether two threads fit nearly twice as many of a classifier as one; of others they fit hardly more."""
    info = find_algorithm(classifier)
    return info is not None and info.releases_gil


@dataclass(eq=False)
class Task:
    """One fit, and the requests that it serves."""

    requests: dict[int, FitRequest]
    """By their place among those that came together."""
    fit_keys: dict[int, FitKey]
    """What identifies each; empty for a plain fit."""
    seconds: float
    """What it takes, roughly."""
    rows: dict[str, Rows] = field(default_factory=dict)
    """All rows to predict, by their digest."""
    group: CandidateGroup | None = None
    """The tasks that are begun with it or not at all; None outside of a search whose time is limited."""
    lock: Any = field(default_factory=threading.Lock, repr=False)
    """Held while its results are written down, and while it is given up."""
    is_written: bool = False
    """Whether its results are there, and being written down."""
    is_given_up: bool = False
    """Whether nobody waits for it any more."""

    @property
    def fit_key(self) -> FitKey:
        """What its requests have in common: everything but the stage."""
        return next(iter(self.fit_keys.values()))

    @property
    def request(self) -> FitRequest:
        """One of its requests."""
        return next(iter(self.requests.values()))

    @property
    def classifier(self) -> Any:
        """The unfitted classifier, at whichever stage."""
        return self.fit_key.parts.classifier if self.fit_keys else last_step(self.request.pipeline)[1]

    @property
    def learner(self) -> str | None:
        """Identifies the classifier with its hyperparameters, whatever its stage; None for a plain fit."""
        return self.fit_key.parts.learner(self.fit_key.stage) if self.fit_keys else None

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that are requested, ascending; none where there is no stage parameter."""
        return tuple(sorted({fit_key.stage[1] for fit_key in self.fit_keys.values() if fit_key.stage}))

    def predict_seconds(self, costs: FitCosts | None) -> float:
        """Predict what it takes, from what other fits took; `seconds` without costs."""
        if costs is None:
            return self.seconds
        return costs.predict(self.classifier, self.seconds, learner=self.learner)

    @property
    def rank(self) -> tuple[float, ...]:
        """Its rank among those that came together, the lowest first: the longest, so that none is left at the end.

        Where the time may run out candidates come one after another, so that those begun are complete; the cheapest
        first, where it is known how much time there is, and of several searches one candidate of each in turn.
        """
        if self.group is not None:
            return (self.group.place, self.group.estimated, self.candidate, -self.seconds)
        if self.deadline is None:
            return (0, -self.seconds)
        return (self.candidate, -self.seconds)

    @property
    def candidate(self) -> int:
        """The first candidate of a search that it serves; 0 outside of one."""
        folds = [request.candidate_fold for request in self.requests.values()]
        return min((fold.candidate for fold in folds if fold), default=0)

    def begin_writing(self) -> None:
        """From now on its results are waited for; raises CallInterruptedError when nobody waits any more."""
        with self.lock:
            if self.is_given_up:
                raise CallInterruptedError
            self.is_written = True

    @property
    def n_folds_to_come(self) -> int:
        """Folds of its candidates from its own on."""
        folds = [request.candidate_fold for request in self.requests.values()]
        return max((fold.leaderboard.n_folds - fold.fold for fold in folds if fold), default=1)

    def keep(self, places: Sequence[int]) -> None:
        """Serve these requests alone: a fit with fewer stages takes less time."""
        most = self.stages[-1:]
        self.requests = {place: self.requests[place] for place in places}
        self.fit_keys = {place: self.fit_keys[place] for place in places if place in self.fit_keys}
        if most and self.stages:
            self.seconds *= self.stages[-1] / most[0]

    @property
    def deadline(self) -> float | None:
        """When it need not be begun any more; None while any of its requests can wait."""
        deadlines = [request.deadline for request in self.requests.values() if request.deadline is not None]
        return max(deadlines) if len(deadlines) == len(self.requests) else None


@dataclass(eq=False)
class CandidateGroup:
    """Tasks of one search that are begun together or not at all: the folds of candidates that share their fits."""

    time: SearchTime
    tasks: list[Task]
    place: int = 0
    """Its number among the groups of its search, the cheapest first."""
    most: int | None = None
    """Up to which stage there is time for; None for all."""
    is_refused: bool = False
    """Whether there is no time for any of its candidates."""
    is_decided: bool = False
    """Whether it is known what there is time for."""
    lock: Any = field(default_factory=threading.Lock, repr=False)

    @property
    def estimated(self) -> float:
        """What its longest task takes, roughly."""
        return max(task.seconds for task in self.tasks)

    def decide(self, costs: FitCosts, *, slots: int, busy_seconds: float) -> None:
        """Decide how many of its stages there is time for, or that there is none.

        `busy_seconds` are those that fits under way still take, together.
        """
        self.is_decided = True
        fair_seconds = self.time.fair_seconds
        self.time.n_undecided -= 1
        seconds = [task.predict_seconds(costs) for task in self.tasks]
        # Folds that are requested later belong to the candidates as well.
        n_fits = max(len(seconds), max(task.n_folds_to_come for task in self.tasks))
        needed = max(max(seconds), (sum(seconds) / len(seconds) * n_fits + busy_seconds) / slots)
        stages = sorted({stage for task in self.tasks for stage in task.stages}, reverse=True)
        for with_least, stage in itertools.product(self.time.levels, stages or (None,)):
            share = 1.0 if stage is None else stage / stages[0]
            # Few rounds of all candidates before many of one.
            if stage != min(stages, default=None) and share * needed > fair_seconds:
                continue
            if self.time.may_begin(share * needed, *self._candidate(stage), with_least=with_least):
                self.most = stage
                return
        self.most = min(stages, default=None)
        self.is_refused = not self.time.begin_anyway(*self._candidate(self.most))

    def late_places(self, task: Task) -> list[int]:
        """Give the places of a task's requests that there is no time for."""
        if self.is_refused:
            return list(task.requests)
        most = self.most
        if most is None:
            return []
        return [place for place, fit_key in task.fit_keys.items() if fit_key.stage and fit_key.stage[1] > most]

    def _candidate(self, stage: int | None) -> tuple[Any, Mapping[str, Any]]:
        """Give the pipeline and the parameters of a candidate, of those with this stage."""
        requests = [
            task.requests[place]
            for task in self.tasks
            for place, fit_key in task.fit_keys.items()
            if fit_key.stage is not None and fit_key.stage[1] == stage
        ]
        request = requests[0] if requests else self.tasks[0].request
        return request.pipeline, request.params


def group_tasks(tasks: Sequence[Task]) -> None:
    """Put the tasks of a search whose time is limited into groups."""
    groups: dict[Any, CandidateGroup] = {}
    leaderboards: dict[Any, Leaderboard] = {}
    for task in tasks:
        time = task.request.search_time
        if time is not None:
            preparation = task.fit_key.parts.preparation.digest if task.fit_keys else task.candidate
            key = id(time), task.learner, preparation
            if key not in groups:
                groups[key] = CandidateGroup(time, [])
                time.n_undecided += 1
                if task.request.candidate_fold is not None:
                    leaderboards[key] = task.request.candidate_fold.leaderboard
            group = groups[key]
            group.tasks.append(task)
            task.group = group
    for key in sorted(leaderboards, key=lambda key: (groups[key].estimated, groups[key].tasks[0].candidate)):
        groups[key].place = leaderboards[key].n_groups
        leaderboards[key].n_groups += 1


def group_requests(
    requests: Mapping[int, FitRequest], fit_keys: Mapping[int, FitKey | None], table: Table
) -> list[Task]:
    """Group requests that one fit serves: those that differ only in the stage, or not at all."""
    groups: dict[str | int, list[int]] = {}
    for place in requests:
        fit_key = fit_keys[place]
        groups.setdefault(place if fit_key is None else fit_key.group, []).append(place)
    return [_task({place: requests[place] for place in places}, fit_keys, table) for places in groups.values()]


def _task(requests: dict[int, FitRequest], fit_keys: Mapping[int, FitKey | None], table: Table) -> Task:
    known = {place: fit_key for place in requests if (fit_key := fit_keys[place]) is not None}
    rows = {rows.digest: rows for request in requests.values() for rows in request.predict}
    task = Task(requests, known, 0.0, rows)
    if known:
        classifier = task.fit_key.parts.classifier
        if task.fit_key.stage is not None:
            classifier = clone(classifier).set_params(**{task.fit_key.stage[0]: task.stages[-1]})
        table = task.fit_key.table
    else:
        classifier = last_step(task.request.pipeline)[1]
    task.seconds = estimate_seconds(classifier, len(task.request.train), _n_columns(table), len(table.classes))
    return task


def _n_columns(table: Table) -> int:
    shape: Sequence[int] = table.X.shape
    return int(shape[1])


class DryRunFitter:
    """Give what the fit cache has and placeholders for the rest; count the fits that the engine would make.

    Which candidate of a search is the best cannot be known before it is done: what depends on that is counted as for
    another candidate of the same size.
    """

    def __init__(self, table: Table, *, fit_cache: FitCache | None = None, costs: FitCosts | None = None) -> None:
        self.table = table
        self.counts = FitCounts()
        self.seconds = 0.0
        """What the fits take on one core, roughly; of a fit like those that `costs` has measured, what those took."""
        self.tasks: list[Task] = []
        """All fits, in the order in which they were requested."""
        self._costs = costs
        self._fit_cache = fit_cache
        self._key_builder = FitKeyBuilder()
        self._made: dict[str, set[str]] = {}
        self._models: set[str] = set()
        self._placeholders: dict[tuple[Any, ...], Predictions] = {}
        self._lock = threading.Lock()

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Give the results of the requests, in their order; may be called from several threads."""
        return fit_votes(requests, self._fit_all)

    def _fit_all(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        fit_keys = {place: self._key_builder.identify(request, self.table) for place, request in enumerate(requests)}
        with self._lock:
            fit_results = {
                place: self._find(requests[place], fit_key) for place, fit_key in fit_keys.items() if fit_key
            }
            left = {place: request for place, request in enumerate(requests) if fit_results.get(place) is None}
            tasks = group_requests(left, fit_keys, self.table)
            self.counts.asked += len(requests)
            self.counts.fitted += len(tasks)
            self.tasks += tasks
            for task in tasks:
                self.seconds += task.predict_seconds(self._costs)
                self._remember(task)
        results = [fit_results.get(place) or self._placeholder(request) for place, request in enumerate(requests)]
        for place, (request, result) in enumerate(zip(requests, results, strict=True)):
            if request.candidate_fold:
                request.candidate_fold.leaderboard.enter(request.candidate_fold, result, _key(fit_keys[place]))
        for leaderboard in {request.candidate_fold.leaderboard for request in requests if request.candidate_fold}:
            self._models |= set(leaderboard.kept)
        return results

    def _find(self, request: FitRequest, fit_key: FitKey) -> FitResult | None:
        digests = [rows.digest for rows in request.predict]
        found = self._fit_cache.find(fit_key.key, digests) if self._fit_cache else None
        has_model = fit_key.key in self._models or (
            self._fit_cache is not None and self._fit_cache.has_model(fit_key.key)
        )
        if found is not None and (has_model or not request.keep_model):
            self.counts.recorded += fit_key.key not in self._made
            model = PrecomputedClassifier(found.predictions[0]) if request.keep_model and found.predictions else None
            return FitResult(found.predictions, model, reused=True)
        is_predicted = fit_key.key in self._made and self._made[fit_key.key].issuperset(digests)
        if has_model or (is_predicted and not request.keep_model):
            return self._placeholder(request)
        return None

    def _remember(self, task: Task) -> None:
        for place, fit_key in task.fit_keys.items():
            self._made.setdefault(fit_key.key, set()).update(task.rows)
            if task.requests[place].keep_model:
                self._models.add(fit_key.key)

    def _placeholder(self, request: FitRequest) -> FitResult:
        table = self.table if request.table is None else request.table
        predictions = tuple(self._predict(request.pipeline, rows, table.classes) for rows in request.predict)
        if not request.keep_model:
            return FitResult(predictions)
        return FitResult(predictions, PrecomputedClassifier(predictions[0]) if predictions else clone(request.pipeline))

    def _predict(self, pipeline: Any, rows: Rows, classes: Any) -> Predictions:
        """Make predictions of the right shape; for the same rows always the same object, so that it is scored once."""
        has_proba, has_decision = hasattr(pipeline, "predict_proba"), hasattr(pipeline, "decision_function")
        key = (rows.digest, tuple(classes), has_proba, has_decision)
        if key not in self._placeholders:
            n_rows, n_classes = len(rows), len(classes)
            share = (np.arange(n_rows) % 7 + 1) / 8
            proba = np.column_stack([share, *[(1 - share) / max(1, n_classes - 1)] * (n_classes - 1)])
            decision = share - 0.5 if n_classes == 2 else proba
            self._placeholders[key] = Predictions(
                classes,
                classes[np.arange(n_rows) % n_classes],
                proba if has_proba else None,
                decision if has_decision else None,
            )
        return self._placeholders[key]


def _key(fit_key: FitKey | None) -> str | None:
    return None if fit_key is None else fit_key.key
