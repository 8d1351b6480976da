"""The rows of a fold, prepared once for all fits that prepare them alike."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from mlwf.engine.pools import Pool
from mlwf.engine.rows import Rows
from mlwf.engine.tasks import Task
from mlwf.engine.work import Prepared


class Fold:
    """The training rows of some tasks and the rows to predict; prepared when first needed, gone after the last."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._task = tasks[0]
        self._rows: dict[str, Rows] = {}
        for task in tasks:
            self._rows |= task.rows
        self._left = len(tasks)
        self._lock = threading.Lock()
        self._made: tuple[Any, Prepared] | None = None
        self._shared: dict[int, tuple[Pool, Any]] = {}

    def prepared(self, pool: Pool) -> tuple[Any, Any]:
        """Give the fitted preprocessor, or None, and the rows as the workers of a pool take them.

        Raises what the fit of the preprocessor raises.
        """
        with self._lock:
            self._made = self._made or self._fit()
            if id(pool) not in self._shared:
                self._shared[id(pool)] = pool, pool.share(self._made[1])
            return self._made[0], self._shared[id(pool)][1]

    def release(self) -> None:
        """Say that a task is done."""
        with self._lock:
            self._left -= 1
            if not self._left:
                for pool, handle in self._shared.values():
                    pool.free(handle)
                self._shared, self._made = {}, None

    def _fit(self) -> tuple[Any, Prepared]:
        ask, table = self._task.ask, self._task.fit.table
        X, y = table.X_of(ask.train), table.y_of(ask.train)
        weight = table.fit_weight_of(ask.train) if ask.class_weighted else table.weight_of(ask.train)
        unfitted = self._task.fit.parts.preparation.preprocessor
        if unfitted is None:
            return None, Prepared(X, y, weight, {digest: table.X_of(rows) for digest, rows in self._rows.items()})
        preprocessor = clone(unfitted)
        # Of the training rows a target encoder makes something else than of the same rows later.
        X = preprocessor.fit_transform(X, y)
        parts = {digest: preprocessor.transform(table.X_of(rows)) for digest, rows in self._rows.items()}
        return preprocessor, Prepared(X, y, weight, parts)


def gather_folds(tasks: Sequence[Task]) -> dict[Task, Fold]:
    """Give each task its fold, which it shares with the tasks that prepare the same rows alike."""
    together: dict[tuple[str, bool], list[Task]] = {}
    for task in tasks:
        if task.fits:
            # The weights of a fold's rows lie beside them.
            together.setdefault((task.fit.preparation, task.ask.class_weighted), []).append(task)
    return {task: fold for each in together.values() for fold in [Fold(each)] for task in each}
