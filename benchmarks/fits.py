"""A fitter for very many very small fits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from mlwf.engine.requests import Answer, Ask
from mlwf.evaluation.predictions import predict
from mlwf.splitting.rows import Rows, Table


class SharedPreparation:
    """Answer asks about one table as `PlainFitter` does, but prepare the same rows once for all candidates.

    Of a small fit that is most, and a simulation makes some hundred thousand. Rows carry no weights here, candidates
    differ in the classifier alone, and a fit that fails raises.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._prepared: dict[tuple[int, str], tuple[Any, dict[str, Any]]] = {}

    def __call__(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answer the asks, in their order; may be called from several threads."""
        with self._lock:
            return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Answer:
        name, classifier = ask.pipeline.steps[-1]
        model = clone(classifier).set_params(**{key.removeprefix(f"{name}__"): ask.params[key] for key in ask.params})
        model.fit(self._prepare(ask, ask.train), self.table.y_of(ask.train))
        return Answer(tuple(predict(model, self._prepare(ask, rows)) for rows in ask.predict))

    def _prepare(self, ask: Ask, rows: Rows) -> Any:
        """Transform rows as the training rows of the ask say."""
        if len(ask.pipeline) == 1:
            return self.table.X_of(rows)
        key = (id(ask.pipeline), ask.train.digest)
        if key not in self._prepared:
            preprocessor = clone(ask.pipeline[:-1])
            X = preprocessor.fit_transform(self.table.X_of(ask.train), self.table.y_of(ask.train))
            # A target encoder transforms the rows that it learnt from as no others.
            self._prepared[key] = preprocessor, {ask.train.digest: X}
        preprocessor, parts = self._prepared[key]
        if rows.digest not in parts:
            parts[rows.digest] = preprocessor.transform(self.table.X_of(rows))
        return parts[rows.digest]
