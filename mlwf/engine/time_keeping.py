"""Which tasks may begin, and the end of those that take too long."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from mlwf.engine.costs import FAITHFUL_SECONDS, FitCosts
from mlwf.engine.probing import probe
from mlwf.engine.process_pools import CallInterruptedError, Pool
from mlwf.engine.scheduling import CandidateGroup, PriorityExecutor, Task
from mlwf.engine.work import PreparedRows
from mlwf.errors import raise_if_bug
from mlwf.processes import STRAGGLERS

SECONDS_TO_STOP = 2.0
"""How long to wait for a fit that was interrupted; one that does not notice is left to its thread."""

SECONDS_BETWEEN_LOOKS = 0.25
"""How often to see whether the time is up, which depends on what is reserved meanwhile."""

SHARE_WORTH_PROBING = 0.01
"""A fit that may take that part of the time that is left, by its estimate, is first measured by cheaper ones."""


@dataclass(eq=False)
class UnderWay:
    """A task that a thread is at."""

    pool: Pool
    threads: Pool
    expected: float
    """Reading of `time.monotonic` when it is expected to be done."""
    thread: threading.Thread = field(default_factory=threading.current_thread)

    def interrupt(self) -> None:
        """End it where that can be done."""
        for pool in {self.pool, self.threads}:
            pool.interrupt(self.thread.ident or 0)


class TimeKeeper:
    """Lets tasks begin that there is time for, and ends those that are under way when the time is up.

    Parameters
    ----------
    costs
        What fits take.
    queue
        Where tasks wait.
    threads
        Runs what is no matter of the workers, in the thread of the task.
    """

    def __init__(self, costs: FitCosts, queue: PriorityExecutor, threads: Pool) -> None:
        self.ends = inf
        """Reading of `time.monotonic` at which all tasks must have ended."""
        self._costs = costs
        self._queue = queue
        self._threads = threads
        self._under_way: dict[Task, UnderWay] = {}

    def until(self, ends: float) -> TimeKeeper:
        """Make one for the same workers, with an end."""
        other = copy.copy(self)
        other.ends = ends
        return other

    def left_for(self, task: Task) -> float:
        """Give the seconds until a task must have ended."""
        return min(self.ends, inf if task.group is None else task.group.time.ends) - monotonic()

    @contextmanager
    def under_way(self, task: Task, pool: Pool) -> Iterator[None]:
        """Know meanwhile that this thread is at a task, whose work runs in `pool`."""
        self._under_way[task] = UnderWay(pool, self._threads, monotonic() + task.predict_seconds(self._costs))
        try:
            yield
        finally:
            del self._under_way[task]

    def drop_late(self, task: Task, prepare: Callable[[], PreparedRows] | None) -> bool:
        """Take the requests that there is no time for out of a task; tell whether there is time for any.

        `prepare` gives the rows of its fit, by which it may be measured; None where they cannot be had apart.
        """
        now = monotonic()
        if now >= self.ends or (task.deadline is not None and now >= task.deadline) or task.is_given_up:
            return False
        if task.group is None:
            return True
        self._decide(task, task.group, prepare)
        n_requests, late = len(task.requests), task.group.late_places(task)
        if 0 < len(late) < n_requests:
            task.keep([place for place in task.requests if place not in late])
        return len(late) < n_requests

    def wait_for(self, task: Task, future: Future[Any], futures: Mapping[Task, Future[Any]]) -> None:
        """Wait until a task is done; when the time is up, end all of `futures` that are not.

        A task that does not end is given up: its thread, and the results, are left to themselves.
        """
        while not (task.is_given_up or future.done()):
            left = self.left_for(task)
            if left <= 0:
                self._stop(futures)
                return
            wait([future], None if left == inf else min(left, SECONDS_BETWEEN_LOOKS))

    def _decide(self, task: Task, group: CandidateGroup, prepare: Callable[[], PreparedRows] | None) -> None:
        # Not under the lock: several threads that measure at once see how they slow each other down.
        if not group.is_decided and prepare is not None:
            self._measure(task, group, prepare)
        with group.lock:
            if not group.is_decided:
                now = monotonic()
                others = [each for other, each in list(self._under_way.items()) if other is not task]
                busy = sum(max(0.0, each.expected - now) for each in others)
                group.decide(self._costs, slots=self._queue.slots, busy_seconds=busy)

    def _measure(self, task: Task, group: CandidateGroup, prepare: Callable[[], PreparedRows]) -> None:
        worth_it = SHARE_WORTH_PROBING * self.left_for(task)
        most = min(FAITHFUL_SECONDS, worth_it)
        seconds = sum(each.seconds for each in group.tasks) / self._queue.slots
        if seconds < worth_it or self._costs.is_measured(task.classifier, task.seconds, enough=most):
            return
        try:
            prepared = self._threads.run(prepare)
        except Exception as error:  # the fit itself will report it
            if not isinstance(error, CallInterruptedError):
                raise_if_bug(error)
            return
        n_columns = int(task.fit_key.table.X.shape[1])
        self._threads.run(_probe, task.classifier, prepared, n_columns, most, self._costs)

    def _stop(self, futures: Mapping[Task, Future[Any]]) -> None:
        for task, under_way in list(self._under_way.items()):
            if task in futures:
                under_way.interrupt()
        left = wait(futures.values(), SECONDS_TO_STOP).not_done
        for task in [task for task, future in futures.items() if future in left]:
            with task.lock:
                task.is_given_up = not task.is_written
        stuck = [each.thread for task, each in list(self._under_way.items()) if task.is_given_up]
        if stuck:
            STRAGGLERS.update(stuck)
            self._queue.replace_threads()


def _probe(classifier: Any, prepared: PreparedRows, n_columns: int, most_seconds: float, costs: FitCosts) -> None:
    probe(classifier, prepared, n_columns=n_columns, most_seconds=most_seconds, costs=costs)
