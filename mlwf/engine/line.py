"""A line of work, and the threads that take from it."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any


class Line:
    """Does what is put in, the lowest rank first, and of equals what was put in first."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._executor = ThreadPoolExecutor(slots, thread_name_prefix="mlwf-fit")
        self._heap: list[tuple[Any, int, Callable[[], Any], Future[Any]]] = []
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._n_at_work = 0

    def put(self, rank: Any, work: Callable[[], Any]) -> Future[Any]:
        """Put in a piece of work, and give what will come of it."""
        future: Future[Any] = Future()
        # Whoever listens to the warnings of this context hears those of its work.
        here: Callable[[], Any] = partial(copy_context().run, work)
        with self._lock:
            heapq.heappush(self._heap, (rank, next(self._turn), here, future))
        # Whichever thread is free next takes what then stands first.
        self._executor.submit(self._take)
        return future

    def __len__(self) -> int:
        """Count what waits or is being done."""
        return len(self._heap) + self._n_at_work

    def close(self, *, wait: bool = True) -> None:
        """Do no more: what has begun is waited for, if `wait`, and what has not is cancelled."""
        self._executor.shutdown(wait=wait, cancel_futures=True)
        with self._lock:
            left, self._heap = self._heap, []
        for *_, future in left:
            future.cancel()

    def _take(self) -> None:
        with self._lock:
            if not self._heap:
                return
            *_, work, future = heapq.heappop(self._heap)
            self._n_at_work += 1
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self._lock:
                self._n_at_work -= 1
