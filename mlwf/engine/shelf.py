"""The few fitted models that are needed again: in memory, and in the record of fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from time import perf_counter
from typing import Any

from mlwf.engine.contest import Contest
from mlwf.engine.fit_record import FitRecord

MOST_MODELS = 32
"""Models that are held in memory: the fold models of the best candidates of the latest searches."""
SHARE_FOR_WRITING = 0.05
"""Of the seconds of all fits, what may go into writing models that a better candidate may still replace."""


class Shelf:
    """Holds the models of winners, and writes them down where the record outlasts the run."""

    def __init__(self, record: FitRecord, *, lasts: bool) -> None:
        self._record = record
        self._lasts = lasts
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._seconds_writing = 0.0
        self.seconds_fitting = 0.0

    def find(self, key: str) -> Any:
        """Give the model of a fit from memory or from the record; None when neither has it."""
        with self._lock:
            held = self._held.get(key)
        return self._record.find_model(key) if held is None else held

    def hold(self, contest: Contest) -> None:
        """Hold the models of the best candidate so far, and write them down."""
        for key, model in contest.kept:
            self._hold(key, model)
            if self._lasts:
                self.write(key, model)

    def write_affordable(self, contest: Contest) -> None:
        """Write down a new best candidate's models already now, while that takes little of the time."""
        for key, model in contest.kept:
            if self._lasts and self._seconds_writing <= SHARE_FOR_WRITING * self.seconds_fitting:
                self.write(key, model)

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
        self._record.put_model(key, model)
        with self._lock:
            self._seconds_writing += perf_counter() - started

    def _hold(self, key: str, model: Any) -> None:
        with self._lock:
            self._held[key] = model
            self._held.move_to_end(key)
            while len(self._held) > MOST_MODELS:
                self._held.popitem(last=False)
