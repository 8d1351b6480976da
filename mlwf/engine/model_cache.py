"""The few fitted models that are needed again: in memory, and in the record of fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from mlwf.engine.fit_cache import FitCache
from mlwf.engine.fit_key import FitKey
from mlwf.engine.requests import Leaderboard
from mlwf.engine.staged_ensembles import is_resumable

MOST_MODELS = 32
"""Models that are held in memory: the fold models of the best candidates of the latest searches."""
MOST_BEGUN = 128
"""Boosters that are held in memory because more rounds of them may be asked for; a round takes some ten kilobytes."""
SHARE_FOR_WRITING = 0.05
"""Of the seconds of all fits, what may go into writing models that a better candidate may still replace."""


@dataclass(frozen=True, eq=False)
class CachedModel:
    """The model of a fit, as contests keep it."""

    fit: FitKey
    model: Any
    is_truncated: bool
    """Whether the fit went on to more stages; then its random numbers cannot be continued from here."""


class ModelCache:
    """Holds the models of winners, and writes them down where the record outlasts the run."""

    def __init__(self, fit_cache: FitCache, *, lasts: bool) -> None:
        self._fit_cache = fit_cache
        self._lasts = lasts
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._begun: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._seconds_writing = 0.0
        self.seconds_fitting = 0.0

    def find(self, key: str) -> Any:
        """Give the model of a fit from memory or from the record; None when neither has it."""
        with self._lock:
            held = self._held.get(key)
        return self._fit_cache.find_model(key) if held is None else held

    def begun(self, fit: FitKey, stage: int) -> Any:
        """Give the same fit's classifier with fewer stages, fitted, where it can be continued; None without one."""
        with self._lock:
            stages, classifier = self._begun.get(fit.group, (stage, None))
        return classifier if stages < stage else None

    def hold(self, leaderboard: Leaderboard) -> None:
        """Hold the models of the best candidate so far, and write them down; hold what may be continued."""
        for kept in leaderboard.kept:
            self._hold(kept.fit.key, kept.model)
            if self._lasts:
                self.write(kept.fit.key, kept.model)
        for kept in leaderboard.release_losers():
            self._hold_begun(kept)

    def write_affordable(self, leaderboard: Leaderboard) -> None:
        """Write down a new best candidate's models already now, while that takes little of the time."""
        for kept in leaderboard.kept:
            if self._lasts and self._seconds_writing <= SHARE_FOR_WRITING * self.seconds_fitting:
                self.write(kept.fit.key, kept.model)

    def write(self, key: str, model: Any) -> None:
        """Write a model down, once; where nothing outlasts the run, hold it."""
        if not self._lasts:
            self._hold(key, model)
            return
        with self._lock:
            if key in self._written:
                return
            self._written.add(key)
        started = perf_counter()
        self._fit_cache.put_model(key, model)
        with self._lock:
            self._seconds_writing += perf_counter() - started

    def _hold(self, key: str, model: Any) -> None:
        with self._lock:
            self._held[key] = model
            self._held.move_to_end(key)
            while len(self._held) > MOST_MODELS:
                self._held.popitem(last=False)

    def _hold_begun(self, kept: CachedModel) -> None:
        fit, classifier = kept.fit, kept.fit.parts.classifier_of(kept.model)
        if fit.stage is None or kept.is_truncated or not is_resumable(classifier):
            return
        with self._lock:
            self._begun[fit.group] = fit.stage[1], classifier
            self._begun.move_to_end(fit.group)
            while len(self._begun) > MOST_BEGUN:
                self._begun.popitem(last=False)
