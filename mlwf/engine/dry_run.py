"""The fitter that fits nothing: it counts what the engine would do, by the engine's own rules."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from mlwf.engine.fit_cache import FitRecord
from mlwf.engine.fit_key import Fit, Identifier
from mlwf.engine.requests import Answer, Ask
from mlwf.engine.scheduling import Task, sort_tasks
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.scoring import Replay
from mlwf.results import Tally
from mlwf.splitting.rows import Rows, Table


class CountingFitter:
    """Answer what the record has, and everything else with placeholders; count the fits that the engine would make.

    Which candidate of a search is the best cannot be known before it is done: what depends on that is counted as for
    another candidate of the same size.
    """

    def __init__(self, table: Table, *, record: FitRecord | None = None) -> None:
        self.table = table
        self.tally = Tally()
        self.seconds = 0.0
        """What the fits take on one core, roughly."""
        self._record = record
        self._identifier = Identifier()
        self._made: dict[str, set[str]] = {}
        self._models: set[str] = set()
        self._said: dict[tuple[Any, ...], Predictions] = {}
        self._lock = threading.Lock()

    def __call__(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answer the asks, in their order; may be called from several threads."""
        fits = {place: self._identifier.identify(ask, self.table) for place, ask in enumerate(asks)}
        with self._lock:
            answers = {place: self._known(asks[place], fit) for place, fit in fits.items() if fit}
            left = {place: ask for place, ask in enumerate(asks) if answers.get(place) is None}
            tasks = sort_tasks(left, fits, self.table)
            self.tally.asked += len(asks)
            self.tally.fitted += len(tasks)
            self.seconds += sum(task.seconds for task in tasks)
            for task in tasks:
                self._remember(task)
        told = [answers.get(place) or self._placeholder(ask) for place, ask in enumerate(asks)]
        for place, (ask, answer) in enumerate(zip(asks, told, strict=True)):
            if ask.entry:
                ask.entry.contest.enter(ask.entry, answer, _key(fits[place]))
        for contest in {ask.entry.contest for ask in asks if ask.entry}:
            self._models |= set(contest.kept)
        return told

    def _known(self, ask: Ask, fit: Fit) -> Answer | None:
        digests = [rows.digest for rows in ask.predict]
        found = self._record.find(fit.key, digests) if self._record else None
        is_held = fit.key in self._models or (self._record is not None and self._record.has_model(fit.key))
        if found is not None and (is_held or not ask.keep_model):
            self.tally.recorded += fit.key not in self._made
            model = Replay(found.predictions[0]) if ask.keep_model and found.predictions else None
            return Answer(found.predictions, model, reused=True)
        is_said = fit.key in self._made and self._made[fit.key].issuperset(digests)
        if is_held or (is_said and not ask.keep_model):
            return self._placeholder(ask)
        return None

    def _remember(self, task: Task) -> None:
        for place, fit in task.fits.items():
            self._made.setdefault(fit.key, set()).update(task.rows)
            if task.asks[place].keep_model:
                self._models.add(fit.key)

    def _placeholder(self, ask: Ask) -> Answer:
        table = self.table if ask.table is None else ask.table
        said = tuple(self._say(ask.pipeline, rows, table.classes) for rows in ask.predict)
        return Answer(said, Replay(said[0]) if ask.keep_model and said else clone(ask.pipeline))

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


def _key(fit: Fit | None) -> str | None:
    return None if fit is None else fit.key
