"""The rows of a fold, prepared once for all fits that prepare them alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from scipy.sparse import issparse
from sklearn.dummy import DummyClassifier

from mlwf.engine.process_pools import CallInterruptedError, Pool
from mlwf.engine.scheduling import Task
from mlwf.engine.stored_rows import fit_on_categories, learns_categories_alone, store
from mlwf.engine.work import PreparedRows
from mlwf.evaluation.preparing import fit_transform, transform
from mlwf.processes import memory_bytes
from mlwf.splitting.rows import Rows
from mlwf.splitting.stored_frame import StoredFrame, in_memory

MOST_IDLE_BYTES = 2**28
"""Most bytes of prepared rows that are kept while no task needs them: the next requests of a search need the same."""

SHARE_OF_MEMORY = 0.5
"""Of the memory that the process may use, how much the rows of fits at the same time may take."""
COPIES = 3
"""How many times its prepared rows a fit holds at most, by estimate: histogram boosting copies them to stop early."""

Key = tuple[str, bool]
"""Identifies prepared rows, and whether their classes are weighted: the weights are stored with them."""


class PreparedFold:
    """The training rows of some tasks and the rows to predict; prepared when first needed."""

    def __init__(self, key: Key, tasks: Sequence[Task], folder: Path) -> None:
        self.key, self._folder = key, folder
        fit_key, self._train = tasks[0].fit_key, tasks[0].request.train
        self.table, self._unfitted = fit_key.table, fit_key.parts.preparation.preprocessor
        self._is_baseline = isinstance(fit_key.parts.classifier, DummyClassifier)
        self._rows = _rows_of(tasks)
        self.n_bytes = inf
        """How large the prepared rows are; infinite until there are any."""
        self._left = len(tasks)
        self._lock = threading.Lock()
        self._made: tuple[Any, PreparedRows] | None = None
        self._shared: dict[int, tuple[Pool, Any]] = {}

    @property
    def n_cells(self) -> int:
        """How many cells of the table there are in its training rows."""
        return len(self._train) * int(self.table.X.shape[1])

    @property
    def estimated_bytes(self) -> int:
        """How large the rows will be, if each column becomes one of floats."""
        n_rows = len(self._train) + sum(map(len, self._rows.values()))
        return 8 * n_rows * int(self.table.X.shape[1])

    @property
    def is_prepared(self) -> bool:
        """Whether the rows are there."""
        return self._made is not None

    def prepared(self, pool: Pool) -> tuple[Any, Any]:
        """Give the fitted preprocessor, or None, and the rows as the workers of a pool take them.

        Raises what the fit of the preprocessor raises.
        """
        with self._lock:
            if self._made is None:
                self._made = self._fit()
                self.n_bytes = sum(map(_n_bytes, (self._made[1].X, *self._made[1].parts.values())))
            if id(pool) not in self._shared:
                self._shared[id(pool)] = pool, pool.share(self._made[1])
            return self._made[0], self._shared[id(pool)][1]

    def add(self, tasks: Sequence[Task]) -> bool:
        """Add further tasks, if the fold has all rows that they predict; tell whether it does."""
        with self._lock:
            is_enough = self._rows.keys() >= _rows_of(tasks).keys()
            self._left += len(tasks) if is_enough else 0
            return is_enough

    def release(self) -> bool:
        """Count a task as done; tell whether it was the last."""
        with self._lock:
            self._left -= 1
            return not self._left

    def close(self) -> None:
        """Free the rows."""
        with self._lock:
            for pool, handle in self._shared.values():
                pool.free(handle)
            self._shared, self._made = {}, None

    def _fit(self) -> tuple[Any, PreparedRows]:
        table, train = self.table, self._train
        y = table.y_of(train)
        _, is_class_weighted = self.key
        weight = table.fit_weight_of(train) if is_class_weighted else table.weight_of(train)
        if isinstance(table.X, StoredFrame) and learns_categories_alone(self._unfitted):
            X = table.X_of(train)
            preprocessor = fit_on_categories(self._unfitted, X)
            prepare = partial(store, preprocessor, folder=self._folder)
            return preprocessor, PreparedRows(prepare(X), y, weight, self._parts(prepare))
        if self._unfitted is None:
            # The baseline looks at no feature.
            table = replace(table, X=_first_column(table.X)) if self._is_baseline else table
            parts = {digest: in_memory(table.X_of(rows)) for digest, rows in self._rows.items()}
            return None, PreparedRows(in_memory(table.X_of(train)), y, weight, parts)
        # Of the training rows a target encoder makes something else than of the same rows later.
        if isinstance(table.X, StoredFrame):
            preprocessor, X = fit_transform(self._unfitted, in_memory(table.X_of(train)), y)
            return preprocessor, PreparedRows(
                X, y, weight, self._parts(lambda part: transform(preprocessor, in_memory(part)))
            )
        preprocessor, X = fit_transform(self._unfitted, table.X, y, train.index)
        parts = {digest: transform(preprocessor, table.X, rows.index) for digest, rows in self._rows.items()}
        return preprocessor, PreparedRows(X, y, weight, parts)

    def _parts(self, prepare: Callable[[Any], Any]) -> dict[str, Any]:
        """Prepare the rows to predict."""
        return {digest: prepare(self.table.X_of(rows)) for digest, rows in self._rows.items()}


class PreparedFolds:
    """The folds of an engine: those that tasks need, and as many of the latest others as there is room for.

    Rows that are not to be in memory are in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle: OrderedDict[Key, PreparedFold] = OrderedDict()
        self._needed: dict[PreparedFold, int] = {}
        """The folds that tasks need, with the estimated size of each."""
        self._lock = threading.Lock()
        self._in_use: dict[int, int] = {}
        """Bytes of each fit that is made at the moment, by a number of it."""
        self._n_interrupts = 0
        self._room = threading.Condition()

    @contextmanager
    def room_for(self, fold: PreparedFold) -> Iterator[None]:
        """Wait until a fit on a fold has room beside the others; one fit always has.

        Raises CallInterruptedError when those that wait are not to begin.
        """
        n_bytes = 0 if isinstance(fold.table.X, StoredFrame) else COPIES * fold.estimated_bytes
        token = object()
        with self._room:
            before = self._n_interrupts
            self._room.wait_for(lambda: self._n_interrupts > before or self._has_room(n_bytes))
            if self._n_interrupts > before:
                raise CallInterruptedError
            self._in_use[id(token)] = n_bytes
        try:
            yield
        finally:
            with self._room:
                del self._in_use[id(token)]
                self._room.notify_all()

    def interrupt(self) -> None:
        """Let no fit begin that waits for room."""
        with self._room:
            self._n_interrupts += 1
            self._room.notify_all()

    def _has_room(self, n_bytes: int) -> bool:
        used = sum(self._in_use.values())
        return not used or used + n_bytes <= SHARE_OF_MEMORY * memory_bytes()

    def gather(self, tasks: Sequence[Task]) -> dict[Task, PreparedFold]:
        """Give each task its fold, which it shares with the tasks that prepare the same rows alike."""
        together: dict[Key, list[Task]] = {}
        for task in tasks:
            if task.fit_keys:
                together.setdefault((task.fit_key.preparation, task.request.class_weighted), []).append(task)
        return {task: fold for key, each in together.items() for fold in [self._take(key, each)] for task in each}

    def release(self, fold: PreparedFold) -> None:
        """Count a task of a fold as done; free the oldest folds that no task needs."""
        if not fold.release():
            return
        with self._lock:
            self._needed.pop(fold, None)
        if fold.n_bytes > MOST_IDLE_BYTES:
            fold.close()
            return
        with self._lock:
            # Two calls at the same time have each prepared the same rows.
            gone = [self._idle.pop(fold.key)] if fold.key in self._idle else []
            self._idle[fold.key] = fold
            gone += self._pop_beyond(MOST_IDLE_BYTES)
        for each in gone:
            each.close()

    def close(self) -> None:
        """Free the folds that no task needs."""
        with self._lock:
            gone, self._idle = list(self._idle.values()), OrderedDict()
        for fold in gone:
            fold.close()

    def _take(self, key: Key, tasks: Sequence[Task]) -> PreparedFold:
        with self._lock:
            fold = self._idle.pop(key, None)
        if fold is None or not fold.add(tasks):
            gone = [] if fold is None else [fold]
            fold = PreparedFold(key, tasks, self._folder)
            with self._lock:
                # Those to come need the room of those that may be needed again.
                gone += self._pop_beyond(MOST_IDLE_BYTES - sum(self._needed.values()) - fold.estimated_bytes)
            for each in gone:
                each.close()
        with self._lock:
            self._needed[fold] = fold.estimated_bytes
        return fold

    def _pop_beyond(self, most_bytes: float) -> list[PreparedFold]:
        """Take out the oldest idle folds, until the others are no larger."""
        gone = []
        while self._idle and sum(each.n_bytes for each in self._idle.values()) > max(0, most_bytes):
            gone.append(self._idle.popitem(last=False)[1])
        return gone


def _first_column(X: Any) -> Any:
    return X[list(X.columns[:1])] if hasattr(X, "columns") else X[:, :1]


def _rows_of(tasks: Sequence[Task]) -> dict[str, Rows]:
    return {digest: rows for task in tasks for digest, rows in task.rows.items()}


def _n_bytes(X: Any) -> float:
    """Give the size of rows; infinite where that is not known."""
    if hasattr(X, "memory_usage"):
        return float(X.memory_usage(deep=True).sum())
    # Sparse matrices have three arrays.
    parts = [getattr(X, name, None) for name in ("data", "indices", "indptr")] if issparse(X) else [X]
    return float(sum(getattr(part, "nbytes", inf) for part in parts))
