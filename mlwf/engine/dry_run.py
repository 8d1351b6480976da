"""The fitter of `mlwf plan`: it fits nothing, and counts what the engine would fit, by the engine's own rules."""

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
    """Give what the fit cache has and placeholders for the rest; count the fits that the engine would make.

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
        self._placeholders: dict[tuple[Any, ...], Predictions] = {}
        self._lock = threading.Lock()

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Give the results of the requests, in their order; may be called from several threads."""
        fit_keys = {place: self._key_builder.identify(request, self.table) for place, request in enumerate(requests)}
        with self._lock:
            fit_results = {
                place: self._find(requests[place], fit_key) for place, fit_key in fit_keys.items() if fit_key
            }
            left = {place: request for place, request in enumerate(requests) if fit_results.get(place) is None}
            tasks = sort_tasks(left, fit_keys, self.table)
            self.counts.asked += len(requests)
            self.counts.fitted += len(tasks)
            self.seconds += sum(task.seconds for task in tasks)
            for task in tasks:
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
        return FitResult(
            predictions,
            PrecomputedClassifier(predictions[0]) if request.keep_model and predictions else clone(request.pipeline),
        )

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
