"""The fitter that fits nothing: it counts what the engine would do, by the engine's own rules."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey, FitKeyBuilder
from mlwf.engine.requests import FitRequest, FitResult
from mlwf.engine.scheduling import Task, sort_tasks
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.scoring import PrecomputedClassifier
from mlwf.results import FitCounts
from mlwf.splitting.rows import Rows, Table


class DryRunFitter:
    """Answer what the record has, and everything else with placeholders; count the fits that the engine would make.

    Which candidate of a search is the best cannot be known before it is done: what depends on that is counted as for
    another candidate of the same size.
    """

    def __init__(self, table: Table, *, fit_cache: FitCache | None = None) -> None:
        self.table = table
        self.counts = FitCounts()
        self.seconds = 0.0
        """What the fits take on one core, roughly."""
        self._fit_cache = fit_cache
        self._key_builder = FitKeyBuilder()
        self._made: dict[str, set[str]] = {}
        self._models: set[str] = set()
        self._said: dict[tuple[Any, ...], Predictions] = {}
        self._lock = threading.Lock()

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Answer the asks, in their order; may be called from several threads."""
        fits = {place: self._key_builder.identify(request, self.table) for place, request in enumerate(requests)}
        with self._lock:
            fit_results = {place: self._known(requests[place], fit) for place, fit in fits.items() if fit}
            left = {place: request for place, request in enumerate(requests) if fit_results.get(place) is None}
            tasks = sort_tasks(left, fits, self.table)
            self.counts.asked += len(requests)
            self.counts.fitted += len(tasks)
            self.seconds += sum(task.seconds for task in tasks)
            for task in tasks:
                self._remember(task)
        told = [fit_results.get(place) or self._placeholder(request) for place, request in enumerate(requests)]
        for place, (request, result) in enumerate(zip(requests, told, strict=True)):
            if request.candidate_fold:
                request.candidate_fold.leaderboard.enter(request.candidate_fold, result, _key(fits[place]))
        for leaderboard in {request.candidate_fold.leaderboard for request in requests if request.candidate_fold}:
            self._models |= set(leaderboard.kept)
        return told

    def _known(self, request: FitRequest, fit: FitKey) -> FitResult | None:
        digests = [rows.digest for rows in request.predict]
        found = self._fit_cache.find(fit.key, digests) if self._fit_cache else None
        is_held = fit.key in self._models or (self._fit_cache is not None and self._fit_cache.has_model(fit.key))
        if found is not None and (is_held or not request.keep_model):
            self.counts.recorded += fit.key not in self._made
            model = PrecomputedClassifier(found.predictions[0]) if request.keep_model and found.predictions else None
            return FitResult(found.predictions, model, reused=True)
        is_said = fit.key in self._made and self._made[fit.key].issuperset(digests)
        if is_held or (is_said and not request.keep_model):
            return self._placeholder(request)
        return None

    def _remember(self, task: Task) -> None:
        for place, fit in task.fits.items():
            self._made.setdefault(fit.key, set()).update(task.rows)
            if task.requests[place].keep_model:
                self._models.add(fit.key)

    def _placeholder(self, request: FitRequest) -> FitResult:
        table = self.table if request.table is None else request.table
        said = tuple(self._say(request.pipeline, rows, table.classes) for rows in request.predict)
        return FitResult(
            said, PrecomputedClassifier(said[0]) if request.keep_model and said else clone(request.pipeline)
        )

    def _say(self, pipeline: Any, rows: Rows, classes: Any) -> Predictions:
        """Say something of the right shape; of the same rows always the same object, so that it is scored once."""
        has_proba, has_decision = hasattr(pipeline, "predict_proba"), hasattr(pipeline, "decision_function")
        key = (rows.digest, tuple(classes), has_proba, has_decision)
        if key not in self._said:
            n_rows, n_classes = len(rows), len(classes)
            share = (np.arange(n_rows) % 7 + 1) / 8
            proba = np.column_stack([share, *[(1 - share) / max(1, n_classes - 1)] * (n_classes - 1)])
            decision = share - 0.5 if n_classes == 2 else proba
            self._said[key] = Predictions(
                classes,
                classes[np.arange(n_rows) % n_classes],
                proba if has_proba else None,
                decision if has_decision else None,
            )
        return self._said[key]


def _key(fit: FitKey | None) -> str | None:
    return None if fit is None else fit.key
