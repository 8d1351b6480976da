"""A fitter for very many very small fits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from mlwf.engine.requests import FitRequest, FitResult
from mlwf.evaluation.predictions import predict
from mlwf.splitting.rows import Rows, Table


class SharedPreparation:
    """Make fits of one table as the tests' `ReferenceFitter` does, but prepare the same rows once for all candidates.

    Of a small fit that is most, and a simulation makes some hundred thousand. Rows carry no weights here, candidates
    differ in the classifier alone, and a fit that fails raises.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._prepared: dict[tuple[int, str], tuple[Any, dict[str, Any]]] = {}

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Give the results of the requests, in their order; may be called from several threads."""
        with self._lock:
            return [self._answer(request) for request in requests]

    def _answer(self, request: FitRequest) -> FitResult:
        name, classifier = request.pipeline.steps[-1]
        model = clone(classifier).set_params(
            **{key.removeprefix(f"{name}__"): request.params[key] for key in request.params}
        )
        model.fit(self._prepare(request, request.train), self.table.y_of(request.train))
        return FitResult(tuple(predict(model, self._prepare(request, rows)) for rows in request.predict))

    def _prepare(self, request: FitRequest, rows: Rows) -> Any:
        """Transform rows as fitted on the training rows of the request."""
        if len(request.pipeline) == 1:
            return self.table.X_of(rows)
        key = (id(request.pipeline), request.train.digest)
        if key not in self._prepared:
            preprocessor = clone(request.pipeline[:-1])
            X = preprocessor.fit_transform(self.table.X_of(request.train), self.table.y_of(request.train))
            # A target encoder transforms the rows that it learnt from as no others.
            self._prepared[key] = preprocessor, {request.train.digest: X}
        preprocessor, parts = self._prepared[key]
        if rows.digest not in parts:
            parts[rows.digest] = preprocessor.transform(self.table.X_of(rows))
        return parts[rows.digest]
