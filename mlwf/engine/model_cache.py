"""The few fitted models that are needed again: in memory, and in the fit cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from mlwf.engine.costs import RunTime
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey
from mlwf.engine.requests import Leaderboard
from mlwf.engine.scheduling import estimate_seconds
from mlwf.engine.staged_ensembles import is_resumable

MOST_MODELS = 80
"""Models in memory: the fold models of the best candidates of the latest searches, such as those of the portfolio."""
MOST_RESUMABLE = 128
"""Boosters in memory of which more rounds may be requested; a round takes some ten kilobytes."""
SHARE_FOR_WRITING = 0.05
"""Of the seconds of all fits, what may go into writing models that a better candidate may still replace."""


@dataclass(frozen=True, eq=False)
class CachedModel:
    """The model of a fit, as a leaderboard keeps it."""

    fit_key: FitKey
    model: Any
    is_truncated: bool
    """Whether the fit has more stages; then its random numbers cannot be resumed from here."""


class ModelCache:
    """Keeps the models of the best candidates, and writes them to the fit cache where that outlasts the run."""

    def __init__(self, fit_cache: FitCache, *, lasts: bool, run_time: RunTime | None = None) -> None:
        self._fit_cache = fit_cache
        self._lasts = lasts
        self._run_time = run_time or RunTime()
        self._models: OrderedDict[str, Any] = OrderedDict()
        self._resumable: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._seconds_writing = 0.0
        self.seconds_fitting = 0.0

    def find(self, key: str) -> Any:
        """Give the model of a fit from memory or from the fit cache; None when neither has it."""
        with self._lock:
            model = self._models.get(key)
        return self._fit_cache.find_model(key) if model is None else model

    def find_resumable(self, fit_key: FitKey, stage: int) -> Any:
        """Give the same fit's classifier with fewer stages, fitted, where it can be resumed; None without one."""
        with self._lock:
            stages, classifier = self._resumable.get(fit_key.group, (stage, None))
        return classifier if stages < stage else None

    def keep(self, leaderboard: Leaderboard) -> None:
        """Keep the models of the best candidate so far, and write them; keep those that may be resumed."""
        for kept in leaderboard.kept:
            self._keep(kept.fit_key.key, kept.model)
            if self._lasts:
                self.write(kept.fit_key, kept.model)
        for kept in leaderboard.take_ranked_models():
            self._keep_resumable(kept)

    def write_affordable(self, leaderboard: Leaderboard) -> None:
        """Write a new best candidate's models already now, while that takes little of the time."""
        for kept in leaderboard.kept:
            if self._lasts and self._seconds_writing <= SHARE_FOR_WRITING * self.seconds_fitting:
                self.write(kept.fit_key, kept.model)

    def write(self, fit_key: FitKey, model: Any) -> None:
        """Write a model to the fit cache, once; where that does not outlast the run, keep it in memory.

        In a run whose time is limited one that takes long to write is kept in memory alone.
        """
        key = fit_key.key
        if not self._lasts or not self._has_time_for(fit_key):
            self._keep(key, model)
            return
        with self._lock:
            if key in self._written:
                return
            self._written.add(key)
        started = perf_counter()
        self._fit_cache.put_model(key, model)
        with self._lock:
            self._seconds_writing += perf_counter() - started

    def _has_time_for(self, fit_key: FitKey) -> bool:
        if not self._run_time.is_limited:
            return True
        table, classifier = fit_key.table, fit_key.parts.classifier
        n_rows, n_columns = table.X.shape
        estimated = estimate_seconds(classifier, n_rows, n_columns, len(table.classes))
        seconds = self._seconds_writing + self._run_time.costs.predict_saving(classifier, estimated)
        return seconds <= SHARE_FOR_WRITING * self.seconds_fitting

    def _keep(self, key: str, model: Any) -> None:
        with self._lock:
            self._models[key] = model
            self._models.move_to_end(key)
            while len(self._models) > MOST_MODELS:
                self._models.popitem(last=False)

    def _keep_resumable(self, kept: CachedModel) -> None:
        fit_key, classifier = kept.fit_key, kept.fit_key.parts.classifier_of(kept.model)
        if fit_key.stage is None or kept.is_truncated or not is_resumable(classifier):
            return
        with self._lock:
            self._resumable[fit_key.group] = fit_key.stage[1], classifier
            self._resumable.move_to_end(fit_key.group)
            while len(self._resumable) > MOST_RESUMABLE:
                self._resumable.popitem(last=False)
