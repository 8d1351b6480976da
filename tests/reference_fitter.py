"""A fitter that makes every fit anew with plain scikit-learn: what the engine's results must equal to the last bit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context

from threadpoolctl import threadpool_limits

from mlwf.engine.requests import FitRequest, FitResult
from mlwf.engine.work import BLAS, ROWS_WORTH_THREADS, fit_whole_pipeline
from mlwf.processes import DISPLAY, cores, count_workers
from mlwf.splitting.rows import Table


class ReferenceFitter:
    """Do the fits requested on one table with plain scikit-learn fits, several at the same time.

    Threads serve: scikit-learn's tree builders release the GIL, and nothing is copied or started. Fits that run at
    the same time share the cores, since each histogram booster would otherwise take them all.
    """

    def __init__(self, table: Table, *, n_jobs: int = 1, on_fit: Callable[[], None] | None = None) -> None:
        self.table = table
        self.workers = count_workers(n_jobs)
        self._on_fit = on_fit
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="mlwf-fit")
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._waiting = 0

    def __call__(self, requests: Sequence[FitRequest]) -> list[FitResult]:
        """Give the results of the requests, in their order; may be called from several threads."""
        with self._lock:
            self._waiting += len(requests)
        futures = [self._executor.submit(copy_context().run, self._answer, request) for request in requests]
        return [future.result() for future in futures]

    def with_jobs(self, n_jobs: int) -> ReferenceFitter:
        """Make a fitter for the same table with another number of fits at the same time."""
        return ReferenceFitter(self.table, n_jobs=n_jobs, on_fit=self._on_fit)

    def close(self, *, wait: bool = True) -> None:
        """Let go of the workers; fits that have not begun are dropped."""
        self._executor.shutdown(wait=wait, cancel_futures=True)

    def __enter__(self) -> ReferenceFitter:
        for state in (DISPLAY, BLAS):
            self._held.enter_context(state.held())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)
        self._held.close()

    def _answer(self, request: FitRequest) -> FitResult:
        sharers = min(self.workers, max(1, self._waiting))
        threads = cores() // sharers if len(request.train) >= ROWS_WORTH_THREADS else 1
        # An OpenMP limit holds for the calling thread alone, so it is set anew for each fit.
        with threadpool_limits(max(1, threads), user_api="openmp"):
            fit_result = fit_whole_pipeline(self.table, request)
        with self._lock:
            self._waiting -= 1
        if self._on_fit is not None:
            self._on_fit()
        return fit_result
